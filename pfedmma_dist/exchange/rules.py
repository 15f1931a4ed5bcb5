"""Rules: what a server of your own makes of the mean of a round; `register` adds one.

With x what clients started from and Delta = mean - x, a rule returns a direction d and clients
start next from x + server.lr d. `server.rule` names it, `server.options` are its options
(docs/plugins.md, examples/own_rule.py). It sees the mean alone, so that it may stand behind secure
sums, noise and few bits, and what it remembers from round to round is kept in checkpoints.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.config.registry import admit
from pfedmma_dist.config.ruled import RULES
from pfedmma_dist.spelling import quoted
from pfedmma_dist.world import one_thread

Memory = dict[str, Tensor]
"""Name -> what a rule remembers from one round to the next."""


@dataclass(kw_only=True)
class NoOptions:
    """The options of a rule that has none."""


class Rule:
    """One way to go on from a mean; the same object is asked in every round, and on every rank."""

    name: ClassVar[str]
    """What `server.rule` calls it."""
    Options: ClassVar[type] = NoOptions
    """A dataclass of its options, each with a default: `server.options.NAME`."""

    def __init__(self, options: Any) -> None:
        """options: an `Options`."""
        self.options = options

    def memory(self, size: int) -> Memory:
        """Return what is remembered before the first round, of S = size shared numbers."""
        return {}

    def direction(self, start: Tensor, delta: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Return where to go [S] float64, and what to remember: the same names, shapes and types
        in every round.

        start: what clients started from [S] float64. delta: how far their mean is from it [S]. It
        is computed by every rank, so it draws nothing at random and keeps nothing on `self`.
        """
        raise NotImplementedError


R = TypeVar("R", bound=type[Rule])


def register(rule: R) -> R:
    """Let `server.rule` of a configuration mean a class of your own, and return the class: a
    decorator of it. ValueError for what no run could be made of, as for methods."""
    if not (isinstance(rule, type) and issubclass(rule, Rule)):
        raise ValueError(f"register: {quoted(rule)} is no subclass of {Rule.__module__}.Rule")
    if getattr(rule, "name", None) in ServerRule.__members__:
        raise ValueError(
            f"{rule.__module__}.{rule.__qualname__}.name: {rule.name} is what server.name calls a "
            "rule of ours; give the class another name"
        )
    admit(rule, RULES, "my_rule")
    return rule


class Remembering:
    """A rule with what it remembers, of S shared numbers."""

    def __init__(self, rule: Rule, size: int) -> None:
        """size: S."""
        self.rule, self.size = rule, size
        self.memory = rule.memory(size)
        self.form = _form(self.memory)

    def direction(self, start: Tensor, delta: Tensor) -> Tensor:
        """Return where to go [S] float64, and remember; ValueError for what is none.

        By one thread, as how many there are shall reach no bit; of copies, which may be altered.
        """
        held = {name: x.clone() for name, x in self.memory.items()}
        with one_thread():
            answer = self.rule.direction(start.clone(), delta.clone(), held)
        if not isinstance(answer, tuple) or [*map(type, answer)] != [Tensor, dict]:
            raise ValueError(
                f"server.rule: {self.rule.name} returned {quoted(answer)}; let its direction "
                "return a tensor and what it remembers: `return found, {}`"
            )
        found, memory = answer
        if _form({"": found}) != {"": (torch.float64, (self.size,))}:
            raise ValueError(
                f"server.rule: the direction of {self.rule.name} is of {found.dtype} and shape "
                f"{list(found.shape)}; let it return float64 of shape [{self.size}], as start is"
            )
        if _form(memory) != self.form:
            raise ValueError(
                f"server.rule: {self.rule.name} remembers {_form(memory)}, and began with "
                f"{self.form}; let it return the same names, types and shapes in every round"
            )
        for name, x in memory.items():
            if not bool(x.isfinite().all()):
                raise ValueError(
                    f"server.rule: {name} that {self.rule.name} remembers is not finite; lower "
                    "server.lr, or mend the rule"
                )
        self.memory = memory
        return found

    def state(self) -> Memory:
        """Return what the next round needs."""
        return {f"rule_{name}": x for name, x in self.memory.items()}

    def load(self, state: Memory) -> None:
        """Take back what `state` returned."""
        self.memory = {name: state[f"rule_{name}"].clone() for name in self.memory}


def _form(memory: Memory) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    return {name: (x.dtype, tuple(x.shape)) for name, x in memory.items()}
