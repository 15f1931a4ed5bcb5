"""Somebody who was never in the run: personalised on a folder, and taken home."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from runs import Lab, alone, call

from pfedmma_dist import export
from pfedmma_dist.command import MEND
from pfedmma_dist.config.keys import Config
from pfedmma_dist.home.exporting import open_to_export
from pfedmma_dist.home.newcomer import personalised
from pfedmma_dist.home.trained import Trained

WORDS = ["evaluate.finetune_epochs=2", "optim.lr=0.05"]


@pytest.fixture(scope="module")
def lab(finished: Lab) -> Iterator[Lab]:
    """A run of pFedMMA, one of what counts, and a folder of one's own with two of its classes."""
    lab = finished
    own = {"method__name": "tip_adapter", "federation__rounds": 1, "evaluate__every": 0}
    assert call(lab.words("tip_adapter", **own)) == 0
    for name in ("class_0", "class_2"):
        shutil.copytree(lab.data / "train" / name, lab.path / "own" / name)
    lab.data.rename(lab.path / "gone")  # a run's own images are not needed
    yield lab
    (lab.path / "gone").rename(lab.data)


@pytest.fixture(scope="module")
def opened(lab: Lab) -> tuple[Trained, Config]:
    """The run of pFedMMA, for somebody new."""
    return open_to_export(lab.folder("done"), WORDS, newcomer=True)


@pytest.fixture(scope="module")
def counting(lab: Lab) -> tuple[Trained, Config]:
    """The run of Tip-Adapter, for somebody new."""
    return open_to_export(lab.folder("tip_adapter"), [], newcomer=True)


def export_with(lab: Lab, *words: object, run: str = "done") -> int:
    with alone():
        return export.main([str(lab.folder(run)), *map(str, words)])


def test_newcomer_is_trained_on_four_fifths_and_scored_on_the_rest(
    lab: Lab, opened: tuple[Trained, Config]
) -> None:
    trained, cfg = opened
    found = personalised(trained, lab.path / "own", cfg)
    assert (found.num_trained, found.num_held_out, found.epochs) == (9, 2, 2)
    assert found.before is not None and found.after is not None
    shared = trained.shared()
    assert not any(x.equal(shared.params[name]) for name, x in found.head.params.items())


def test_private_part_alone_moves_where_that_is_asked_for(lab: Lab) -> None:
    words = [*WORDS, "evaluate.finetune=private"]
    trained, cfg = open_to_export(lab.folder("done"), words, newcomer=True)
    found, shared = personalised(trained, lab.path / "own", cfg), trained.shared()
    moved = {name for name, x in found.head.params.items() if not x.equal(shared.params[name])}
    assert moved == {name for name in shared.params if not name.startswith("mix.")}


def test_run_is_as_it_was(lab: Lab, opened: tuple[Trained, Config]) -> None:
    trained, cfg = opened
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = trained.client(1).logits(images)
    personalised(trained, lab.path / "own", cfg)
    assert torch.equal(trained.client(1).logits(images), before)


def test_what_is_kept_of_images_is_that_of_the_newcomer(
    lab: Lab, counting: tuple[Trained, Config]
) -> None:
    trained, cfg = counting
    (lab.path / "few").mkdir(exist_ok=True)
    shutil.copytree(lab.path / "own" / "class_2", lab.path / "few" / "class_2", dirs_exist_ok=True)
    found = personalised(trained, lab.path / "few", cfg)
    assert int((found.head.params["values"] == 3).sum()) == found.num_trained == 4


def test_command_says_what_it_did_and_writes_the_folder(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export_with(lab, "--finetune", lab.path / "own", "--to", tmp_path / "a", *WORDS) == 0
    out, err = capsys.readouterr()
    assert "of 2 that were held out it tells" in err
    assert "no folder for 2 of the run's 4 classes: 'class 1', 'class 3'" in err
    assert "newcomer of" in out and "as module" in out
    told = json.loads((tmp_path / "a" / "export.json").read_text())
    assert told["newcomer"]["images"] == 9 and told["client"] == "newcomer"
    assert export_with(lab, "--client", "shared", "--to", tmp_path / "b", "--among", "novel") == 0
    told = json.loads((tmp_path / "b" / "export.json").read_text())
    assert told["class_names"] == [f"class {label}" for label in range(4, 8)]
    assert export_with(lab, "--client", "zero_shot", "--to", tmp_path / "c") == 0
    assert json.loads((tmp_path / "c" / "export.json").read_text())["form"] == "classes"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--client", "9"], "client 9: .* has clients 0 to 3"),
        (["--client", "seven"], "--client: 'seven' is neither a number nor shared or zero_shot"),
        (["--client", "1", "--among", "nowhere"], "'nowhere' is no class set of .* base, novel"),
    ],
)
def test_nobody_of_the_run_is_told_who_there_is(
    lab: Lab,
    opened: tuple[Trained, Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    monkeypatch.setattr(export, "open_to_export", lambda *_, **__: opened)
    assert export_with(lab, *words, "--to", tmp_path / "out") == MEND
    err = capsys.readouterr().err
    assert re.search(f"error: .*{told}", err), err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say whose: --client N, --client shared"),
        (["--client", "1", "data.templte=x"], "data.templte"),
        (["--client", "1", "--as", "onx"], "invalid choice: 'onx'"),
        (["--client", "1", "typo"], "typo: is no key=value"),
        (["--client", "1", "optim.lr=1"], "optim.lr: .* was trained with"),
    ],
)
def test_slip_is_told_and_nothing_written(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert export_with(lab, *words, "--to", tmp_path / "out") == MEND
    err = capsys.readouterr().err
    assert re.search(f"error: .*{told}", err), err
    assert not any(tmp_path.iterdir())


def test_unknown_class_folder_is_named_with_the_nearest(
    lab: Lab, opened: tuple[Trained, Config], tmp_path: Path
) -> None:
    shutil.copytree(lab.path / "own" / "class_0", tmp_path / "clas_0")
    trained, cfg = opened
    with pytest.raises(ValueError, match=r"1 of 1 class folders .*'clas_0'; did you mean class 0"):
        personalised(trained, tmp_path, cfg)


def test_broken_image_is_named(lab: Lab, opened: tuple[Trained, Config], tmp_path: Path) -> None:
    shutil.copytree(lab.path / "own" / "class_0", tmp_path / "class_0")
    (tmp_path / "class_0" / "z.png").write_bytes(b"no image")
    trained, cfg = opened
    with pytest.raises(ValueError, match=r"--finetune: 1 of 7 images cannot be read: .*z.png"):
        personalised(trained, tmp_path, cfg)


def test_too_few_images_are_all_trained_on_and_none_is_scored(
    lab: Lab, opened: tuple[Trained, Config], tmp_path: Path
) -> None:
    (tmp_path / "class_1").mkdir()
    shutil.copy(lab.path / "own" / "class_0" / "0.png", tmp_path / "class_1")
    trained, cfg = opened
    found = personalised(trained, tmp_path, cfg)
    assert (found.num_trained, found.before, found.after) == (1, None, None)


def test_more_images_than_a_cache_was_built_for_are_refused(
    lab: Lab, counting: tuple[Trained, Config]
) -> None:
    trained, cfg = counting
    with pytest.raises(ValueError, match="9 images to train on, and the run was built for 6"):
        personalised(trained, lab.path / "own", cfg)
