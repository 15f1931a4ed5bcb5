"""Rehearse a pickle of tensors: read it once with nothing built, before torch reads it.

torch's weights-only reader runs nothing that a file names, but believes its sizes: a key of tuples
that refer to tuples is hashed for ever, and a bytearray of any length is filled with zeros.
"""

import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

PYTHON: Any = pickle._Unpickler
"""Python's own unpickler, whose stack and instructions no type tells."""

PARTS = 4
"""Pickles before the tensors of torch's old format; the last holds the names."""


class Unfit(ValueError):
    """Say what torch must not be given to read."""


def rehearse(path: Path) -> None:
    """Raise Unfit where torch would not come back. What else is wrong is for torch to say."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    with archive.open(name) as file:
                        _read(file, 1)
    else:
        with open(path, "rb") as file:
            _read(file, PARTS)


def _read(file: IO[bytes], count: int) -> None:
    try:
        for _ in range(count):
            _Rehearsal(file, encoding="latin1").load()
    except Unfit:
        raise
    except (
        pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError, AttributeError,
        LookupError, OverflowError, MemoryError, RuntimeError, NotImplementedError,
    ):  # fmt: skip
        return  # no pickle, or a broken one


class _Anything:
    """Stands for whatever a file names, calls or makes."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass


class _Rehearsal(PYTHON):
    """Python's unpickler, which builds lists, tuples and dicts alone."""

    dispatch = dict(PYTHON.dispatch)  # code of an instruction -> what does it

    def find_class(self, module: str, name: str) -> type:
        """Return the stand-in for all classes and functions."""
        if name == "bytearray":
            raise Unfit("it asks for a bytearray, which no state dict needs")
        return _Anything

    def persistent_load(self, pid: object) -> _Anything:
        """Return the stand-in for a storage."""
        return _Anything()

    def _set_item(self) -> None:
        _need_plain_keys(self.stack[-2:-1])
        self.load_setitem()

    def _set_items(self) -> None:
        _need_plain_keys(self.stack[::2])  # those since the last mark
        self.load_setitems()

    def _other(self) -> None:
        raise pickle.UnpicklingError("an instruction that torch does not write")

    dispatch |= {
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _other,
        pickle.ADDITEMS[0]: _other,
        pickle.FROZENSET[0]: _other,
        pickle.BYTEARRAY8[0]: _other,
    }


def _need_plain_keys(keys: Iterable[Any]) -> None:
    """Refuse keys that are not hashed at once."""
    for key in keys:
        if not isinstance(key, str | bytes | int | float | None):
            raise Unfit(f"it has a key that is a {type(key).__name__}, where names belong")
