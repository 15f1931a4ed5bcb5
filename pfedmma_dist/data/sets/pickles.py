"""Pickles: plain data out of files that could otherwise run any code.

Split lists and CIFAR come as pickles from strangers. Of what a pickle may ask for, only numpy's
arrays are granted, and these are built by the code below: nothing that a file names is ever called.
Nor is a small file let ask for much: what it refers to twice is there twice for whoever walks over
it or hashes it, so that lists and keys of references would unfold without end.
"""

import io
import pickle
import re
import struct
from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import Any

import numpy as np

from pfedmma_dist.spelling import quoted, shortened

KINDS = re.compile(r"[|<>=]?([biufSU]\d+|O8?)")
"""Element types of arrays: numbers, text and plain objects."""

PYTHON: Any = pickle._Unpickler
"""Python's own unpickler, whose stack and instructions no type tells."""
DEEPEST = 16
"""Lists within lists; CIFAR's files and FedBN's lists have two."""
ROOM = 8
"""Values in the result per byte of the file, at most; an honest one has less than one."""


class ForbiddenPickle(pickle.UnpicklingError):
    """A pickle that asks for more than plain data."""


def load_plain(file: Path) -> Any:
    """Return the numbers, text, lists, tuples, dicts and arrays in a pickle, or raise ValueError.

    Text of Python 2 becomes text, in latin-1.
    """
    try:
        unpickler = _Unpickler(file.read_bytes())
        return unpickler.plain(unpickler.load())
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
            f"data.root: {file} is truncated or no pickle of plain data "
            f"({shortened(str(error), 160)}); fetch it again"
        ) from error


class _Dtype:
    """Stands for numpy.dtype: takes note of what it is given."""

    def __init__(self, kind: str, *_: object) -> None:
        if not isinstance(kind, str) or not KINDS.fullmatch(kind):
            raise ForbiddenPickle(f"numpy.dtype({_told(kind)})")
        self.kind, self.order = kind.lstrip("|<>="), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # (version, byte order, subdtype, names, fields, ...), of which plain types have the second
        if any(part is not None for part in state[2:5]):
            raise ForbiddenPickle("a structured numpy.dtype")
        self.order = ">" if state[1] == ">" else "<"

    @property
    def of_objects(self) -> bool:
        """Whether the elements are objects."""
        return self.kind.startswith("O")

    def numbers(self, data: Any) -> np.ndarray:
        """Return these bytes as elements: numbers or text."""
        if self.of_objects:
            raise ForbiddenPickle("a numpy.dtype of objects in bytes")
        data = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(data, np.dtype(self.order + self.kind))


class _Array:
    """Stands for numpy.ndarray until all is read."""

    state: tuple[Any, ...] | None = None
    value: np.ndarray | None = None  # built once, however often it is referred to

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def build(self, plain: Callable[[Any], Any]) -> np.ndarray:
        """Return the array. plain: of each element that is an object."""
        if self.value is None:
            if self.state is None:
                raise pickle.UnpicklingError("an array without content")
            _, shape, dtype, fortran, data = self.state
            if dtype.of_objects:
                flat = np.empty(len(data), object)
                for place, item in enumerate(data):
                    flat[place] = plain(item)
            else:
                flat = dtype.numbers(data)
            self.value = flat.reshape(shape, order="F" if fortran else "C")
        return self.value


def _reconstruct(kind: type, shape: object, typecode: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, data: Any) -> Any:
    if not isinstance(dtype, _Dtype) or dtype.of_objects:
        raise ForbiddenPickle("a numpy scalar that is an object")
    return dtype.numbers(data).reshape(()).item()


def _from_buffer(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return dtype.numbers(data).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ForbiddenPickle(f"_codecs.encode to {_told(encoding)}")
    return text.encode("latin1")


def _told(value: object) -> str:
    """Name a value in a message; only text is sure to be written in finite time."""
    return quoted(value) if isinstance(value, str) else f"a {type(value).__name__}"


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


class _Unpickler(PYTHON):
    """Python's unpickler, with nothing to call but the stand-ins, and a budget.

    The one written in Python: that in C takes as much memory as a number in the file says.
    """

    dispatch = dict(PYTHON.dispatch)  # code of an instruction -> what does it

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self.size = len(content)
        self.budget = ROOM * self.size

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in; what is no type pays for the size of what it is given."""
        if (module, name) not in GRANTED:
            raise ForbiddenPickle(shortened(f"{module}.{name}"))
        granted = GRANTED[module, name]

        def called(*given: Any) -> Any:
            self._spend(sum(len(part) for part in given if isinstance(part, Sized)))
            return granted(*given)

        return granted if isinstance(granted, type) else called

    def plain(self, value: Any, depth: int = 0) -> Any:
        """Return a value with arrays in place of their stand-ins; refuse all that is not data."""
        self._spend(1)
        if depth > DEEPEST:
            raise pickle.UnpicklingError(f"lists within lists, over {DEEPEST} deep")
        if isinstance(value, _Array):
            if value.value is None and value.state is not None:
                self._spend(len(value.state[-1]))
            return value.build(lambda item: self.plain(item, depth + 1))
        if isinstance(value, list | tuple):
            return type(value)(self.plain(item, depth + 1) for item in value)
        if isinstance(value, dict):
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise pickle.UnpicklingError(f"a number of {value.bit_length():,} bits")
        if value is None or isinstance(value, str | bytes | bool | int | float | np.ndarray):
            return value
        raise ForbiddenPickle(f"a {type(value).__name__}")

    def _spend(self, count: int) -> None:
        self.budget -= count
        if self.budget < 0:
            raise pickle.UnpicklingError(f"it unfolds to over {ROOM} values for each of its bytes")

    def _build(self) -> None:
        if not isinstance(self.stack[-2], _Array | _Dtype):  # not their types, nor functions
            raise ForbiddenPickle(f"__setstate__ of a {type(self.stack[-2]).__name__}")
        self.load_build()

    def _set_item(self) -> None:
        self._need_plain_keys(self.stack[-2:-1])
        self.load_setitem()

    def _set_items(self) -> None:
        self._need_plain_keys(self.stack[::2])  # those since the last mark
        self.load_setitems()

    def _dict(self) -> None:
        self._need_plain_keys(self.stack[::2])
        self.load_dict()

    def _need_plain_keys(self, keys: Iterable[Any]) -> None:
        """Refuse keys that are not hashed at once: tuples of tuples may never be."""
        for key in keys:
            if not isinstance(key, str | bytes | int | float | None):
                raise pickle.UnpicklingError(f"a key that is a {type(key).__name__}")
            if isinstance(key, int):
                self.plain(key)

    def _set(self) -> None:
        raise ForbiddenPickle("a set")

    def _bytearray(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        if size > self.size:
            raise EOFError(f"{size:,} bytes announced in a file of {self.size:,}")
        self.append(bytearray(self.read(size)))

    dispatch |= {
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _dict,
        pickle.EMPTY_SET[0]: _set,
        pickle.ADDITEMS[0]: _set,
        pickle.FROZENSET[0]: _set,
        pickle.BYTEARRAY8[0]: _bytearray,
    }
