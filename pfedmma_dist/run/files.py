"""Write whole files or none: a reader never meets half of one."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a ValueError what could not be written in the run folder, here `path` or below."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"run.folder: cannot write to {error.filename or path} ({error.strerror}): it "
            "is, or lies below, a file; set run.folder to a new folder"
        ) from error
    except OSError as error:
        raise ValueError(
            f"run.folder: cannot write to {error.filename or path} ({error.strerror or error}); "
            "set run.folder to a folder with room that you may write to, or make room there and "
            "start the same command again to go on"
        ) from error


def write_text_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`; a crash or a full disk leaves the file as it was."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by these bytes; a crash or a full disk leaves the file as it was."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_file(stem: str, suffix: str) -> Iterator[Path]:
    """Make a file in the working folder that was not there before; gone where it is not written."""
    path, number = Path(f"{stem}{suffix}"), 1
    try:
        while True:
            try:
                path.touch(exist_ok=False)
                break
            except FileExistsError:
                number += 1
                path = Path(f"{stem}-{number}{suffix}")
        try:
            yield path
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ValueError(
            f"cannot write {path.absolute()} ({error.strerror or error}); start the command in a "
            "folder with room that you may write to"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON; numbers that are not finite become null."""
    write_text_atomically(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def sync(path: Path) -> None:
    """Force a file, or the names inside a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def plain(value: Any) -> Any:
    """Return `value` in JSON's own types: numpy unpacked, keys as text, not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
