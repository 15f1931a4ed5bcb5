"""The files of a feature cache: named, opened by all ranks of a host, given their room, mapped."""

import mmap
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

GIB = 2**30

ABSENT = "is not there"
"""What a storage says of an entry that nobody has made yet."""

Buffer = mmap.mmap | bytearray
"""What a tensor can lie in."""


class Storage(Protocol):
    """Where the files of one cache lie; `sizes` are their bytes by name.

    A cache is made in steps, and every rank of every host waits for the others after each: `clear`,
    `check_room`, `create`, `open`, `extend`, then `buffers` to write into, `publish`, and in the
    end `finished`, from where the features are read.
    """

    place: str  # ram or disk, for the report

    def look(self, sizes: Mapping[str, int], part: slice) -> str:
        """Return "" where all files are there and this part of their blocks is intact; else ABSENT,
        or the name of the entry and what is wrong with it."""
        ...

    def clear(self) -> None:
        """Remove what is in the way, damaged files included, where this rank leads."""
        ...

    def check_room(self, num_bytes: int) -> None:
        """Raise ValueError where there is too little room, saying how much it takes."""
        ...

    def create(self, sizes: Mapping[str, int]) -> None:
        """Make the files, empty, where this rank leads."""
        ...

    def open(self, sizes: Mapping[str, int]) -> None:
        """Open the files."""
        ...

    def extend(self, sizes: Mapping[str, int]) -> None:
        """Give the files their length, and the room for it, where this rank leads."""
        ...

    def buffers(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Map the files, to be written to by all ranks."""
        ...

    def digests(self, sizes: Mapping[str, int], part: slice) -> list[bytes]:
        """Return the digests of this part of the blocks; none where nobody will ask for them."""
        ...

    def publish(self, sizes: Mapping[str, int], digests: list[bytes], words: dict) -> None:
        """Let later runs find the files, where this rank leads and they outlive their run."""
        ...

    def finished(self, sizes: Mapping[str, int]) -> dict[str, Buffer]:
        """Map the whole files, to be read."""
        ...

    def close(self) -> None:
        """Let go of everything but the mapped files."""
        ...


def open_all(paths: Mapping[str, Path]) -> dict[str, BinaryIO]:
    """Open files to read and write, those that another rank has made."""
    return {name: open(path, "r+b") for name, path in paths.items()}


def extend(files: Mapping[str, BinaryIO], sizes: Mapping[str, int], place: Path) -> None:
    """Bring files to their length: a disk that fills up says so now, not by a crash in between."""
    try:
        for name, file in files.items():
            if sizes[name] and hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, sizes[name])
            else:
                file.truncate(sizes[name])
    except OSError as error:
        raise ValueError(
            f"clip.cache: {need(sum(sizes.values()))}, which {place} does not give: "
            f"{error}; free some room there, lower data.views, or set clip.cache_dtype=bfloat16"
        ) from error


def mapped(file: BinaryIO, size: int, *, shared: bool) -> Buffer:
    """Map a file. shared: writes reach the file; else they stay with this process."""
    if not size:
        return bytearray()  # nothing cannot be mapped
    access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
    return mmap.mmap(file.fileno(), size, access=access)


def need(num_bytes: int) -> str:
    """Say how much a cache takes."""
    return f"the feature cache needs {num_bytes / GIB:.2f} GiB"


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
