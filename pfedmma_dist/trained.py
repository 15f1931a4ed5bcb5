"""A trained federation: that of a run's newest checkpoint, or of its best, to be scored only."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

from pfedmma_dist import plugins
from pfedmma_dist.adoption import check_config, recorded
from pfedmma_dist.best import Best
from pfedmma_dist.build import assemble
from pfedmma_dist.config.identity import defaults, differences, flat, meaning
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.meaning import Role
from pfedmma_dist.config.merge import shown
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.ownership import Owner
from pfedmma_dist.plugins.code import changed
from pfedmma_dist.restoring import load_into
from pfedmma_dist.run import loading, selection
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import Manifest
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.start import resolve
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

TRAINED = (
    "seed", "method.", "federation.", "optim.", "server.", "correction.", "system.", "privacy.",
    "attack.", "exchange.", "released.momentum", "released.wave", "released.references",
    "released.dropped", "released.stale_text",
    "data.num_clients", "data.validation", "control.labels", "control.shared",
)  # fmt: skip
"""Beginnings of the keys that made the state; others may say what it is scored on."""

DEALT = (
    "data.base_classes", "data.beta", "data.classes", "data.classes_per_client", "data.compat",
    "data.division", "data.held_out", "data.layout", "data.nested", "data.partition", "data.shots",
    "data.task", "data.train_per_class",
)  # fmt: skip
"""Keys that say which client has which images: where they are read, they made the state, too."""

SCORED = ("data.", "clip.")
"""Beginnings of the keys of what a state is scored on."""

Difference = tuple[str, Any, Any]
"""Dotted key, what was trained with, what is asked for."""


def restored(cfg: Config, folder: RunFolder, world: World) -> tuple[Federation, int]:
    """Return the federation of a run folder as its newest checkpoint has it, or the best of its
    rounds where evaluate.select says so, without features, and the rounds that it has trained.
    Collective.

    cfg: of the run, maybe with other data or prompts to score on.
    """
    together(world, lambda: check_config(folder, METHODS), ValueError)
    together(world, lambda: refuse_what_made_it(cfg, folder), ValueError)
    resolve(cfg, world)
    federation = assemble(cfg, world)
    others: list[Difference] = []
    owner = Owner(federation, folder)
    owner.agree()
    check = partial(_check, owner, others)
    try:
        return federation, take_state(federation, folder, check)
    except TogetherError as error:
        if not others:
            raise
        raise _does_not_fit(folder, others, error) from error


def take_state(federation: Federation, folder: RunFolder, check: loading.Check) -> int:
    """Give a federation the state of a run's newest checkpoint, or of its best round, and return
    the rounds that it has trained. Collective."""
    loaded = load_into(federation, folder.checkpoints, check)
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
        best.validated = selection.read_numbers(loaded.metrics or "", best.rule)
        if best.round is None:
            raise ValueError(
                f"evaluate.select: no round of {folder.path} was scored to be {best.words}; set "
                "evaluate.select=last and no released.best_on_test"
            )
        if best.round != done:
            best.load(check)
            done = best.round
    return done


def refuse_what_made_it(cfg: Config, folder: RunFolder) -> None:
    """Raise ValueError for a key that has made the state and is asked for otherwise."""
    wanted, usual = flat(cfg), defaults(cfg.method["name"], METHODS, cfg.server.rule)
    for path, saved, _ in recorded(folder):
        for key, was, now in differences(saved, wanted, usual):
            is_read = any(meaning(key).is_read({**usual, **one}) for one in (saved, wanted))
            if key.startswith(TRAINED) or (key in DEALT and is_read):
                raise ValueError(
                    f"{key}: {path} was trained with {shown(was)}, and {shown(now)} is asked for; "
                    "leave it as it was, or train a run of that"
                )


def _check(owner: Owner, others: list[Difference], path: Path, record: Manifest) -> None:
    """Say what is scored on something else, and put the keys that say so into `others`."""
    if record.format == 0:
        return
    owner.refuse_altered(path, record)
    saved, wanted = record.meta["configuration"], owner.facts["configuration"]
    others[:] = [
        (key, saved[key], now)
        for key, now in wanted.items()
        if key.startswith(SCORED) and meaning(key).role is Role.RESULT
        and saved.get(key, now) != now
    ]  # fmt: skip
    for words in changed(record.meta.get(plugins.KEY, []), owner.code):
        log.warning("scored with other code than it was trained with: %s", words)
    for words in owner.differences(record.meta):
        log.warning("scored on something else than it was trained on: %s", words)


def _does_not_fit(
    folder: RunFolder, others: list[Difference], error: TogetherError
) -> TogetherError:
    """Return the error of a state that what is asked for has no place for."""
    told = [
        f"{key}: {shown(was)} was trained with, {shown(now)} is asked for"
        for key, was, now in others
    ]
    return TogetherError(
        f"{'; '.join(told)}; the state in {folder.checkpoints} has other clients or other numbers "
        f"than that gives; leave it as it was ({error})"
    )
