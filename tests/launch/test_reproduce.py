"""A reproduction: what is run of a sweep, what is said of it, and when nothing may be said."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from recorded import record, three

from launch import reproduce
from launch.openai import doubts
from launch.plan import PlannedRun, read_sweep, write_plan
from launch.report import SIGNATURE
from launch.reproduce import held, main
from launch.selection import Selection
from pfedmma_dist.config.identity import flat
from pfedmma_dist.results.expected import expectations, experiments
from pfedmma_dist.results.judged import Judged, Verdict
from pfedmma_dist.results.outcome import read_outcome
from pfedmma_dist.results.reproduced import reproduction
from pfedmma_dist.results.reproduction import text
from pfedmma_dist.run.folder import RunFolder

SETS = ("dtd", "ucf101")
EXPECTED = replace(expectations("base_to_novel"), sets=SETS)
"""What is expected, of an average over two sets in place of seven."""

ROWS = ("zero-shot CLIP", "PromptFL", "pFedMMA")
Scores = Callable[[str, int], dict[str, float]]
"""Row, seed -> scores, on every set."""


def as_published(row: str, seed: int) -> dict[str, float]:
    """Return scores near the paper's; those of the seeds lie evenly round their mean."""
    off = {1: -0.1, 2: 0.0, 3: 0.1}[seed]
    of = {"zero-shot CLIP": (76.4, 76.81, 80.0), "PromptFL": (88.9, 88.9, 75.0)}
    if row in of:
        return three(*of[row])
    return {**three(95.0 + off, 80.0 + off, 80.0 + off), "hm": 84.15 + off}


