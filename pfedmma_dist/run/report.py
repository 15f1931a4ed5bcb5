"""Record a run where people look for it: two tables, TensorBoard, figures and result.json.

The only file that imports tensorboard, and that when the report is opened. On other ranks than the
first every call does nothing, so callers need no branches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pfedmma_dist.run import figures
from pfedmma_dist.run.environment import memory_mib
from pfedmma_dist.run.files import write_json, write_text_atomically
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import MetricsFile, columns, csv_line, read_metrics
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.summary import OWN, summary
from pfedmma_dist.world import World

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

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
    ) -> None:
        """Open the files.

        scopes: all that clients will be scored on. config: dotted key -> value of all that decides
        the run; config_text: the YAML. saved_metrics: metrics.csv as the checkpoint has it.
        """
        self.folder, self.clients, self.scopes = folder, clients, scopes
        self.columns = columns(scopes, clients.domains)
        self.device: torch.device = world.device
        self.first = world.first
        if not self.first:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.metrics = MetricsFile(folder.metrics, start_round, self.columns, saved_metrics)
        self.writer = SummaryWriter(str(folder.tensorboard), purge_step=start_round)
        self.writer.add_text("config", f"```yaml\n{config_text}\n```", start_round)
        self.session_end = _add_hparams(self.writer, config)
        self.writer.flush()

    def round(self, record: RoundRecord) -> None:
        """Add a finished round to metrics.csv and TensorBoard."""
        if not self.first:
            return
        resident, gpu = memory_mib(self.device)
        row: dict[str, int | float | None] = {
            "round": record.round_index,
            "loss": record.loss,
            "samples_per_second": record.samples_per_second,
            "train_seconds": record.train_seconds,
            "evaluate_seconds": record.evaluate_seconds,
            "client_up_bytes": record.client_up_bytes,
            "client_down_bytes": record.client_down_bytes,
            "rank_bytes": record.rank_bytes,
            "resident_mib": resident,
            "gpu_mib": gpu,
        }
        numbers = summary(record.scores, self.clients.domains)
        row |= {f"{name}_percent": value for name, value in numbers.items()}
        self.metrics.append(row)
        self._add_scalars(row, record.round_index)
        own = record.scores.get(OWN, np.empty(0))
        own = own[~np.isnan(own)]
        if len(own):
            self.writer.add_histogram(f"clients/{OWN}", own, record.round_index, HISTOGRAM_EDGES)
        self.writer.flush()

    def metrics_text(self) -> str:
        """Return metrics.csv as it stands on the disk, for a checkpoint."""
        return self.metrics.text() if self.first else ""

    def score_clients(self, scores: Mapping[str, np.ndarray]) -> None:
        """Rewrite clients.csv: a row per client, accuracies in percent, empty where not scored."""
        if not self.first:
            return
        num_clients = len(self.clients.sizes)
        table: dict[str, Sequence[object]] = {"client": range(num_clients)}
        if self.clients.domains:
            domain_of = np.empty(num_clients, object)
            for name, clients in self.clients.domains.items():
                domain_of[clients] = name
            table["domain"] = domain_of
        table |= {"train_images": self.clients.sizes, "classes": self.clients.num_classes}
        for scope in self.scopes:
            values = scores.get(scope, np.full(num_clients, np.nan))
            table[f"{scope}_percent"] = ["" if np.isnan(v) else f"{v:.8g}" for v in values]
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
        """Write clients.csv, the figures and, last of all, result.json.

        scores: the final ones, scope -> [K]. zero_shot: summary of the reference. results: rows of
        the final table. facts: further plain values for result.json.
        """
        if not self.first:
            return
        self.score_clients(scores)
        metrics = read_metrics(self.folder.metrics)
        step = int(metrics["round"][-1]) if len(metrics["round"]) else 0
        if not len(metrics["round"]):  # nothing is trained, and yet it is compared with others
            final = summary(scores, self.clients.domains)
            self._add_scalars({f"{name}_percent": value for name, value in final.items()}, step)
        drawn = {"classes_per_client": figures.classes_per_client(self.clients)}
        if not np.isnan(metrics[f"{OWN}_mean_percent"]).all():
            drawn["accuracy_over_rounds"] = figures.accuracy_over_rounds(
                metrics, self.scopes, zero_shot
            )
        other = self.scopes[-1]
        if {OWN, other} <= scores.keys() and other != OWN:
            drawn[f"{OWN}_versus_{other}"] = figures.own_versus(other, scores, zero_shot)
        if OWN in scores and self.clients.domains:
            drawn["domains"] = figures.domains(scores[OWN], self.clients.domains, zero_shot)
        for name, figure in drawn.items():
            self._keep(name, figure, step)
        self.writer.file_writer.add_summary(self.session_end)
        self.writer.flush()
        write_json(self.folder.result, {**facts, "results": [asdict(row) for row in results]})

    def close(self) -> None:
        """Close the files; harmless when called twice."""
        if self.first:
            self.metrics.close()
            self.writer.close()

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _add_scalars(self, row: Mapping[str, int | float | None], step: int) -> None:
        """Add what stands in the columns of metrics.csv to TensorBoard."""
        for column, tag in self.columns.items():
            value = row.get(column)
            if tag and value is not None:
                self.writer.add_scalar(tag, value, step)

    def _keep(self, name: str, figure: "Figure", step: int) -> None:
        figures.save(figure, self.folder.figures / f"{name}.png")
        # add_figure would import pyplot, and with it matplotlib's global state.
        self.writer.add_image(f"figures/{name}", figures.pixels(figure), step, dataformats="HWC")


def _add_hparams(writer: "SummaryWriter", config: Mapping[str, Any]) -> Any:
    """Add the configuration to the hparams page; return the event that marks the session's end.

    SummaryWriter.add_hparams would open a second writer in a folder of its own. No run says which
    hyperparameters there are: the page would believe any one of them about all others, while left
    alone it asks all, and shows first what differs.
    """
    from torch.utils.tensorboard.summary import hparams

    values = {
        key: value
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else str(value)
        for key, value in config.items()
    }
    _, session_start, session_end = hparams(values, {})
    writer.file_writer.add_summary(session_start)
    return session_end
