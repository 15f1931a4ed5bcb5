"""One method's page: what it is, its numbers and options, what differs, what it is held against."""

import inspect
import re
from collections.abc import Iterable

from pfedmma_dist.config.help import field_docs
from pfedmma_dist.config.merge import leaves, shown
from pfedmma_dist.methods import METHODS
from pfedmma_dist.params import Layout
from tests.cards.counts import MODELS, built, corrected, groups, numbers, reads
from tests.cards.differences import DEFECTS, PAGE, about
from tests.cards.measured import SWEEP, comparisons, harmonic, step
from tests.cards.presets import NUM_CLASSES, NUM_IMAGES, presets_of, sweep_rows

WRITTEN = "<!-- Written by `python -m tests.cards` from the source: do not edit. -->"


def card(name: str) -> str:
    """Return the page of a method in Markdown."""
    kind = METHODS[name]
    title, _, summary = first_line(kind).partition(":")
    module = inspect.getmodule(kind)
    source = "/".join(module.__name__.split("."))
    parts = [
        f"{WRITTEN}\n\n# {title}",
        f"`method.name={name}`: {summary.strip()} [Source](../../{source}.py).",
        inspect.getdoc(module),
        _numbers(name),
        _parameters(name),
        _options(name),
        _published(name),
        _differences(name),
        _compared(name),
        _presets(name),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def first_line(kind: type) -> str:
    """Return the first line of a class's docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    lines = [list(heads)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _numbers(name: str) -> str:
    """Return the counts of the defaults at every model, and of every preset that departs."""
    usual = METHODS[name].Options()
    rows = [
        (f"defaults, {called}", *numbers(name, usual, model)) for model, called in MODELS.items()
    ]
    first = next(iter(MODELS))
    departing = [p for p in presets_of(name) if p.options != usual and not p.is_for_glyphs]
    rows += [(f"`{p.stem}`, {MODELS[first]}", *numbers(name, p.options, first)) for p in departing]
    rows += [(f"with {names}, {MODELS[first]}", *own) for names, *own in corrected(name, first)]
    heads = ("", "trained", "sent", "received")
    return (
        f"## Numbers of a client and round\n\nAt {NUM_CLASSES} classes and {NUM_IMAGES} images of "
        "a client, each of 4 bytes on the network. *With*: the defaults and `correction.name`, of "
        f"those that fit.\n\n{table(heads, rows)}"
    )


def _parameters(name: str) -> str:
    """Return the parameters, what is read of an image, and how the server answers."""
    options = METHODS[name].Options()
    methods = [built(name, options, model) for model in MODELS]
    text = f"Of an image it reads {reads(methods[0])}."
    layout = Layout(methods[0].specs)
    exchange = inspect.getdoc(type(methods[0].exchange(layout, layout.template(0), 0)))
    if layout.num_shared or methods[0].counts:
        told = " ".join(exchange.partition("\n\n")[0].split())
        text += f" The server: {told[0].lower()}{told[1:]}"
    rows = [
        (f"`{own.name}`", str(own.num), size(own.shape), size(small.shape), own.whose)
        for own, small in zip(*(groups(m.specs) for m in methods), strict=True)
    ]
    if not rows:
        return f"## What a client holds\n\nNothing. {text}"
    heads = ("parameter", "how many", *MODELS.values(), "whose")
    return f"## What a client holds\n\n{table(heads, rows)}\n\n{text}"


def size(shape: tuple[int, ...]) -> str:
    """Return a shape as a product."""
    return " x ".join(map(str, shape)) or "1"


def _options(name: str) -> str:
    """Return the options with their defaults and meanings."""
    kind = METHODS[name].Options
    docs = field_docs(kind)
    rows = [
        (f"`{key}`", f"`{shown(leaf.default)}`", docs[key.removeprefix("method.")])
        for key, leaf in leaves(kind, "method.").items()
    ]
    if not rows:
        return ""
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return f"## Options\n\n{table(('key', 'default', 'meaning'), escaped)}"


def _published(name: str) -> str:
    """Return the published recipes."""
    found = [preset for preset in presets_of(name) if preset.is_published]
    parts = [
        f"[{p.stem}.yaml](../../{p.path}): {p.comment}\n\n```yaml\n{p.body.strip()}\n```"
        for p in found
    ]
    return "\n\n".join(["## Published settings", *parts]) if parts else ""


def _differences(name: str) -> str:
    """Return the rows of docs/differences.md and docs/known-defects.md about the method, by
    table."""
    found = about(name)
    by_section = {(row.page, row.section): row.heads for row in found}
    tables = [
        f"From *[{section}](../{page.removeprefix('docs/')}#{anchor(section)})*:\n\n"
        + table(heads, (r.cells for r in found if r.section == section))
        for (page, section), heads in by_section.items()
    ]
    rest = (
        f"What holds for all methods stands in [{PAGE}](../differences.md), all defects and what "
        f"they move in [{DEFECTS}](../known-defects.md)."
    )
    head = "## What public code does otherwise, and how we decided"
    return "\n\n".join([head, *tables, rest])


def anchor(section: str) -> str:
    """Return where a page's section is linked to."""
    return "-".join(re.sub(r"[^\w\s-]", "", section.lower()).split())


def _compared(name: str) -> str:
    """Return what the method was compared with, and by how much it differs."""
    found = comparisons(name)
    if not found:
        return "## Held against\n\nNot measured yet: `python -m tests.cards --golden`."
    nouns = list(dict.fromkeys(noun for entry in found for noun in entry["differences"]))
    rows = [
        (against(entry), *(difference(entry["differences"].get(noun)) for noun in nouns))
        for entry in found
    ]
    return (
        "## Held against\n\nLargest absolute differences, over both forms of the towers and over "
        "cohorts of one and of three clients; *steps* are parameters after one and three steps. A "
        f"file was recorded from published code, a test computes the method a second time.\n\n"
        f"{table(('', *nouns), rows)}"
    )


def against(entry: dict) -> str:
    """Return the name and link of a golden file or of a test."""
    if entry["recorded"]:
        return f"[{entry['against']}.npz](../../tests/golden/{entry['against']}.npz)"
    path, _, test = entry["against"].partition("::")
    return f"[{test.removeprefix('test_').replace('_', ' ')}](../../{path})"


def difference(value: float | None) -> str:
    """Return a difference in two digits; nothing where there is none."""
    return "" if value is None else f"{value:.1e}" if value else "0"


def _presets(name: str) -> str:
    """Return the presets that are no published recipe, with what was measured, and the sweeps."""
    found = [preset for preset in presets_of(name) if not preset.is_published]
    parts = ["## Presets"]
    for preset in found:
        ratio = "" if preset.is_for_glyphs else f" Step, plain and default: {step(preset.stem)}."
        parts.append(f"[{preset.path}](../../{preset.path}): {preset.comment}{ratio}")
    paths = {preset.path for preset in presets_of(name)}
    rows = [
        (
            row.sweep,
            row.label,
            " ".join(f"`{word}`" for word in row.others),
            harmonic(row) if row.sweep == SWEEP else "",
        )
        for row in sweep_rows()
        if row.preset in paths
    ]
    heads = ("sweep", "row", "and", "HM on glyphs, percent (seeds)")
    return "\n\n".join([*parts, table(heads, rows)] if rows else parts)