class Kit:
    """Folders of reproductions that somebody else has run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words = [f"run.folder={folder}", "data.root=DATA"]
        self.planned: list[PlannedRun] = []

    def choose(self, **options: Sequence[object]) -> Selection:
        given = {"methods": ROWS, **options}
        return Selection(EXPECTED, False, words=tuple(self.words), **given)  # type: ignore[arg-type]

    def finish(self, scores: Scores = as_published, but: Sequence[str] = ()) -> None:
        """Leave results of all runs but some; the splits are the published ones."""
        for run in self.planned:
            own = None if run.name in but else scores(run.row, run.config.seed)
            sent = {"zero-shot CLIP": (0, 0), "PromptFL": (8192, 8192)}
            up, trained = sent.get(run.row, (3072, 248832))
            config = {**flat(run.config), "data.root": "DATA"}
            record(run.folder.path, own, config=config, sent=up, trained=trained)
        write_plan(self.planned)
        (self.folder / "splits.json").write_text(json.dumps(dict.fromkeys(SETS, "")))

    def report(self) -> dict[tuple[str, str], Judged]:
        """Return (row, column) -> what is said; `*.costs` for costs."""
        self.found = held(self.choose(), self.folder)
        return {
            (one.row, one.figure.column + ".costs" * (one.figure.data == "cost")): one
            for one in self.found.judged
        }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[PlannedRun]:
    """Return a plan of three rows, all sets and two seeds; a plan takes seconds."""
    kit = Kit(tmp_path_factory.mktemp("plan") / "runs")
    return kit.choose(seeds=(1, 2)).runs()[0]


@pytest.fixture
def kit(tmp_path: Path, runs: list[PlannedRun]) -> Kit:
    found = Kit(tmp_path / "runs")
    for run in runs:
        run.config.run.folder = str(found.folder / run.name)
    found.planned = runs
    return found


def test_known_results_get_the_verdicts_that_they_deserve(kit: Kit) -> None:
    kit.finish()
    found = kit.report()
    assert found["zero-shot CLIP", "local_mean"].verdict is Verdict.inside
    line = found["pFedMMA", "hm"]
    assert line.verdict is Verdict.inside
    assert line.difference == pytest.approx(-0.05)  # seeds 84.05 and 84.15
    low, high = line.interval or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 12.706205 * 0.05, rel=1e-5)
    assert found["pFedMMA", "trained.costs"].verdict is Verdict.inside
    assert found["FedOTP", "trained.costs"].why == "no run of it is planned here"
    line = found["PromptFL", "local_mean"]  # shown, and not judged
    assert (line.verdict, line.figure.value) == (Verdict.none, 88.93)
    assert line.why.startswith("unknown setting: rate and epochs")
    assert line.difference == pytest.approx(-0.03)
    [gap] = [gap for gap in kit.found.gaps if gap.one.figure.column == "hm"]
    assert (gap.one.row, gap.other.row) == ("pFedMMA", "PromptFL")
    assert gap.published == pytest.approx(1.06)
    hm = three(88.9, 88.9, 75.0)["hm"]
    assert gap.differences == pytest.approx([84.05 - hm, 84.15 - hm])  # seed by seed


def test_figure_outside_is_told_with_the_switches_towards_it(kit: Kit) -> None:
    def better(row: str, seed: int) -> dict[str, float]:
        return {**as_published(row, seed), "hm": 86.0}

    kit.finish(better)
    line = kit.report()["pFedMMA", "hm"]
    assert line.verdict is Verdict.outside
    towards, unknown = line.explained.split("; not measured in points: ")
    assert towards.startswith("towards the paper's: released.momentum=true (-1.41 points on the")
    assert "released.stale_text=true" in towards
    assert unknown.startswith("method.blocks=8 method.bias=true, data.views=0; away from it, or ")


def test_interval_that_reaches_into_the_band_leaves_it_open(kit: Kit) -> None:
    def wide(row: str, seed: int) -> dict[str, float]:
        return {**as_published(row, seed), "hm": 85.0 + (seed - 1.5)}

    kit.finish(wide)
    line = kit.report()["pFedMMA", "hm"]
    assert (line.verdict, line.difference) == (Verdict.open, pytest.approx(0.85))


def test_mean_over_fewer_sets_or_seeds_has_no_verdict(kit: Kit) -> None:
    lacking = [r.name for r in kit.planned if r.row == "pFedMMA" and r.config.seed == 2]
    lacking += [
        r.name for r in kit.planned if r.row == "zero-shot CLIP" and r.config.data.name == "dtd"
    ]
    kit.finish(but=lacking)
    found = kit.report()
    assert found["pFedMMA", "hm"].why == "partial: 1 of 2 seeds have finished"
    clip = found["zero-shot CLIP", "local_mean"]
    assert clip.why == "partial: 1 of 2 sets have run; without dtd"
    assert (clip.ours.mean, clip.verdict) == (None, Verdict.none)


def test_other_weights_are_compared_with_nothing(kit: Kit) -> None:
    kit.finish()
    path = kit.planned[0].folder.config
    path.write_text(path.read_text().replace('"openai"', "null"))
    found = kit.report()
    told = text(kit.found)
    assert told.startswith("NO COMPARISON WITH THE PAPER IS MEANT")
    assert "(paper)" not in told
    scores = [one for (_, column), one in found.items() if not column.endswith(".costs")]
    assert {(one.verdict, one.difference) for one in scores} == {(Verdict.none, None)}


def test_other_settings_than_the_sweeps_have_no_verdict(kit: Kit) -> None:
    kit.finish()
    for run in kit.planned:
        path = run.folder.config
        path.write_text(path.read_text().replace('"rounds": 100', '"rounds": 7'))
    line = kit.report()["pFedMMA", "hm"]
    assert line.verdict is Verdict.none
    assert line.why == "other settings than the sweep's: federation.rounds 7 in place of 100"


def test_other_split_than_the_published_has_no_verdict(kit: Kit) -> None:
    kit.finish()
    (kit.folder / "splits.json").write_text(json.dumps({"dtd": "dtd (9 images)"}))
    line = kit.report()["pFedMMA", "hm"]
    assert line.why.startswith("not the published images: ")
    assert {"dtd (9 images)", "ucf101 (not looked at)"} == {*line.why[26:].split(", ")}


class Reader(HTMLParser):
    """Checks that what is opened is closed, and keeps what links lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_whole_needs_no_other_file_and_keeps_what_is_anothers(kit: Kit) -> None:
    kit.planned = [run for run in kit.planned if run.config.data.name == "dtd"][:3]
    kit.finish()
    words = ["base_to_novel", "--report", kit.words[0]]
    assert main(words) == 0
    path, reader = kit.folder / "reproduction.html", Reader()
    reader.feed(path.read_text())
    assert not reader.open
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert "the table has 192 cells" in path.read_text()
    with open(kit.folder / "reproduction.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[0]["why"].startswith("partial: 1 of 7 sets have run; without sun397")
    assert len(lines) == json.loads((kit.folder / "reproduction.json").read_text())["verdicts"][
        "none"
    ] + sum(line["verdict"] == "inside" for line in lines)
    path.write_text("<p>mine</p>")
    assert main(words) == 2
    assert path.read_text() == "<p>mine</p>"


def test_cannot_never_gets_a_verdict(tmp_path: Path) -> None:
    expected, name = expectations("feature_shift"), "Office zero-shot CLIP"
    config = {"data.task": "feature_shift", "data.name": "office_caltech10"}
    record(tmp_path / "a", {"local_mean": 10.11}, config=config)
    runs = [read_outcome(tmp_path / "a", name)]
    found = reproduction(expected, runs, as_published=False)
    assert found.judged
    for one in found.judged:
        assert one.verdict is Verdict.none
        assert one.why.startswith("cannot: mispaired labels")


def test_released_recipes_are_not_held_to_the_papers_costs() -> None:
    found = reproduction(EXPECTED, [], as_published=True)
    assert found.judged and not any(one.figure.data == "cost" for one in found.judged)


def test_row_with_the_defects_on_explains_the_one_without(tmp_path: Path) -> None:
    scores = {"pFedMMA": 86.0, "pFedMMA as is": 84.2}
    runs = []
    for name, hm in scores.items():
        for data in SETS:
            config = {"data.name": data, "released.momentum": name.endswith("as is")}
            path = record(tmp_path / name / data, {**three(90, 90, 90), "hm": hm}, config=config)
            runs.append(read_outcome(path, name))
    found = reproduction(EXPECTED, runs, as_published=True)
    [one, other] = [
        each for each in found.judged
        if (each.figure.method, each.figure.column) == ("pFedMMA", "hm")
    ]  # fmt: skip
    assert (one.verdict, other.verdict) == (Verdict.outside, Verdict.inside)
    assert one.explained.startswith("the row 'pFedMMA as is' is inside; towards the paper's: rel")


@pytest.mark.parametrize("name", experiments())
def test_rows_of_the_files_are_rows_of_their_sweeps(name: str) -> None:
    expected = expectations(name)
    here, there = (read_sweep(file).rows for file in expected.sweeps)
    for method in expected.methods:
        assert {*expected.rows(method, as_published=False)} <= here.keys()
        assert {*expected.rows(method, as_published=True)} <= there.keys()
    assert {*expected.beside} <= here.keys()


def test_second_selection_keeps_what_the_first_has_planned(kit: Kit) -> None:
    first, planned = kit.choose(sets=("dtd",), seeds=(1,), methods=("CLIP",)).runs()
    assert [run.name for run in first] == [run.name for run in planned]
    write_plan(planned)
    asked, planned = kit.choose(sets=("ucf101",), seeds=(2,), methods=("PromptFL",)).runs()
    assert [(run.row, run.config.seed) for run in asked] == [("PromptFL", 2)]
    assert {run.config.data.name for run in planned} == {"dtd", "ucf101"}
    write_plan(planned)
    assert kit.choose(sets=("ucf101",), seeds=(2,), methods=("PromptFL",)).runs()[1] == planned
    kit.words.append("federation.rounds=3")
    with pytest.raises(ValueError, match="with other settings; give the key=value words"):
        kit.choose(sets=("dtd",), seeds=(1,), methods=("CLIP",)).runs()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["base_to_nove"], "did you mean base_to_novel?"),
        (["base_to_novel", "--sets", "caltech10"], "did you mean caltech101?"),
        (["base_to_novel", "--methods", "pFedMMa"], "did you mean pFedMMA"),
        (["base_to_novel", "--seeds", "one"], "--seeds: one is not a seed"),
        (["base_to_novel", "seed=2"], "are chosen by --seeds here"),
        (["base_to_novel", "data.name=dtd"], "are chosen by --sets here"),
        (["label_shift", "--released", "--methods", "FedPGP"], "FedPGP has no row in configs"),
        (["base_to_novel", "--report", "run.folder=nowhere"], "holds no reproduction yet"),
        (["base_to_novel", "--cluster", "x.yaml", "--ranks", "2"], "--ranks: is for this machine"),
    ],
)
def test_what_cannot_be_meant_is_told(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "pretrained", "told"),
    [
        ("ViT-B-16", "openai", ""),
        ("ViT-B-16", None, "weights are random"),
        ("ViT-L-14", "openai", "is not ViT-B/16"),
        ("ViT-B-16", "laion2b", "neither OpenAI's tag nor a file"),
    ],
)
def test_only_openais_weights_are_held_to_the_paper(
    model: str, pretrained: str | None, told: str
) -> None:
    found = doubts(model, pretrained)
    assert told in found and bool(found) == bool(told)


