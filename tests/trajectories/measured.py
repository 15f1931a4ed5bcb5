"""What was measured of trajectories: docs/measured/trajectories.csv, and its tables in the page."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np

from tests.cards.card import table
from tests.trajectories import recorded
from tests.trajectories.defects import DEFECTS, defects_of, planned, with_defects
from tests.trajectories.played import follow
from tests.trajectories.recorded import FILES, ROUNDS, of_variant, variants

ROOT = Path(__file__).parents[2]
CSV = ROOT / "docs" / "measured" / "trajectories.csv"
PAGE = ROOT / "docs" / "known-defects.md"
COLUMNS = (
    "file", "variant", "defects", "round", "rows", "shared", "accuracy", "of_norm", "of_move",
    "points",
)  # fmt: skip
CALLED = {
    "pfedmma": "pFedMMA",
    "fedpgp": "FedPGP in pFedMMA's repository",
    "fedotp": "FedOTP",
    "promptfl": "PromptFL in pFedMoAP's repository",
    "promptfl6": "PromptFL in pFedMMA's repository",
    "promptfl_own": "PromptFL, its own repository",
    "pfedmoap": "pFedMoAP",
}
BEGIN = "<!-- {} of docs/measured/trajectories.csv: `python -m tests.trajectories` -->"
END = "<!-- -->"

Row = dict[str, str]


def measure() -> str:
    """Follow every variant; return the text of the table of all rounds."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        for file, variant in [(one, v) for one in FILES for v in variants(one)]:
            names = defects_of(file, variant)
            plan = planned(file, variant, Path(folder))
            found = follow(with_defects(file, plan, names), file, variant)
            for index in range(ROUNDS):
                own = [f"{found.rows[index]:.1e}" if found.rows else ""]
                near = (found.shared[index], found.accuracy[index])
                own += [f"{x:.1e}" for x in (*near, *effect(file, variant, index))]
                lines.writerow([file, variant, " ".join(names), index + 1, *own])
    return text.getvalue()


def effect(file: str, variant: str, index: int) -> tuple[float, float, float]:
    """Return by how much a variant is not `off` after a round: of the shared part's norm, of how
    far it has moved, and of the clients' accuracies the largest difference in points."""
    ours, sound = (of_variant(file, one, "shared")[index] for one in (variant, "off"))
    start, scores = _start(file), [of_variant(file, v, "accuracy")[index] for v in (variant, "off")]
    apart = float(np.linalg.norm(ours.astype(float) - sound))
    points = float(np.nanmax(np.abs(scores[0] - scores[1])))
    return apart / norm(sound), apart / norm(sound.astype(float) - start), points


def norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(x))


def _start(file: str) -> np.ndarray:
    """Return the shared part before round 0, in its recorded order."""
    arrays = recorded.arrays(file)
    loop = file.rpartition("_")[0]
    if loop == "pfedmma":
        parts = [v for k, v in arrays.items() if k.startswith("init/") and "shared_adapter" in k]
        return np.concatenate([part.ravel() for part in parts])
    key = "init/prompt_learner.sigma" if loop == "fedpgp" else "init/prompt_learner.ctx"
    return arrays[key][0].ravel() if loop == "fedotp" else arrays[key].ravel()


def read() -> list[Row]:
    with CSV.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tables() -> dict[str, str]:
    """Return the tables of the page by name."""
    rows = read()
    return {"effects": _effects(rows), "distances": _distances(rows)}


def _effects(rows: list[Row]) -> str:
    """Return what each defect does by itself, after the last round."""
    found = []
    for row in rows:
        names = row["defects"].split()
        alone = row["variant"].startswith(("only", "released"))  # `without` may be the same again
        if row["round"] == str(ROUNDS) and len(names) == 1 and alone:
            loop, _, setting = row["file"].rpartition("_")
            defect = DEFECTS[names[0]]
            whose = CALLED[loop] + (", half of the clients" if "half" in setting else "")
            moved = f"{float(row['of_norm']):.2g} ({float(row['of_move']):.2g})"
            patched = "in the tests alone" if defect.patch else "–"
            switch = f"`{defect.switch}`" if defect.switch else patched
            found.append((whose, defect.words, switch, moved, f"{float(row['points']):.3g}"))
    heads = ("loop", "defect", "switch", "shared part", "accuracy, points")
    return table(heads, found)


def _distances(rows: list[Row]) -> str:
    """Return how near our federation comes, round by round."""
    by_run: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        by_run.setdefault((row["file"], row["variant"], row["defects"]), []).append(row)
    found = [
        (
            file, variant, names or "none", *(one["shared"] for one in own),
            max((one["rows"] for one in own if one["rows"]), key=float, default=""),
            max((one["accuracy"] for one in own), key=float),
        )
        for (file, variant, names), own in by_run.items()
    ]  # fmt: skip
    rounds = [f"shared, round {index + 1}" for index in range(ROUNDS)]
    return table(("file", "variant", "defects on", *rounds, "clients' rows", "accuracy"), found)


def filled(page: str) -> str:
    """Return the page with its tables as they were measured."""
    for name, text in tables().items():
        begin = BEGIN.format(name)
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(END)
        page = f"{head}{begin}\n\n{text}\n\n{END}{tail}"
    return page
