"""Prompt: the text in which a set's authors put class names, as its source carries it."""

from collections.abc import Callable
from typing import Any, TypeVar

S = TypeVar("S", bound=Callable[..., object])


def prompted(template: str, *, fixed_shots: bool = False) -> Callable[[S], S]:
    """Give a source its `template`, and whether the published code draws its shots by a seed."""

    def give(source: S) -> S:
        carrier: Any = source  # a function, whose type knows of no attributes
        carrier.template, carrier.fixed_shots = template, fixed_shots
        return source

    return give