def test_a_file_of_other_weights_is_told_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(b"none")
    assert "OpenAI's file 5806e77cd80f" in doubts("ViT-B-16", str(path))


@pytest.fixture
def glyphs(tmp_path: Path) -> list[str]:
    """Return the words of a reproduction on drawn images."""
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({
            "base": ["data.name=glyphs", "data.train_per_class=4", "data.test_per_class=2",
                     "clip.model=ViT-B-16", "clip.pretrained=null"],
            "rows": {"PromptFL": ["method.name=promptfl"], "GDA": ["method.name=gda"]},
            "grid": {"seed": [1]},
        })
    )  # fmt: skip
    here = str(tmp_path / "mine.yaml")
    (tmp_path / "expected.yaml").write_text(
        yaml.safe_dump({
            "experiment": "base_to_novel", "source": "mine", "sweep": here,
            "sweep_as_published": here, "words": ["clip.cache=disk"], "sets": ["glyphs"],
            "columns": ["hm"], "bands": {"near": {"points": 1, "from": "a guess"}},
            "methods": {"PromptFL": {"here": ["PromptFL"], "as_published": []}},
            "cells": [{"method": "PromptFL", "data": "glyphs", "band": "near",
                       "status": "expected", "values": {"hm": 50.0}}],
        })
    )  # fmt: skip
    return [str(tmp_path / "expected.yaml"), f"run.folder={tmp_path / 'runs'}",
            f"clip.cache_folder={tmp_path / 'cache'}"]  # fmt: skip


