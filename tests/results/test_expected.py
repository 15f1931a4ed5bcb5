"""What the papers have: figures in one place, each with a band and a status."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.results import published
from pfedmma_dist.results.expected import (
    Band,
    Status,
    expectations,
    experiments,
    published_figures,
)
from pfedmma_dist.results.published import COST, figures

ROOT = Path(__file__).parents[2]
FILE = ROOT / "configs" / "reproduce" / "base_to_novel.yaml"


def changed(tmp_path: Path, **cell: object) -> str:
    """Return a file whose first cell is another."""
    tree = yaml.safe_load(FILE.read_text())
    tree["cells"][0] |= cell
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def test_there_is_a_file_for_each_experiment_of_the_paper() -> None:
    assert experiments() == ["base_to_novel", "feature_shift", "label_shift"]


def test_every_figure_has_a_band_with_its_reason_and_a_status() -> None:
    for _, figure in published_figures():
        if figure.method:
            assert figure.band is not None and len(figure.band.why) > 20
        assert bool(figure.reason) == (figure.status is not Status.expected)
    assert len(published_figures()) == 33 + 2 + 3


def test_tables_show_the_figures_of_the_files_and_no_others() -> None:
    shown = {(row.name, key, value) for row in figures() for key, value in row.values.items()}
    wanted = {
        (figure.method, figure.column, figure.value)
        for _, figure in published_figures()
        if figure.method and figure.status is not Status.cannot
    }
    assert shown == wanted
    assert ("pFedMMA", "hm", 84.15) in shown
    assert not any(row.task == "feature_shift" for row in figures())


def test_remark_on_mispaired_labels_has_the_figure_of_the_file() -> None:
    [figure] = expectations("feature_shift").attributed
    assert figure.status is Status.cannot
    assert f"{figure.value} %" in "".join(published.REMARKS["feature_shift"])


def test_costs_are_exact() -> None:
    costs = [figure for _, figure in published_figures() if figure.data == COST]
    assert len(costs) == 17 and {figure.band.points for figure in costs} == {0}


@pytest.mark.parametrize(
    ("difference", "inside"),
    [(0.3, True), (-0.3, True), (0.3000001, False), (0.0, True), (-0.31, False)],
)
def test_edge_of_a_band_belongs_to_it(difference: float, inside: bool) -> None:
    assert Band(0.3, "because").holds(difference) is inside


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ({"status": "expectd"}, "did you mean expected"),
        ({"status": "cannot"}, "has one, behind a colon"),
        ({"status": "expected: it is"}, "what is expected has no reason"),
        ({"band": "trainde"}, "did you mean trained"),
        ({"method": "PFedMMA"}, "no such method"),
    ],
)
def test_odd_cell_of_a_file_is_refused(tmp_path: Path, cell: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        expectations(changed(tmp_path, **cell))


def test_unknown_experiment_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean base_to_novel"):
        expectations("base_to_nove")


def test_a_sweep_is_told_its_own_command() -> None:
    with pytest.raises(ValueError, match="is a sweep, not what is expected.*launch.sweep"):
        expectations("configs/sweep/quick_compare.yaml")


def effects() -> list[tuple[str, str, dict[str, object]]]:
    """Return (method, words of a switch, what was measured of it) of all files."""
    return [
        (method, words, own)
        for name in experiments()
        for method, told in read_yaml(FILE.parent / f"{name}.yaml")["switches"].items()
        for words, own in told.items()
    ]


def test_effects_on_the_authors_loops_are_those_recorded() -> None:
    with open(ROOT / "docs" / "measured" / "trajectories.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["round"] == "5" and row["of_norm"]]
    known = {(row["file"], row["defects"]): row for row in rows}
    loops = [own for _, _, own in effects() if "loop" in own]
    assert len(loops) == 12
    for own in loops:
        row = known[own["loop"], own["defect"]]
        assert (own["shared"], own["moved"]) == (float(row["of_norm"]), float(row["of_move"]))


def test_effects_on_the_embedded_world_are_those_of_the_docs() -> None:
    lines = (ROOT / "docs" / "known-defects.md").read_text().splitlines()
    tables: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and re.fullmatch(r"[\d.]+", cells[-1]):
            word = re.search(r"`([^`]*)`", cells[1])
            own = tables.setdefault(cells[0], {})
            own[word[1] if word else ""] = [float(cell) for cell in cells[2:]]
    checked = 0
    for method, words, own in effects():
        points = [own.get(key) for key in ("local_mean", "base_mean", "novel_mean", "hm")]
        if None in points:
            continue
        now, before = tables[method][words], tables[method][""]
        assert points == pytest.approx([a - b for a, b in zip(now, before, strict=True)], abs=1e-9)
        checked += 1
    assert checked == 6
