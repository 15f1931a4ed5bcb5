"""A file of another kind is told apart by its keys, a folder or a list by its name."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from launch.cluster import Cluster, read_cluster
from launch.plan import Sweep, expanded, plan, read_sweep, unread_everywhere
from pfedmma_dist.config import kinds
from pfedmma_dist.config.command_line import parse
from pfedmma_dist.config.merge import shown
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.prepare import main as prepare

ROOT = Path(__file__).parents[2]
SWEEPS = sorted((ROOT / "configs" / "sweep").glob("*.yaml"))
CLUSTERS = sorted((ROOT / "slurm").glob("*.yaml"))
EXPECTED = sorted((ROOT / "configs" / "reproduce").glob("*.yaml"))
PRESETS = [
    path for path in sorted((ROOT / "configs").rglob("*.yaml")) if path not in [*SWEEPS, *EXPECTED]
]


def refused(word: object) -> str:
    with pytest.raises(ValueError) as error:
        parse([str(word)], methods=METHODS, sources=SOURCES)
    return str(error.value)


def test_keys_of_each_kind_are_those_that_it_knows() -> None:
    assert {item.name for item in fields(Sweep)} == kinds.SWEEP.keys
    assert {item.name for item in fields(Cluster)} == kinds.CLUSTER.keys
    assert not kinds.SWEEP.keys & kinds.CLUSTER.keys
    assert not kinds.RUN.keys & (kinds.SWEEP.keys | kinds.CLUSTER.keys)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep_given_as_a_run_is_told_its_command(path: Path) -> None:
    told = refused(path)
    assert told == f"{path} is a sweep, not a run's configuration: python -m launch.sweep {path}"


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.stem)
def test_expectations_given_as_a_run_are_told_their_command(path: Path) -> None:
    assert refused(path).endswith(f"not a run's configuration: python -m launch.reproduce {path}")


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_cluster_file_given_as_a_run_is_told_its_commands(path: Path) -> None:
    told = refused(path)
    assert told.startswith(f"{path} is a cluster file, not a run's configuration: python -m launch")
    assert f"--cluster {path}" in told


def test_run_given_as_sweep_or_cluster_is_told_its_command() -> None:
    path = ROOT / "configs" / "data" / "dtd.yaml"
    with pytest.raises(ValueError, match="is a run's configuration, not a sweep: .*train"):
        plan(str(path), [])
    with pytest.raises(ValueError, match="is a run's configuration, not a cluster file: .*train"):
        read_cluster(str(path))
    with pytest.raises(ValueError, match="is a sweep, not a cluster file: .*launch.sweep"):
        read_cluster(str(SWEEPS[0]))


def test_misspelt_key_of_a_kind_is_still_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("grid: {seed: [1]}\nrow: {a: []}\n")
    with pytest.raises(ValueError, match="unknown key row .*did you mean rows"):
        plan(str(path), [])


JSON = {
    "result.json": (
        {"results": [], "sha256": "", "method": "a", "data": "b", "seed": 1},
        "result of a run",
    ),
    "environment.json": ({"git_revision": None, "argv": []}, "what a run ran on"),
    "clip.json": ({"vision_cfg": {}, "text_cfg": {}, "embed_dim": 8}, "clip.model="),
}


@pytest.mark.parametrize("name", JSON)
def test_json_of_ours_is_told_for_what_it_is(tmp_path: Path, name: str) -> None:
    content, words = JSON[name]
    (tmp_path / name).write_text(json.dumps(content))
    assert words in refused(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("images.csv", "data.list="), ("images.jsonl", "data.list="),
        ("ViT-B-16.PT", "clip.pretrained="), ("w.safetensors", "clip.pretrained="),
        ("1.jpg", "data.root="),
    ],
)  # fmt: skip
def test_file_that_a_key_names_is_told_by_that_key(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).touch()
    assert words in refused(tmp_path / name)


def test_folders_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.csv").touch()
    assert "data.root=images" in refused("images")
    assert "python -m launch.table sweep" in refused("sweep")
    assert prepare(["images"]) == 2
    assert "data.root=images" in capsys.readouterr().err
    with pytest.raises(ValueError, match="folder of a sweep; .*python -m launch.status sweep"):
        plan("sweep", [])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep_of_ours_is_understood_and_gives_no_key_that_nothing_reads(path: Path) -> None:
    sweep = read_sweep(str(path))
    first = [f"{key}={shown(values[0])}" for key, values in sweep.grid.items()]
    assert unread_everywhere(plan(str(path), first)) == []
    row, own = list(sweep.rows.items())[-1]  # one for the other points of the grid
    assert expanded(str(path), replace(sweep, rows={row: own}, exclude=[]), ["seed=1"])


def test_key_that_no_run_of_a_sweep_reads_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("grid: {data.task: [base_to_novel, label_shift]}\n")
    words = ["data.difficulty=1", "data.beta=1"]  # one of the runs reads the second
    [told] = unread_everywhere(plan(str(path), [*words, "data.name=caltech101"]))
    assert told == "data.difficulty has no effect: it is read at data.name=glyphs alone"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_of_ours_are_runs(path: Path) -> None:
    if path.parent.name != "glyphs" and path.parent.name != "data":
        parse([str(path), "--print-config"], methods=METHODS, sources=SOURCES)
