"""Pieces: files of checkpoints that hold rows of a shard's clients, so none is written twice."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

CHUNK = 2**24
"""Bytes of rows that are handled at once."""

SMALL = 2**24
"""Bytes of a shard's rows up to which each checkpoint holds them whole, in one file of its own."""


@dataclass(frozen=True)
class Piece:
    """A file with rows of clients; some of them may be outdated by now."""

    sha256: bytes
    num_bytes: int
    ids: np.ndarray  # [n] int64, ascending
    stamps: np.ndarray  # [n] int64, of the rows as they lie in the file
    paths: tuple[Path, ...]  # where it has been given a name, the newest first


@dataclass(frozen=True)
class Parts:
    """The state of a shard as a checkpoint holds it, in several files or in a large one."""

    states: Sequence[Mapping[str, Tensor]]  # ids [n] and rows [n, P]; later ones count
    pieces: Sequence[Piece]  # where each of them lies; stamps are not known yet


class Changing(ABC, Mapping[str, Tensor]):
    """The state of a shard, ids [n] and rows [n, P], that goes on changing while it is kept.

    Rows bear stamps: a row with the stamp that it had is the row that it was.
    """

    ids: np.ndarray  # [n] int64, ascending
    stamps: np.ndarray  # [n] int64
    width: int  # P

    @property
    @abstractmethod
    def pieces(self) -> Sequence[Piece]:
        """Return the files that are known to hold rows of the shard."""

    @abstractmethod
    def keep(self, pieces: Sequence[Piece]) -> None:
        """Take note of the files that hold the rows now."""

    @abstractmethod
    def chunks(self, ids: np.ndarray) -> Iterator[Tensor]:
        """Yield the rows of these clients [m, P] float32, CHUNK bytes or one row at a time."""
