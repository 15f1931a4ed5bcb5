"""The table of all methods: how near, how many numbers, how fast, how good, and what departs."""

from pathlib import Path

from pfedmma_dist.config.merge import shown
from pfedmma_dist.methods import METHODS
from tests.cards.card import WRITTEN, difference, first_line, table
from tests.cards.counts import numbers
from tests.cards.differences import about
from tests.cards.measured import DASH, SWEEP, comparisons, conditions, harmonic, step
from tests.cards.presets import GLYPHS, Preset, presets_of, sweep_rows

INTRODUCTION = f"""\
{WRITTEN}

# Methods

Each has a page. *Golden error*: the largest difference of logits, first gradients and parameters
after up to three steps from vectors recorded from the published code, or, in italics, from a second
computation in the tests (for most in float64). *Numbers* that a client trains, sends and receives
in a round at ViT-B/16, 50 classes and 80 images, by its comparable preset. *Step*: seconds of 32
images as published code computes it, as we do, and the ratio. *HM*: harmonic mean of Local, Base
and Novel on the glyphs, percent, mean ± deviation over (seeds). *Departs*: the rows that begin with
it in [differences](differences.md). A dash was not measured, or is not known.

"""

NOUNS = ("logits", "gradient", "steps")
HEADS = ("method", "golden error: logits, gradients, steps", "numbers", "step", "HM", "departs")

SOURCES = """\

Measured by, each into a file below `docs/measured` that this page is written from:

<!-- not run: some hours -->
```bash
python -m tests.cards --golden                   # golden errors: the tests, some minutes
python benchmarks/step.py --json docs/measured/steps.json --dtypes float32 --plain-repeats 1 \\
    --presets cocoop --batch 2
python benchmarks/step.py --json docs/measured/steps.json --dtypes float32 --plain-repeats 1
python -m launch.sweep configs/sweep/quick_compare_all.yaml
python -m launch.table runs/quick_compare_all --format csv > docs/measured/glyphs.csv
python -m tests.cards                            # write the pages
```

Steps: """


def index() -> str:
    """Return the page in Markdown."""
    body = table(HEADS, [row for name in METHODS for row in _rows(name)])
    return f"{INTRODUCTION}{body}\n{SOURCES}{conditions()}.\n"


def _rows(name: str) -> list[tuple[str, ...]]:
    """Return the row of a method, and one for each variant of it that is a preset."""
    title = first_line(METHODS[name]).partition(":")[0]
    differing = "; ".join(row.cells[0] for row in about(name, first=True)) or DASH
    rows = []
    for preset in presets_of(name):
        if preset.is_published or preset.is_for_glyphs:
            continue
        is_own = preset.stem == name
        trained, up, down = numbers(name, preset.options, "ViT-B-16")
        rows.append(
            (
                f"[{title}](methods/{name}.md)" if is_own else f"… `{preset.stem}`",
                _errors(name) if is_own else "",
                f"{trained}; {up} / {down}",
                step(preset.stem),
                _harmonic(preset),
                differing if is_own else "",
            )
        )
    return rows


def _errors(name: str) -> str:
    """Return the largest differences from what was recorded, else from a second computation."""
    found = comparisons(name)
    recorded = [entry for entry in found if entry["recorded"]]
    largest: dict[str, float] = {}
    for entry in recorded or found:
        for noun, value in entry["differences"].items():
            largest[noun] = max(largest.get(noun, 0.0), value)
    if largest.keys() & set(NOUNS):
        text = ", ".join(difference(largest.get(noun)) or DASH for noun in NOUNS)
    else:
        text = ", ".join(f"{noun} {difference(value)}" for noun, value in largest.items()) or DASH
    return text if recorded or not found else f"*{text}*"


def _harmonic(preset: Preset) -> str:
    """Return the HM of the row that runs the method's preset for the glyphs, with the options in
    which this preset departs from the method's own."""
    own, *_ = presets_of(preset.method)
    usual, changed = vars(own.options), vars(preset.options)
    words = {f"method.{k}={shown(value)}" for k, value in changed.items() if value != usual[k]}
    for row in sweep_rows():
        path = Path(row.preset)
        is_ours = path.stem == preset.method and path.parent.name == GLYPHS
        if row.sweep == SWEEP and is_ours and set(row.others) == words:
            return harmonic(row)
    return DASH
