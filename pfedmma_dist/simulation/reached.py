"""Reached: what the folder of a run says of it, once it is certain whose folder it is."""

from copy import deepcopy
from typing import Any

import numpy as np

from pfedmma_dist.adoption import adopt
from pfedmma_dist.config.keys import Config
from pfedmma_dist.methods import METHODS
from pfedmma_dist.results.clients import read_clients
from pfedmma_dist.results.outcome import read_outcome
from pfedmma_dist.run import result
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import candidates
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.simulation.records import ByScope, Result, frozen_arrays


def is_finished(config: Config, folder: RunFolder) -> bool:
    """Whether the folder holds the result of this run; ValueError where it holds another run."""
    return _read(config, folder) is not None


def has_state(config: Config, folder: RunFolder) -> bool:
    """Whether the folder holds a state of this run; ValueError where it holds another run."""
    return is_finished(config, folder) or bool(candidates(folder.checkpoints))


def result_of(config: Config, folder: RunFolder) -> Result:
    """Return what the run has reached; ValueError where it is not finished."""
    body = _read(config, folder)
    if body is None:
        raise ValueError(f"run.folder: {folder.path} holds no finished run; train() it to its end")
    zero_shot, own = result.rows(folder, body)
    return Result(
        folder=folder.path,
        method=own.name,
        rounds=body["rounds"],
        scores=own.scores,
        zero_shot=zero_shot.scores,
        trained=own.trained,
        bytes_up=own.up_bytes,
        bytes_down=own.down_bytes,
        seconds=own.seconds,
        epsilon=own.epsilon,
        delta=own.delta,
        history=frozen_arrays(read_metrics(folder.metrics)),
        clients=clients_of(folder),
        facts=body,
    )


def clients_of(folder: RunFolder) -> ByScope:
    """Return the scores of the clients of a run that is finished, {} for one that is not."""
    if not folder.result.exists():
        return {}
    found = read_clients(read_outcome(folder.path)).scores
    return frozen_arrays(
        {
            scope: np.array([np.nan if x is None else x for _, x in sorted(of_client.items())])
            for scope, of_client in found.items()
        }
    )


def _read(config: Config, folder: RunFolder) -> dict[str, Any] | None:
    adopt(deepcopy(config), folder, METHODS)
    return result.read(folder)
