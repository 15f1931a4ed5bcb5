"""Row table: rows of one width in blocks of memory, or beyond a budget in a nameless file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

BLOCK = 2**22
"""Bytes by which a table grows: it is never copied to grow."""


class RowTable:
    """Rows [n, P] float32 by their places, which are taken in order."""

    def __init__(self, width: int) -> None:
        self.width, self.count = width, 0
        self.per_block = max(1, BLOCK // max(1, self.row_bytes))
        self.blocks: list[Tensor] = []  # [per_block, P] each
        self.file: BinaryIO | None = None
        self.folder = Path()

    @property
    def row_bytes(self) -> int:
        return 4 * self.width

    @property
    def in_memory(self) -> int:
        """Bytes of the rows that are held in memory."""
        return 0 if self.file else self.count * self.row_bytes

    def read(self, place: int) -> Tensor:
        """Return the row [P] at a place, from memory without a copy."""
        assert 0 <= place < self.count
        if self.file is None:
            return self.blocks[place // self.per_block][place % self.per_block]
        row = torch.empty(self.width)
        self.read_into(row, place)
        return row

    def read_into(self, row: Tensor, place: int) -> None:
        """Fill a row [P] on the CPU with that at a place: from the file without another copy."""
        if self.file is None:
            row.copy_(self.read(place))
            return
        assert 0 <= place < self.count
        view, done = row.numpy().data.cast("B"), 0
        while done < len(view):
            num = os.preadv(self.file.fileno(), [view[done:]], place * self.row_bytes + done)
            assert num, "a file that ends too early"
            done += num

    def write(self, place: int, row: Tensor) -> None:
        """Put a row [P] at a place, at most the next one."""
        assert 0 <= place <= self.count
        if self.file is None:
            if place == len(self.blocks) * self.per_block:
                self.blocks.append(torch.empty(self.per_block, self.width))
            self.blocks[place // self.per_block][place % self.per_block] = row
        else:
            self._put(place, row)
        self.count = max(self.count, place + 1)

    def move_to(self, folder: Path) -> None:
        """Hold the rows in a file from now on, which is gone with the process whatever kills it."""
        with self._room_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (while we live)
        blocks, self.blocks, self.file, self.folder = self.blocks, [], file, folder
        for place in range(self.count):
            self._put(place, blocks[place // self.per_block][place % self.per_block])
            if place % self.per_block == self.per_block - 1:
                blocks[place // self.per_block] = torch.empty(0)  # not both at once

    def _put(self, place: int, row: Tensor) -> None:
        view, done = row.contiguous().numpy().data.cast("B"), 0
        assert self.file is not None
        with self._room_in(self.folder):
            while done < len(view):
                done += os.pwrite(self.file.fileno(), view[done:], place * self.row_bytes + done)

    @contextmanager
    def _room_in(self, folder: Path) -> Iterator[None]:
        """Say in a ValueError what keeps rows out of a folder."""
        try:
            yield
        except OSError as error:
            raise ValueError(
                f"federation.client_memory: the {self.count:,} clients' own numbers of "
                f"{self.row_bytes:,} bytes each are more than fit, and {folder} does not take them "
                f"({error.strerror or error}); raise it, make room there, or point "
                "clip.cache_folder at another disk of this host"
            ) from error
