"""What a method demands beside its file, each with the very lines to write and where."""

import re
from collections.abc import Iterator

from pfedmma_dist.methods import METHODS
from tests.cards.card import first_line
from tests.cards.counts import numbers
from tests.cards.measured import SWEEP, comparisons
from tests.cards.presets import GLYPHS, ROOT, SweepRow, sweep_rows

TABLES = {
    "table_base_to_novel": ("",),
    "table_label_shift": ("",),
    "table_feature_shift": ("DomainNet ", "Office "),
}
"""Sweeps of the paper's tables -> what the labels of their rows begin with."""
TESTS = ROOT / "tests" / "methods"
METHOD_TABLE = "docs/method-table.md"
TABLE_ROW = "| `{name}` | {what} | {trained} | {up} / {down} | – | {source} |"


def demands(names: list[str] | None = None) -> list[str]:
    """Return what methods, all of them by default, still lack."""
    chosen = METHODS if names is None else names
    return [told for name in chosen for look in LOOKS for told in look(name)]


def wanted(place: str, *lines: str) -> str:
    """Return a demand: where to write which lines."""
    return "\n".join([f"{place}: write", *(f"    {line}" for line in lines)])


def title(name: str) -> str:
    """Return what people call a method."""
    return first_line(METHODS[name]).partition(":")[0]


def presets(name: str) -> Iterator[str]:
    """Look for the comparable preset and that of the glyphs."""
    for folder, comment in (
        ("", "# {}: the optimiser of the pFedMMA comparison. (What does the file reproduce?)"),
        (f"{GLYPHS}/", "# {} for the mini-CLIP. (How was the rate chosen: on which seeds?)"),
    ):
        path = f"configs/method/{folder}{name}.yaml"
        if not (ROOT / path).exists():
            body = ["method:", f"  name: {name}", *["optim:", "  lr: 1e-3"] * bool(folder)]
            yield wanted(path, comment.format(title(name)), *body)


def sweeps(name: str) -> Iterator[str]:
    """Look for the rows of sweeps; one without sharing where a method lets one choose."""
    for sweep, beginnings, folder in (
        (SWEEP, ("",), f"{GLYPHS}/"),
        *((table, labels, "") for table, labels in TABLES.items()),
    ):
        there = [row for row in sweep_rows() if row.sweep == sweep]
        preset, ways = f"configs/method/{folder}{name}.yaml", [("", [])]
        if sweep != SWEEP and hasattr(METHODS[name].Options(), "share"):
            ways.append((" without sharing", ["method.share=none"]))
        lines = []
        for start in beginnings:
            data = data_of(there, start)
            lines += [
                f"  {start}{title(name)}{end}: [{', '.join([*data, preset, *others])}]"
                for end, others in ways
                if not any(
                    row.preset == preset and set(others) <= set(row.others)
                    and row.label.startswith(start)
                    for row in there
                )
            ]  # fmt: skip
        if lines:
            yield wanted(f"configs/sweep/{sweep}.yaml, below `rows:`", *lines)


def data_of(rows: list[SweepRow], start: str) -> list[str]:
    """Return the data preset of the rows that begin so, where a label names the data."""
    found = {row.data for row in rows if start and row.label.startswith(start)}
    return sorted(path for path in found if path)


def table_row(name: str) -> Iterator[str]:
    """Look for the row of the page of costs, and hold its numbers against the specs."""
    trained, up, down = numbers(name, METHODS[name].Options(), "ViT-B-16")
    line = TABLE_ROW.format(
        name=name, trained=trained, up=up, down=down,
        what="what is trained; *what is averaged*", source="paper, venue and year",
    )  # fmt: skip
    rows = (ROOT / METHOD_TABLE).read_text(encoding="utf-8").splitlines()
    found = next((row for row in rows if row.startswith(f"| `{name}` |")), None)
    if found is None:
        yield wanted(METHOD_TABLE, line)
    elif f"| {trained} | {up} / {down} |" not in found:
        yield wanted(f"{METHOD_TABLE}, into the row of `{name}`", f"| {trained} | {up} / {down} |")


def cost(name: str) -> Iterator[str]:
    """Look for a test of the counts, among those of all methods or of its file."""
    kind = METHODS[name]
    files = {f"test_{module}.py" for module in ("cost_table", kind.__module__.split(".")[-1])}
    there = [TESTS / file for file in sorted(files) if (TESTS / file).exists()]
    texts = [path.read_text(encoding="utf-8") for path in there]
    if not any(re.search(rf"\b{kind.__name__}\b", text) and "cost" in text for text in texts):
        counted = "(trained, sent, received), counted by hand from the paper"
        yield wanted(
            "tests/methods/test_cost_table.py",
            f"def test_{name}() -> None:",
            f"    assert costs({kind.__name__}) == {counted}",
        )


def golden(name: str) -> Iterator[str]:
    """Look for something that the method was compared with."""
    if not comparisons(name):
        kind = METHODS[name].__name__
        yield wanted(
            f"tests/methods/test_{name}.py, then run `python -m tests.cards --golden`",
            "check(method, golden_clip, golden(FILE), key_of, num_clients)  # test_golden; or",
            f'near({kind}.name, SECOND, "logits", found, expected, atol=1e-10)  # agreement',
        )


LOOKS = (presets, sweeps, table_row, cost, golden)
