"""Negative controls that need no training: private parts swapped, and the method switched off."""

import csv
import io
from pathlib import Path

import numpy as np

from pfedmma_dist.build import attach_features
from pfedmma_dist.config.keys import Config
from pfedmma_dist.federation import probes
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.results.controls import Scored, matrix_file, write_scored
from pfedmma_dist.run.files import write_text_atomically, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.trained import restored
from pfedmma_dist.world import World


def score_controls(cfg: Config, run: RunFolder, folder: Path, world: World) -> int:
    """Score a finished run with numbers that are not the clients' own, into a folder of its
    controls; return the exit code."""
    console = configure_logging(world, None)
    world.tell()
    federation, done = restored(cfg, run, world)
    with Progress(world, console, done) as progress:
        attach_features(federation, progress.step, training=Examiner(federation).tunes)
        why_not_swapped, why_not_silent = (
            probes.why_not_swapped(federation), probes.why_not_silent(federation),
        )  # fmt: skip
        matrix = None if why_not_swapped else probes.swapped(federation)
        silent = None if why_not_silent else probes.silenced(federation)
    if world.first:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if matrix is not None:
                write_text_atomically(matrix_file(folder), _table(federation, matrix))
            scores = {} if silent is None else summary(silent.percent, federation.task.domains)
            own, others = (None, None) if matrix is None else _means(matrix)
            found = Scored(why_not_swapped, own, others, why_not_silent, scores)
            write_scored(folder, run, found)
    return 0


def _means(matrix: np.ndarray) -> tuple[float, float]:
    """Return the mean of the diagonal [n, n] and that of the rest; a client without images counts
    nowhere."""
    is_own = np.eye(len(matrix), dtype=bool)
    return float(np.nanmean(matrix[is_own])), float(np.nanmean(matrix[~is_own]))


def _table(federation: Federation, matrix: np.ndarray) -> str:
    """Return the matrix as CSV: a row for whose numbers, a column for whose images."""
    text, clients = io.StringIO(), federation.seen.tolist()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["numbers of client", *(f"images of client {client}" for client in clients)])
    for client, row in zip(clients, matrix, strict=True):
        writer.writerow([client, *("" if np.isnan(x) else f"{x:.4f}" for x in row)])
    return text.getvalue()
