"""Unfinished scores: what a start has scored of a state, kept for the start that goes on.

One file of counts, `scores.safetensors`, which says of which state they are and vouches for itself.
They belong to that state alone: with another one everybody is scored anew.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pfedmma_dist.run.files import write_bytes_atomically
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

FACTS = "facts"
"""Name of the tensor that holds the JSON of the rest, as bytes."""


@dataclass(frozen=True)
class Unfinished:
    """Scores so far, over all ranks."""

    state: str  # whose they are, of `manifest.state_of`
    tables: dict[str, Tensor]  # names of scopes -> [K, 2 + 2 S] int64, how far clients are
    seconds: float  # spent on them


def write(path: Path, scores: Unfinished) -> None:
    """Replace the file."""
    facts = {
        "state": scores.state, "seconds": scores.seconds, "sha256": _digest(scores.tables)
    }  # fmt: skip
    told = torch.tensor(list(json.dumps(facts).encode()), dtype=torch.uint8)
    write_bytes_atomically(path, save({**scores.tables, FACTS: told}))


def read(path: Path, state: str, num_clients: int) -> Unfinished | None:
    """Return the scores so far of a state, None where the file holds none of it.

    What is damaged is left out with a warning: it costs time, and no number.
    """
    try:
        tables = load(path.read_bytes())
        facts = json.loads(bytes(tables.pop(FACTS).tolist()))
        is_ours = facts["sha256"] == _digest(tables)
        found = Unfinished(facts["state"], tables, float(facts["seconds"]))
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is not readable (%s); all clients are scored anew", path, error)
        return None
    if not is_ours:
        log.warning("%s is not as it was written; all clients are scored anew", path)
        return None
    fits = all(
        table.dtype == torch.int64 and table.shape == _shape(name, num_clients)
        for name, table in tables.items()
    )
    return found if found.state == state and fits else None


def shared(world: World, found: Unfinished | None, num_clients: int) -> dict[str, Tensor]:
    """Return on all ranks the tables that rank 0 has found. Collective."""
    own = found.tables if found is not None and world.first else {}
    names = [name for name in world.gather_texts("|".join(own))[0].split("|") if name]
    return {
        name: world.exact_sum(
            own[name].clone()
            if name in own
            else torch.zeros(_shape(name, num_clients), dtype=torch.int64)
        )
        for name in names
    }


def remove(path: Path) -> None:
    """Remove the file, as nobody has to go on from it."""
    path.unlink(missing_ok=True)


def _shape(names: str, num_clients: int) -> tuple[int, int]:
    return num_clients, 2 + 2 * len(names.split())


def _digest(tables: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, table in sorted(tables.items()):
        found.update(f"{name} {tuple(table.shape)} {table.dtype}".encode())
        found.update(table.contiguous().numpy().tobytes())
    return found.hexdigest()