def test_dry_run_foretells_hours_and_room_and_makes_nothing(
    glyphs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*glyphs, "--dry-run"]) == 0
    told = capsys.readouterr().out
    hours = told.partition("at most about ")[2].partition(" core-hours")[0]
    assert float(hours) > 0
    assert "GFLOP/s a core, measured now" in told
    assert "disk     features " in told and "disk     checkpoints " in told
    assert "no comparison with the paper is meant: clip.pretrained=null" in told
    assert not (tmp_path / "runs").exists()


def test_second_start_runs_nothing_anew(
    glyphs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def started(folder: Path, runs: Sequence[PlannedRun], *shares: object) -> int:
        asked.append([run.name for run in runs if not run.folder.result.exists()])
        write_plan(list(runs))
        for run in runs:
            if not run.folder.result.exists():
                record(run.folder.path, three(50, 50, 50), config=flat(run.config))
        return 0

    monkeypatch.setattr(reproduce, "start_here", started)
    monkeypatch.setattr(reproduce, "fetch", lambda run: None)
    monkeypatch.setattr(reproduce, "foretell", lambda due, folder: None)  # tried above
    monkeypatch.setattr(reproduce, "page", lambda *told: SIGNATURE)  # and drawn above
    for _ in range(2):
        assert main(glyphs) == 0
    assert asked == [["PromptFL-seed1"], []]
    folder = RunFolder(glyphs[1].removeprefix("run.folder=")).path
    assert json.loads((folder / "splits.json").read_text()).keys() == {"glyphs"}
    assert "NO COMPARISON WITH THE PAPER IS MEANT" in capsys.readouterr().out


def test_cluster_gets_whole_weights_and_its_file_where_that_is(
    glyphs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(reproduce, "refuse_without_slurm", lambda words: None)
    monkeypatch.setattr(reproduce, "foretell", lambda due, folder: None)
    monkeypatch.setattr(reproduce, "fetch", lambda run: calls.append("weights"))
    monkeypatch.setattr(reproduce, "submit", lambda *words: calls.append(words[3]) or 0)
    monkeypatch.chdir(tmp_path)  # where there is no slurm/
    assert main([*glyphs, "--cluster", "slurm/template.yaml"]) == 0
    weights, file = calls
    assert weights == "weights" and Path(str(file)).is_file()


def test_machine_without_slurm_is_told_before_anything_is_looked_at(
    glyphs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main([*glyphs, "--cluster", "slurm/template.yaml"]) == 2
    told = capsys.readouterr()
    assert "no sbatch here; submit from a login node, or leave out --cluster" in told.err
    assert told.out == ""
