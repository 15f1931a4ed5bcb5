"""Steady: nested inputs of a step, taken apart into a form and the tensors that fill it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import torch
from torch import Tensor

Form: TypeAlias = Any
"""What two inputs have in common that differ in the numbers of their tensors alone; hashable."""


class Unsteady(TypeError):
    """Inputs hold something that is neither a tensor nor made of tensors."""


@dataclass(frozen=True)
class Slot:
    """The place of a tensor."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


def taken_apart(nested: Any, tensors: list[Tensor]) -> Form:
    """Return the form of tensors in tuples and frozen dataclasses, or None among them, and append
    the tensors to a list.

    Unsteady for anything else: a number or a list may decide what a line of Python does, and no
    line runs again in a recording.
    """
    if nested is None:
        return None
    if isinstance(nested, Tensor):
        tensors.append(nested)
        return Slot(nested.shape, nested.stride(), nested.dtype)
    if type(nested) is tuple:
        return tuple, *(taken_apart(each, tensors) for each in nested)
    parameters = getattr(nested, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise Unsteady(type(nested).__name__)
    names = [field.name for field in fields(nested)]
    return type(nested), *(taken_apart(getattr(nested, name), tensors) for name in names)


def put_together(form: Form, tensors: Iterator[Tensor]) -> Any:
    """Return what `taken_apart` gave a form of, with these tensors."""
    if form is None:
        return None
    if isinstance(form, Slot):
        return next(tensors)
    kind, *inner = form
    parts = [put_together(each, tensors) for each in inner]
    return tuple(parts) if kind is tuple else kind(*parts)
