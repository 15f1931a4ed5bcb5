"""Idle keys: what a configuration asks for and its method has no use for, so that nobody takes the
numbers of such a run for those of what was asked for."""

from collections.abc import Iterator
from typing import Any

from pfedmma_dist.config.choices import Schedule, Unit
from pfedmma_dist.config.keys import Config, EvaluateConfig, FederationConfig
from pfedmma_dist.config.learning import OptimConfig, ServerConfig
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout


def idle(cfg: Config, method: Method, layout: Layout) -> list[str]:
    """Return what to say of the keys that change no score of a run, and are not refused."""
    told: dict[str, str] = {}  # word -> why it has no effect
    if not layout.num_shared:
        why = f"{method.name} shares nothing here"
        words = _asked("server", cfg.server, ServerConfig(), *vars(cfg.server))
        told |= dict.fromkeys(words, why)
        words = _asked("federation", cfg.federation, FederationConfig(), "proximal")
        told |= dict.fromkeys(words, why)
    if method.counts or not layout.num_trained:
        why = f"{method.name} takes no step"
        words = _asked("optim", cfg.optim, OptimConfig(), *vars(cfg.optim))
        told |= dict.fromkeys(words, why)
        words = _asked("federation", cfg.federation, FederationConfig(), "local_epochs", "softmax")
        told |= dict.fromkeys(words, why)
        words = _asked("evaluate", cfg.evaluate, EvaluateConfig(), "finetune_epochs")
        told |= dict.fromkeys(words, why)
    elif cfg.optim.unit is not Unit.rounds and _is_level(cfg.optim):
        told[f"optim.unit={cfg.optim.unit.name}"] = (
            "the rate is the same at every step; optim.schedule and optim.warmup change it"
        )
    lines = [f"{word} has no effect: {why}" for word, why in told.items()]
    if asleep := _asleep(method, cfg.federation.rounds):
        where = f"{asleep[0]} to {asleep[-1]}" if len(asleep) > 1 else asleep[0]
        lines.append(
            f"{len(asleep)} parameters of {method.name} ({where}) never train in "
            f"federation.rounds={cfg.federation.rounds}, and are sent all the same"
        )
    return lines


def _asleep(method: Method, num_rounds: int) -> list[str]:
    """Return the shared parameters that rest in every round, of every client."""
    found = {spec.name for spec in method.specs if spec.shared}
    for index in range(num_rounds):
        found &= {name for name, rests in method.resting(None, index).items() if rests.all()}
        if not found:
            return []
    return [spec.name for spec in method.specs if spec.name in found]


def _asked(section: str, own: Any, usual: Any, *names: str) -> Iterator[str]:
    """Yield `key=value` of these keys of a section, where they are not as by default."""
    for name in names:
        value = getattr(own, name)
        if value != getattr(usual, name):
            text = str(getattr(value, "name", value))
            yield f"{section}.{name}={text.lower() if isinstance(value, bool) else text}"


def _is_level(optim: OptimConfig) -> bool:
    """Whether the rate is the same at every step of a run."""
    return optim.schedule is Schedule.constant and not optim.warmup
