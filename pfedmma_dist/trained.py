"""A trained federation: that of a run's newest checkpoint, or of its best, to be scored only."""

import logging
from functools import partial
from pathlib import Path

from pfedmma_dist.best import Best
from pfedmma_dist.build import assemble
from pfedmma_dist.config.identity import defaults, differences
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import shown
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.ownership import Owner
from pfedmma_dist.run import loading, selection
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import Manifest
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.start import check_config, resolve
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

TRAINED = (
    "seed", "method.", "federation.", "optim.", "server.", "correction.", "data.num_clients",
    "data.validation", "control.labels", "control.shared",
)  # fmt: skip
"""Beginnings of the keys that made the state; others may say what it is scored on."""


def restored(cfg: Config, folder: RunFolder, world: World) -> tuple[Federation, int]:
    """Return the federation of a run folder as its newest checkpoint has it, or the best of its
    rounds where evaluate.select says so, without features, and the rounds that it has trained.
    Collective.

    cfg: of the run, maybe with other data or prompts to score on.
    """
    together(world, lambda: check_config(folder), ValueError)
    resolve(cfg, world)
    federation = assemble(cfg, world)
    check = partial(_check, Owner(federation, folder))
    loaded = loading.load(
        folder.checkpoints,
        world,
        federation.hosted,
        federation.layout.fingerprint(),
        cfg.federation.num_shards,
        check,
        lambda found: federation.load(found.shards, found.server, found.round_index),
    )
    if loaded is None and federation.layout.num_trained:
        finished = folder.result.exists()
        words = (
            "has lost its checkpoints; restore them from a copy"
            if finished
            else ("holds no checkpoint yet; let it train first")
        )
        raise ValueError(f"run.folder: {folder.path} {words}")
    done = 0 if loaded is None else loaded.round_index
    best = Best(federation, folder)
    if best.chooses and loaded is not None:
        best.validated = selection.read_validated(loaded.metrics or "")
        if best.round is None:
            raise ValueError(
                f"evaluate.select: no round of {folder.path} was scored on validation images, so "
                "none is the best; set evaluate.select=last"
            )
        if best.round != done:
            best.load(check)
            done = best.round
    return federation, done


def _check(owner: Owner, path: Path, record: Manifest) -> None:
    """Refuse keys that have made the state; say what is scored on something else."""
    if record.format == 0:
        return
    saved, wanted = record.meta["configuration"], owner.facts["configuration"]
    usual = defaults(wanted["method.name"], METHODS)
    for key, was, now in differences(saved, wanted, usual):
        if key.startswith(TRAINED):
            raise TogetherError(
                f"{key}: {path} was trained with {shown(was)}, and {shown(now)} is asked for; "
                "leave it as it was, or train a run of that"
            )
    for words in owner.differences(record.meta):
        log.warning("scored on something else than it was trained on: %s", words)
