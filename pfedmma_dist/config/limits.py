"""What values must be beyond their types, as far as no data and no machine is needed to tell."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pfedmma_dist.config.choices import Select
from pfedmma_dist.config.merge import LIMIT, leaves, plain
from pfedmma_dist.config.templates import is_template
from pfedmma_dist.spelling import hint, quoted


@dataclass(frozen=True)
class Limit:
    """What a value must be beyond its type."""

    holds: Callable[[Any], bool]
    words: str
    example: str = ""
    """A value within, where one of the key's type may not be."""


POSITIVE = Limit(lambda x: x > 0, "above 0")
NOT_NEGATIVE = Limit(lambda x: x >= 0, "0 or more")
AT_LEAST_1 = Limit(lambda x: 1 <= x < 2**31, "1 or more, below 2^31")
SHARE = Limit(lambda x: 0 <= x < 1, "0 or more and below 1")
PATH = Limit(
    lambda x: all(len(os.fsencode(part)) <= 255 for part in x.split("/")),
    "a path with names of 255 bytes at most",
)
COOP = "coop"
"""In place of a template: the data set's own."""
TEMPLATE = Limit(
    lambda x: is_template(x) or x == COOP,
    "text with exactly one {} for the class name (other braces doubled: {{ }}), or coop",
)


def is_count(text: str) -> bool:
    """Whether a text is a whole number of 1 or more, as one writes it."""
    return text.isascii() and text.isdecimal() and not text.startswith("0")


def limited(default: Any, limit: Limit) -> Any:
    """Return a field whose values are within a limit."""
    return field(default=default, metadata={LIMIT: limit})


def check(config: Any, sources: Collection[str]) -> None:
    """Refuse values that no data set and no machine could make sense of.

    config: of `config.keys`. sources: names of the known data sets.
    """
    enforce(config)
    if config.evaluate.select is Select.best_val:
        _refuse_blind_choice(config)
    if config.released.best_on_test:
        _refuse_two_choices(config)
    if config.data.names is None and config.data.name not in sources:
        known = ", ".join(sorted(sources))
        raise ValueError(
            f"data.name: {quoted(config.data.name)} is unknown{hint(config.data.name, sources)}; "
            f"known: {known}"
        )


def _refuse_blind_choice(config: Any) -> None:
    """Refuse to choose a round by what is not known of it."""
    if config.evaluate.every == 0:
        raise ValueError(
            "evaluate.select: best_val chooses among the rounds that are scored, and "
            "evaluate.every=0 scores none before the last; set evaluate.every=1"
        )
    if not config.data.validation:
        raise ValueError(
            "evaluate.select: best_val needs validation images, and data.validation=0 holds none "
            "apart; set data.validation=0.2, say"
        )


def _refuse_two_choices(config: Any) -> None:
    """Refuse to choose a round on test images where nothing is scored, or by another rule too."""
    if config.evaluate.select is not Select.last:
        raise ValueError(
            f"evaluate.select: {config.evaluate.select.value}, and released.best_on_test=true "
            "chooses a round, too; set evaluate.select=last"
        )
    if config.evaluate.every == 0:
        raise ValueError(
            "released.best_on_test: true chooses among the rounds that are scored, and "
            "evaluate.every=0 scores none before the last; set evaluate.every=1"
        )


def enforce(config: Any) -> None:
    """Refuse a dataclass with a value outside its field's limit; null is within all of them."""
    for key, leaf in leaves(type(config)).items():
        limit, value = leaf.metadata.get(LIMIT), reduce(getattr, key.split("."), config)
        if limit is not None and value is not None and not limit.holds(value):
            raise ValueError(
                f"{key}: {quoted(plain(value))} is not {limit.words}; for example {leaf.example}"
            )
