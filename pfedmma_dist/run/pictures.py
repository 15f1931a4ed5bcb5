"""Which pictures a run has; drawn as it finishes, and later out of its folder where one lacks."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pfedmma_dist.quantities.scores import LOCAL, LOCAL_MEAN
from pfedmma_dist.reading import Unreadable, read_rows
from pfedmma_dist.run import figures
from pfedmma_dist.run.board import Board
from pfedmma_dist.run.drawing import save, stored
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import NO_SCOPES, read_metrics
from pfedmma_dist.run.optional import optional
from pfedmma_dist.run.result import read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

PARTITION = "classes_per_client"
"""Drawn as a run starts: what it shows is in no file of the folder."""

REMEDY = "restore it from a copy"


def pictures(
    metrics: Mapping[str, np.ndarray],  # columns of metrics.csv
    scopes: Sequence[str],
    scores: Mapping[str, np.ndarray],  # the final ones, scope -> [K] percent
    domains: Mapping[str, np.ndarray],  # name -> its clients
    zero_shot: Mapping[str, float],
) -> dict[str, Callable[[], "Figure"]]:
    """Return name -> how it is drawn of the pictures of what a run reached."""
    found: dict[str, Callable[[], Figure]] = {}
    if not np.isnan(metrics.get(LOCAL_MEAN.column, np.empty(0))).all():
        found["accuracy_over_rounds"] = lambda: figures.accuracy_over_rounds(
            metrics, scopes, zero_shot
        )
    other = scopes[-1]
    if {LOCAL, other} <= scores.keys() and other != LOCAL:
        found[f"{LOCAL}_versus_{other}"] = lambda: figures.own_versus(other, scores, zero_shot)
    if LOCAL in scores and domains:
        found["domains"] = lambda: figures.domains(scores[LOCAL], domains, zero_shot)
    return found


def publish(
    folder: RunFolder, board: Board, drawn: Mapping[str, Callable[[], "Figure"]], done: int
) -> None:
    """Draw pictures, and show them and that of the division in TensorBoard before they are in the
    folder: what is there is in both.

    done: rounds that were trained. Pictures stand behind the last round's step, where a start that
    finishes anew voids them.
    """
    folder.figures.mkdir(exist_ok=True)
    made: dict[Path, Path] = {}
    for name, draw in drawn.items():
        final = folder.picture(name)
        with optional(f"figures/{name}"):
            staged = final.with_name(f".{final.name}")
            save(draw(), staged)
            made[staged] = final
    shown = {final.stem: staged for staged, final in made.items()}
    kept = folder.picture(PARTITION)
    if kept.exists():
        shown = {PARTITION: kept, **shown}
    for name, path in shown.items():
        with optional(f"figures/{name} in TensorBoard"):
            board.image(f"figures/{name}", stored(path), picture_step(done))
    board.end_session()
    for staged, final in made.items():
        os.replace(staged, final)


def picture_step(done: int) -> int:
    """Return the step of pictures; that of a run without rounds has its scores at 0."""
    return max(done, 1)


def draw_missing(folder: RunFolder, config: Mapping[str, Any], config_text: str) -> None:
    """Draw the pictures that a finished run lacks: it was ended, or hindered, while it drew them.

    config, config_text: as of `Report`. That of the division is drawn as a run starts.
    """
    with optional("figures that are missing"):
        drawn = _recorded(folder)
        lacking = [name for name in drawn if not folder.picture(name).exists()]
        if lacking:
            log.info("drawing %s, missing in %s", ", ".join(lacking), folder.figures)
            done = len(read_metrics(folder.metrics).get("round", ()))
            board = Board(folder.tensorboard, picture_step(done), config, config_text)
            publish(folder, board, drawn, done)
            board.close()


def _recorded(folder: RunFolder) -> dict[str, Callable[[], "Figure"]]:
    """Return the pictures of a finished run by what its files hold."""
    result = read(folder)
    assert result is not None
    try:
        rows = read_rows(folder.clients, ("client",), REMEDY)
    except FileNotFoundError as error:
        raise Unreadable(folder.clients, "is missing", REMEDY) from error
    scopes = [name.removesuffix("_percent") for name in rows[0] if name not in NO_SCOPES]
    scores = {
        scope: np.array([float(row[f"{scope}_percent"] or "nan") for row in rows])
        for scope in scopes
    }
    domain_of = np.array([row.get("domain", "") for row in rows])
    domains = {name: np.flatnonzero(domain_of == name) for name in dict.fromkeys(domain_of) if name}
    zero_shot = result["results"][0] if len(result["results"]) > 1 else {"scores": {}}
    return pictures(
        read_metrics(folder.metrics),
        scopes,
        {scope: values for scope, values in scores.items() if not np.isnan(values).all()},
        domains,
        zero_shot["scores"],
    )
