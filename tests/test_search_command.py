"""`evaluate RUN --search`: one command from a trained run to chosen options and their scores."""

import json
from pathlib import Path

import pytest
from runs import alone, call, make_lab

from pfedmma_dist import evaluate
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS


def test_it_chooses_on_validation_images_and_scores_with_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path, (12, 10, 11, 12, 2, 2, 2, 2))
    keys = {"data__validation": 0.4, "federation__rounds": 1, "method__name": "tip_adapter"}
    assert call(lab.words("run", **keys)) == 0
    folder = lab.folder("run")
    capsys.readouterr()
    with alone():
        assert evaluate.main([str(folder), "--search", "evaluate.batch_size=3"]) == 0
    out, err = capsys.readouterr()
    assert "searching 4,000 points: clients: 4 in" in err
    [file] = (folder / "evaluations").glob("*.json")
    found = json.loads(file.read_text())
    told = found["search"]
    assert told["tried"]["alpha"][0] * told["tried"]["beta"][0] == 4000
    assert (told["num_images"], told["num_clients"]) == (18, 4)
    assert found["config"]["method.alpha"] == told["values"]["alpha"]
    assert found["config"]["method.beta"] == told["values"]["beta"]
    assert found["results"][-1]["scores"]["val_mean"] == pytest.approx(told["percent"], abs=1e-6)
    assert told["percent"] >= told["before"]
    assert f"{told['percent']:.2f} % on validation images ({told['before']:.2f} % as" in out
    assert "one choice for all, on 18 validation images of 4 clients, no test image" in out
    assert (folder / "config.yaml").read_text().count("alpha: 1.0") == 1  # the run stays as it is


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["method.name=promptfl", "data.validation=0.2"],
            "method.name: promptfl has no option that --search could choose; pfedprompt, "
            "tip_adapter, tip_adapter_f have",
        ),
        (
            ["method.name=tip_adapter"],
            "data.validation: 0 holds no image apart, and --search never looks at test images; "
            "train a run with data.validation=0.2",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    cfg = read(["data.name=folder", "data.root=nowhere", *words], methods=METHODS, sources=SOURCES)
    (tmp_path / "config.yaml").write_text(to_yaml(cfg))
    with alone():
        assert evaluate.main([str(tmp_path), "--search"]) == 2
    assert told in capsys.readouterr().err
