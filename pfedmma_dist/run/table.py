"""The table a run ends with: zero-shot and the method, side by side."""

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pfedmma_dist.run.record import MethodResult
from pfedmma_dist.run.summary import DOMAIN, OWN, heading

MISSING = "–"

WIDTH = 100
"""Characters of a line where no terminal says how many it has."""

HARMONIC_HEADINGS = {"hm": "HM", "hm_base_novel": "HM\nb/n"}

SHORT = 5
"""Characters of a line of a domain's name; six domains of any name fit into 100 characters."""


def headings(scores: Iterable[str]) -> dict[str, str]:
    """Return key of `summary` -> heading of the scores worth a column, in the order of columns.

    A mean for each scope, after the own one that of each domain, and harmonic means; where neither
    of these is known, the worst decile of the own scope says how evenly clients are served.
    """
    keys = list(scores)
    means = [key.removesuffix("_mean") for key in keys if key.endswith("_mean")]
    domains = [name for name in means if name.startswith(DOMAIN)]
    harmonic = {key: text for key, text in HARMONIC_HEADINGS.items() if key in keys}
    found = {f"{OWN}_mean": heading(OWN)} if OWN in means else {}
    if not domains and not harmonic and OWN in means:
        found[f"{OWN}_worst_decile"] = "Worst\n10 %"
    found |= {f"{name}_mean": _fold(name.removeprefix(DOMAIN)) for name in domains}
    others = (name for name in means if name != OWN and name not in domains)
    return found | {f"{name}_mean": heading(name) for name in others} | harmonic


def final_table(title: str, results: Sequence[MethodResult], *, domains: bool = True) -> Table:
    """Return the table of accuracies (percent), sizes and traffic per client and round.

    domains: give each domain a column, where there are any.
    """
    shown = headings(dict.fromkeys(key for row in results for key in row.scores))
    if not domains:
        shown = {key: text for key, text in shown.items() if not key.startswith(DOMAIN)}
    crowded = any(key.startswith(DOMAIN) for key in shown)
    table = Table(
        title=title,
        title_justify="left",
        caption="accuracies in percent; trained, up and down count numbers per client and round",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 0 if crowded else 1, 0, 0),  # ten columns in 80 characters
    )
    table.add_column("Method", min_width=9)
    for text in (*shown.values(), "Trained", "Up", "Down", "Time"):
        table.add_column(escape(text), justify="right", no_wrap=True)
    for row in results:
        table.add_row(
            row.name,
            *(f"{row.scores[key]:.2f}" if key in row.scores else MISSING for key in shown),
            f"{row.trained:,}",
            f"{row.up_numbers:,}\n{size(row.up_bytes)}",
            f"{row.down_numbers:,}\n{size(row.down_bytes)}",
            MISSING if row.seconds is None else duration(row.seconds),
        )
    return table


def domain_table(results: Sequence[MethodResult]) -> Table:
    """Return the accuracies with a row per domain and a column per method."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(heading(OWN), max_width=40)
    for row in results:
        table.add_column(row.name, justify="right")
    for key in dict.fromkeys(key for row in results for key in row.scores):
        if key.startswith(DOMAIN):
            name = key.removeprefix(DOMAIN).removesuffix("_mean")
            values = (row.scores.get(key) for row in results)
            table.add_row(escape(name), *(MISSING if v is None else f"{v:.2f}" for v in values))
    return table


def show(title: str, results: Sequence[MethodResult]) -> None:
    """Print the final table on standard output; domains that do not fit get one of their own."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table = final_table(title, results)
    narrow = final_table(title, results, domains=False)
    needed = console.measure(table, options=console.options.update(max_width=10_000)).minimum
    if needed <= console.width or len(table.columns) == len(narrow.columns):
        console.print(table)
    else:
        console.print(narrow, "", domain_table(results), sep="\n")


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


def _fold(name: str) -> str:
    """Return a name in lines of at most SHORT characters and a hyphen: infograph, info-graph."""
    if len(name) <= SHORT + 1:
        return name
    num_lines = -(-len(name) // SHORT)
    width = -(-len(name) // num_lines)
    return "-\n".join(name[start : start + width] for start in range(0, len(name), width))
