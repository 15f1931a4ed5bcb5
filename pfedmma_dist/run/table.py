"""The table a run ends with: zero-shot and the method, side by side."""

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from pfedmma_dist.run.record import MethodResult

MISSING = "–"

SCORES = {
    "Local": "local_mean",
    "Base": "base_mean",
    "Novel": "novel_mean",
    "HM": "hm",
    "HM\nb/n": "hm_base_novel",
}
"""Heading -> key of `summary`."""


def final_table(title: str, results: Sequence[MethodResult]) -> Table:
    """Return the table of accuracies (percent), sizes and traffic per client and round."""
    table = Table(
        title=title,
        title_justify="left",
        caption="accuracies in percent; trained, up and down count numbers per client and round",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),  # ten columns in 80 characters
    )
    table.add_column("Method")
    for heading in (*SCORES, "Trained", "Up", "Down", "Time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in results:
        table.add_row(
            row.name,
            *(
                f"{row.scores[key]:.2f}" if key in row.scores else MISSING
                for key in SCORES.values()
            ),
            f"{row.trained:,}",
            f"{row.up_numbers:,}\n{size(row.up_bytes)}",
            f"{row.down_numbers:,}\n{size(row.down_bytes)}",
            MISSING if row.seconds is None else duration(row.seconds),
        )
    return table


def show(title: str, results: Sequence[MethodResult]) -> None:
    """Print the final table on standard output."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(final_table(title, results))


def size(num_bytes: float) -> str:
    """Return bytes as people read them: 12288 -> 12 KiB, 1536 -> 1.5 KiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while num_bytes >= 1000 and len(units) > 1:
        num_bytes /= 1024
        units.pop(0)
    decimals = 1 if num_bytes < 10 and units[0] != "B" else 0
    return f"{num_bytes:.{decimals}f} {units[0]}"


def duration(seconds: float) -> str:
    """Return seconds as people read them: 7.25 -> 7.2 s, 75 -> 1:15, 3675 -> 1:01:15."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
