"""Record a run where people look for it: two tables, result.json, TensorBoard, trackers, figures.

What can be done without comes last and is left out with a warning where it fails. On other ranks
than the first every call does nothing, so callers need no branches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pfedmma_dist.quantities.catalogue import Number, numbers_of_round
from pfedmma_dist.quantities.sampled import Sample
from pfedmma_dist.quantities.scores import LOCAL
from pfedmma_dist.run import figures, result
from pfedmma_dist.run.drawing import save
from pfedmma_dist.run.environment import memory_mib
from pfedmma_dist.run.files import write_text_atomically
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import MetricsFile, columns, csv_line, read_metrics
from pfedmma_dist.run.optional import optional
from pfedmma_dist.run.pictures import PARTITION, pictures, publish
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.trackers.sinks import Sinks
from pfedmma_dist.world import World

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTOGRAM_EDGES = np.linspace(0.0, 100.0, 21)


class Report:
    """The records of one run. Open it with the first round that is going to be trained."""

    def __init__(
        self,
        folder: RunFolder,
        world: World,
        clients: ClientTable,
        scopes: Sequence[str],
        config: Mapping[str, Any],
        config_text: str,
        start_round: int = 0,
        saved_metrics: str | None = None,
        sample: Sample | None = None,
        clocked: bool = False,
        trackers: Sequence[str] = (),
    ) -> None:
        """Open the files.

        scopes: all that clients will be scored on. config: dotted key -> value of all that decides
        the run; config_text: the YAML. saved_metrics: metrics.csv as the checkpoint has it. sample:
        who is scored and on what, where that is not all. clocked: whether a virtual clock runs.
        trackers: who is told besides, of run/trackers.
        """
        self.folder, self.clients, self.scopes = folder, clients, scopes
        self.sample = sample
        told = {"sampled": sample is not None, "clocked": clocked}
        self.columns = columns(scopes, clients.domains, **told)
        self.device: torch.device = world.device
        self.first = world.first
        if not self.first:
            return
        self.done = start_round
        self.dropped: MetricsFile | None = None  # once there is one to tell
        self.metrics = MetricsFile(folder.metrics, start_round, self.columns, saved_metrics)
        self.board = Sinks(folder, start_round, config, config_text, trackers, self.columns)
        if not start_round or not folder.picture(PARTITION).exists():
            with optional(f"figures/{PARTITION}.png"):
                save(self._partition(), folder.picture(PARTITION))

    def round(self, record: RoundRecord) -> None:
        """Add a finished round to metrics.csv, TensorBoard and trackers."""
        if not self.first:
            return
        resident, gpu = memory_mib(self.device)
        measured = {**record.measured, "resident_mib": resident, "gpu_mib": gpu}
        numbers = numbers_of_round(measured, record.scores, self.clients.domains)
        if self.sample is not None and record.scores:
            numbers["clients_scored"] = self.sample.scored(record.scores)
        self.metrics.append({"round": record.round_index, **numbers})
        self._add_dropped(record)
        self._add_scalars(numbers, record.round_index)
        own = record.scores.get(LOCAL, np.empty(0))
        own = own[~np.isnan(own)]
        if len(own):
            tag = f"{'sampled ' if self.sample else ''}clients/{LOCAL}"
            self.board.histogram(tag, own, record.round_index, HISTOGRAM_EDGES)
        self.board.flush()
        self.done = record.round_index + 1

    def laps(self, text: str) -> None:
        """Rewrite clock.csv: a row for every client and round."""
        if self.first:
            write_text_atomically(self.folder.clock, text)

    def metrics_text(self) -> str:
        """Return metrics.csv as it stands on the disk, for a checkpoint."""
        return self.metrics.text() if self.first else ""

    def score_clients(self, scores: Mapping[str, np.ndarray]) -> None:
        """Rewrite clients.csv: a row per client, accuracies in percent, empty where not scored."""
        if not self.first:
            return
        num_clients = len(self.clients.sizes)
        table: dict[str, Iterable[Any]] = {"client": range(num_clients)}
        if self.clients.domains:
            domain_of = np.empty(num_clients, object)
            for name, clients in self.clients.domains.items():
                domain_of[clients] = name
            table["domain"] = domain_of
        table |= {"train_images": self.clients.sizes, "classes": self.clients.num_classes}
        for scope in self.scopes:
            values = scores.get(scope, np.full(num_clients, np.nan))
            table[f"{scope}_percent"] = ["" if np.isnan(v) else f"{v:.8g}" for v in values]
        for scope, counts in self.sample.of_client.items() if self.sample else ():
            cells = zip(counts.tolist(), table[f"{scope}_percent"], strict=True)
            table[f"{scope}_images"] = [count if cell else "" for count, cell in cells]
        rows = zip(*table.values(), strict=True)
        lines = [csv_line(table), *(csv_line(map(str, row)) for row in rows)]
        write_text_atomically(self.folder.clients, "".join(lines))

    def finish(
        self,
        scores: Mapping[str, np.ndarray],
        zero_shot: Mapping[str, float],
        results: Sequence[MethodResult],
        facts: Mapping[str, Any],
    ) -> None:
        """Write clients.csv and result.json and, now that nothing can be lost, draw the figures.

        scores: the final ones, scope -> [K]. zero_shot: summary of the reference. results: rows of
        the final table. facts: further plain values for result.json.
        """
        if not self.first:
            return
        self.score_clients(scores)
        result.write(self.folder, {**facts, "results": [asdict(row) for row in results]})
        told = {"zero-shot": zero_shot, "result": results[-1].scores if results else {}}
        self.board.result({f"{of}/{key}": x for of, own in told.items() for key, x in own.items()})
        if not self.done:  # nothing is trained, and yet it is compared with others
            self._add_scalars(numbers_of_round({}, scores, self.clients.domains), self.done)
        with optional("figures"):
            metrics = read_metrics(self.folder.metrics)
            domains = self.clients.domains
            found = pictures(metrics, self.scopes, scores, domains, zero_shot)
            publish(self.folder, self.board, found, self.done)

    def close(self) -> None:
        """Close the files; harmless when called twice."""
        if self.first:
            self.metrics.close()
            if self.dropped is not None:
                self.dropped.close()
            self.board.close()

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _add_dropped(self, record: RoundRecord) -> None:
        """Add whom the server left out of a round to dropped.csv."""
        row = {"round": record.round_index, **record.dropped}
        if len(row) == 1:
            return
        if self.dropped is None:
            self.dropped = MetricsFile(self.folder.dropped, record.round_index, row)
        self.dropped.append(row)

    def _add_scalars(self, numbers: Mapping[str, Number], step: int) -> None:
        """Add what stands in the columns of metrics.csv to TensorBoard and trackers."""
        told = {
            tag: number
            for column, tag in self.columns.items()
            if tag and (number := numbers.get(column)) is not None
        }
        self.board.scalars(told, step)

    def _partition(self) -> "Figure":
        return figures.classes_per_client(self.clients)
