"""Pickles: plain data out of files that could otherwise run any code.

Split lists and CIFAR come as pickles from strangers. Of what a pickle may ask for, only numpy's
arrays are granted, and these are built by the code below: nothing that a file names is ever called.
"""

import io
import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

KINDS = re.compile(r"[|<>=]?([biufSU]\d+|O8?)")
"""Element types of arrays: numbers, text and plain objects."""


class ForbiddenPickle(pickle.UnpicklingError):
    """A pickle that asks for more than plain data."""


def load_plain(file: Path) -> Any:
    """Return the numbers, text, lists, tuples, dicts and arrays in a pickle, or raise ValueError.

    Text of Python 2 becomes text, in latin-1.
    """
    try:
        return _plain(_Unpickler(io.BytesIO(file.read_bytes()), encoding="latin1").load())
    except ForbiddenPickle as error:
        raise ValueError(
            f"data.root: {file} asks to run {error}, which no list or array needs; it was refused "
            "unread: get the file from its publisher"
        ) from error
    except OSError as error:
        raise ValueError(f"data.root: cannot read {file}: {error.strerror}") from error
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError,
        OverflowError, MemoryError, RecursionError, struct.error,
    ) as error:  # fmt: skip
        # What Python's unpickler raises on cut or altered files.
        raise ValueError(
            f"data.root: {file} is truncated or no pickle of plain data ({error}); fetch it again"
        ) from error


class _Dtype:
    """Stands for numpy.dtype: takes note of what it is given."""

    def __init__(self, kind: str, *_: object) -> None:
        if not isinstance(kind, str) or not KINDS.fullmatch(kind):
            raise ForbiddenPickle(f"numpy.dtype({kind!r})")
        self.kind, self.order = kind.lstrip("|<>="), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # (version, byte order, subdtype, names, fields, ...), of which plain types have the second
        if any(part is not None for part in state[2:5]):
            raise ForbiddenPickle("a structured numpy.dtype")
        self.order = ">" if state[1] == ">" else "<"

    def array(self, data: Any, shape: tuple[int, ...], fortran: bool) -> np.ndarray:
        """Return an array of these elements: a list of objects, or bytes."""
        if self.kind.startswith("O"):
            flat = np.empty(len(data), object)
            for place, item in enumerate(data):
                flat[place] = _plain(item)
        else:
            data = data.encode("latin1") if isinstance(data, str) else bytes(data)
            flat = np.frombuffer(data, np.dtype(self.order + self.kind))
        return flat.reshape(shape, order="F" if fortran else "C")


class _Array:
    """Stands for numpy.ndarray until its contents come."""

    value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = dtype.array(data, shape, bool(fortran))


def _reconstruct(kind: type, shape: object, typecode: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, data: Any) -> Any:
    if not isinstance(dtype, _Dtype) or dtype.kind.startswith("O"):
        raise ForbiddenPickle("a numpy scalar that is an object")
    return dtype.array(data, (), False).item()


def _from_buffer(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return dtype.array(data, shape, order == "F")


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ForbiddenPickle(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


GRANTED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,  # how bytes are written for Python 2
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")  # before and since numpy 2
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
"""(module, name) in a pickle -> what stands in for it."""


class _Unpickler(pickle._Unpickler):
    """Python's unpickler, with nothing to call but the stand-ins.

    The one written in Python: that in C takes as much memory as a number in the file says.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in GRANTED:
            raise ForbiddenPickle(f"{module}.{name}")
        return GRANTED[module, name]


def _plain(value: Any) -> Any:
    """Return a value with arrays in place of their stand-ins; refuse all that is not data."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, str | bytes | bool | int | float | np.ndarray):
        return value
    raise ForbiddenPickle(f"a {type(value).__name__}")
