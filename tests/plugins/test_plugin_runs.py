"""Runs of plugins: which code made them, and what is said where it has changed."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from runs import ROOT, call, make_lab

from launch import contribute, plan
from pfedmma_dist import plugins
from pfedmma_dist.config.command_line import read
from pfedmma_dist.data.sets import registry
from pfedmma_dist.methods import METHODS

OWN_METHOD, OWN_DATASET, OWN_RULE = (
    str(ROOT / "examples" / f"own_{what}.py") for what in ("method", "dataset", "rule")
)


@pytest.fixture
def draw() -> Callable[..., Path]:
    """Return the function of the example that draws its images, and register nothing by it."""
    found = runpy.run_path(OWN_DATASET)["draw"]
    del registry.SOURCES["boards"]
    return found


def forget() -> None:
    """Be a new process, as far as plugins can tell."""
    for word in plugins._loaded:
        for names in plugins._loaded[word].names.values():
            for name in names:
                METHODS.pop(name, None)
    plugins._loaded.clear()


def made_by(folder: Path) -> dict:
    [one] = json.loads((folder / "result.json").read_text())["plugins"]
    return one


def test_run_says_which_code_made_it_and_warns_where_that_has_changed(
    written: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    lab, path = make_lab(tmp_path), written()
    words = [*lab.words("one", federation__rounds=2), f"plugins=[{path}]", "method.name=mine"]
    assert call([*words, "run.pause_after=1"]) == 75
    [first] = plugins.record([str(path)])
    path.write_text(path.read_text() + "# other code\n")
    forget()
    assert call(words) == 0
    told = capsys.readouterr().err
    [second] = plugins.record([str(path)])
    then, now = first["digest"], second["digest"]
    assert then != now
    assert f"plugins: the code has changed: mine.py {then} then, {now} now (mine.py)" in told
    assert "restore the code to go on as it began" in " ".join(told.split())
    assert made_by(lab.folder("one")) == {**second, "earlier": [then]}
    capsys.readouterr()
    path.write_text(path.read_text() + "# and other code again\n")
    forget()
    assert call(words) == 0
    assert "the finished run stays as the code of then made it" in " ".join(
        capsys.readouterr().err.split()
    )
    moved = written("elsewhere/other.py", path.read_text().replace("# and other code again\n", ""))
    forget()
    assert call([*words, f"plugins=[{moved}]"]) == 0  # the same code under another name
    assert "changed" not in capsys.readouterr().err
    other = written("other.py")
    forget()
    assert call([*words, f"plugins=[{other}]"]) == 2
    assert "a run made with [mine.py], and [other.py] is given" in capsys.readouterr().err
    assert contribute.main([str(lab.folder("one")), "--to", str(tmp_path / "board")]) != 0
    assert "reading results runs no code" in capsys.readouterr().err


def test_own_method_and_own_data_set_are_planned_and_trained(
    draw: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    draw(tmp_path, per_class=6)
    words = [f"data.root={tmp_path}", f"run.folder={tmp_path / 'runs'}", "seed=1"]
    runs = plan.plan("examples/own_sweep.yaml", [*words, "federation.rounds=2"])
    assert [run.row for run in runs] == ["zero-shot CLIP", "PromptFL", "PromptFL, FedAMS", "Tilt"]
    own = runs[-1]
    assert own.config.plugins == [OWN_METHOD, OWN_DATASET, OWN_RULE]
    assert [run.config.server.rule for run in runs] == [None, None, "fedams", None]
    assert call([*own.words, f"clip.cache_folder={tmp_path / 'cache'}"]) == 0
    result = json.loads(own.folder.result.read_text())
    assert [one["name"] for one in result["plugins"]] == [
        "own_method.py", "own_dataset.py", "own_rule.py",
    ]  # fmt: skip
    assert result["results"][-1]["name"] == "tilted"


def test_examples_are_read_as_ours_are(draw: Callable[..., Path], tmp_path: Path) -> None:
    draw(tmp_path, per_class=2)
    base = yaml.safe_load((ROOT / "examples" / "own_sweep.yaml").read_text())["base"][1:]
    words = [f"plugins=[{OWN_DATASET}]", *base, f"data.root={tmp_path}"]
    cfg = read(words, methods=METHODS, sources=registry.SOURCES)
    images = registry.read(cfg.data, 1, tmp_path)
    assert images.class_names[:2] == ("plain triangle", "plain square")
    assert len(images.train) == len(images.test) == 12
    cfg.data.root = str(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"boards.npz cannot be read .* draws one"):
        registry.read(cfg.data, 1, tmp_path)
