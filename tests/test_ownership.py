"""A run goes on with what it began with, or says what has changed; data may move meanwhile."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from runs import Lab, alone, call, checkpoints, make_lab, outcome, refusal

from pfedmma_dist import evaluate, trained
from pfedmma_dist.clip.load import untrained
from pfedmma_dist.federation.federation import Federation

CHANGES = {"run__checkpoint_every": 1, "federation__rounds": 3}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A run that is whole, and one like it that was killed in its last round."""
    lab = make_lab(tmp_path_factory.mktemp("ownership"))
    torch.save(untrained(str(lab.path / "clip.json"), 3).state_dict(), lab.path / "weights.pt")
    pretrained = {"clip__pretrained": lab.path / "weights.pt"}
    assert call(lab.words("whole", **CHANGES, **pretrained)) == 0
    killed_in_round_2(lab.words("cut", **CHANGES, **pretrained))
    assert checkpoints(lab.folder("cut")) == ["round_000001", "round_000002"]
    return lab


def killed_in_round_2(words: list[str]) -> None:
    through = Federation.round

    def dies(federation: Federation, index: int, *rest: object) -> object:
        if index == 2:
            raise SystemExit(9)
        return through(federation, index, *rest)

    Federation.round = dies
    try:
        with pytest.raises(SystemExit):
            call(words)
    finally:
        Federation.round = through


@pytest.fixture
def again(lab: Lab, tmp_path: Path) -> tuple[Lab, Callable[..., list[str]]]:
    """A copy of the lab, and the command that goes on with the killed run there."""
    shutil.copytree(lab.path, tmp_path / "lab")
    copy = Lab(tmp_path / "lab")

    def words(**changes: object) -> list[str]:
        usual = {
            "clip__pretrained": copy.path / "weights.pt",
            "clip__model": lab.path / "clip.json",
        }
        return copy.words("cut", **{**CHANGES, **usual, **changes})

    return copy, words


Again = tuple[Lab, Callable[..., list[str]]]


def test_data_and_weights_that_have_moved_go_on_to_the_same_bits(lab: Lab, again: Again) -> None:
    copy, words = again
    for path in copy.data.rglob("*.*"):
        os.utime(path)
    assert call(words()) == 0
    assert outcome(copy.folder("cut")) == outcome(lab.folder("whole"))
    config = (copy.folder("cut") / "config.yaml").read_text()
    assert f"root: {copy.data}" in config


def one_pixel(copy: Lab, part: str) -> str:
    path = copy.data / part / "class_1" / "0.png"
    kept = path.stat()
    image = Image.open(path)
    image.putpixel((3, 3), (1, 2, 3))
    image.save(path)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    return f"image {part}/class_1/0.png changed"


def added(copy: Lab) -> str:
    shutil.copy(copy.data / "test/class_0/0.png", copy.data / "test/class_0/9.png")
    return "image test/class_0/9.png is new"


def removed(copy: Lab) -> str:
    (copy.data / "test/class_0/0.png").unlink()
    return "image test/class_0/0.png is not used now"


def renamed(copy: Lab) -> str:
    for part in ("train", "test"):
        (copy.data / part / "class_1").rename(copy.data / part / "class_1b")
    return "classes of 'base': 'class 1' then and not now; 'class 1b' now and not then"


def other_weights(copy: Lab) -> str:
    state = torch.load(copy.path / "weights.pt")
    state["visual.proj"][0, 0] += 1.0
    torch.save(state, copy.path / "weights.pt")
    return "the image tower's weights differ (clip.model="


@pytest.mark.parametrize(
    "change",
    [
        lambda copy: one_pixel(copy, "train"),
        lambda copy: one_pixel(copy, "test"),
        added,
        removed,
        renamed,
        other_weights,
    ],
    ids=["training pixel", "test pixel", "added", "removed", "renamed class", "weights"],
)
def test_changed_input_is_refused_by_its_name(
    again: Again, capsys: pytest.CaptureFixture[str], change: Callable[[Lab], str]
) -> None:
    copy, words = again
    told = change(copy)
    before = outcome_of_checkpoint(copy)
    assert told in refusal(capsys, words())
    assert outcome_of_checkpoint(copy) == before


def outcome_of_checkpoint(copy: Lab) -> bytes:
    return (copy.folder("cut") / "checkpoints/round_000002/manifest.json").read_bytes()


def test_images_are_not_named_where_their_table_is_lost(
    again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, words = again
    one_pixel(copy, "train")
    (copy.folder("cut") / "images.csv").unlink()
    assert "images differ (the table that would name them is missing" in refusal(capsys, words())


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seed", 2, "seed: 1 there, 2 here"),
        ("optim__lr", 0.01, "optim.lr: 0.05 there, 0.01 here"),
        ("data__num_clients", 3, "data.num_clients: 4 there, 3 here"),
    ],
)
def test_state_says_itself_whose_it_is_where_config_yaml_is_gone(
    again: Again, capsys: pytest.CaptureFixture[str], key: str, value: object, told: str
) -> None:
    copy, words = again
    (copy.folder("cut") / "config.yaml").unlink()
    text = refusal(capsys, words(**{key: value}))
    assert told in text
    assert "says checkpoints/round_000002" in text


def test_lost_config_yaml_is_written_again_by_its_own_command(lab: Lab, again: Again) -> None:
    copy, words = again
    (copy.folder("cut") / "config.yaml").unlink()
    assert call(words()) == 0
    assert outcome(copy.folder("cut")) == outcome(lab.folder("whole"))


def test_checkpoint_copied_from_another_run_is_refused(
    again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, words = again
    killed_in_round_2(words(seed=7, run__folder=copy.folder("other")))
    for name in ("round_000001", "round_000002"):
        shutil.rmtree(copy.folder("cut") / "checkpoints" / name)
    shutil.copytree(
        copy.folder("other") / "checkpoints/round_000002",
        copy.folder("cut") / "checkpoints/round_000002",
    )
    assert "seed: 7 there, 1 here" in refusal(capsys, words())


def test_keys_that_reach_no_number_may_change_and_are_told(
    again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, words = again
    assert call(words(run__checkpoint_every=2, evaluate__every=0)) == 0
    told = capsys.readouterr().err
    assert "run.checkpoint_every: 1 so far, 2 from here on" in told
    assert "evaluate.every: 1 so far, 0 from here on" in told


def test_rows_of_metrics_come_from_the_checkpoint_where_the_file_disagrees(
    lab: Lab, again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, words = again
    path = copy.folder("cut") / "metrics.csv"
    header, first, second = path.read_text().splitlines()
    path.write_text("\n".join([header, second, first, first]) + "\n")
    assert call(words()) == 0
    assert outcome(copy.folder("cut")) == outcome(lab.folder("whole"))
    assert "does not hold the rows of the checkpoint" in capsys.readouterr().err
    kept = copy.folder("cut") / ".metrics.csv.replaced"
    assert kept.read_text().splitlines() == [header, second, first, first]


def test_result_that_was_edited_is_refused(
    again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, words = again
    path = copy.folder("whole") / "result.json"
    body = json.loads(path.read_text())
    body["results"][-1]["scores"]["local_mean"] = 99.0
    path.write_text(json.dumps(body))
    text = refusal(capsys, words(run__folder=copy.folder("whole")))
    assert f"{path} does not have the sha256 it was written with; restore it" in text


def test_table_of_clients_that_was_edited_is_told_with_the_result(
    again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, words = again
    path = copy.folder("whole") / "clients.csv"
    path.write_text(path.read_text().replace("0,", "1,", 1))
    assert call(words(run__folder=copy.folder("whole"))) == 0
    assert f"{path} is not as the run left it" in capsys.readouterr().err


def test_evaluation_keeps_to_what_was_trained_and_tells_of_other_images(
    again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, _ = again
    run = str(copy.folder("whole"))
    assert evaluate.main([run, "optim.lr=0.5"]) == 2
    assert "optim.lr: " in capsys.readouterr().err
    told = one_pixel(copy, "test")
    assert evaluate.main([run, f"data.root={copy.data}"]) == 0
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.shots=1"], ("data.shots: ", "was trained with 16, and 1 is asked for; leave")),
        (["data.division=balanced"], ("data.division: ", "with published, and balanced is")),
        (["data.classes=[class_0,class_1]"], ("data.classes: ", "with null, and ['class_0',")),
        (["data.task=label_shift"], ("data.task: ", "with base_to_novel, and label_shift is")),
        (["data.nested=true"], ("data.nested: ", "with false, and true is asked for")),
        (["method.blocks=2"], ("method.blocks: ", "was trained with 3, and 2 is asked for")),
    ],
)
def test_key_that_deals_images_or_makes_the_layout_is_refused_before_clip_is_loaded(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    told: tuple[str, str],
) -> None:
    monkeypatch.setattr(trained, "assemble", lambda *_: pytest.fail("CLIP was loaded"))
    with alone():
        assert evaluate.main([str(lab.folder("whole")), *words]) == 2
    err = capsys.readouterr().err
    assert all(each in err for each in told) and "damaged" not in err


def test_data_that_the_state_does_not_fit_is_told_by_key(
    again: Again, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, _ = again
    other = make_lab(copy.path / "other", (2, 9, 9, 2, 2, 2, 2, 2))
    with alone():
        assert evaluate.main([str(copy.folder("whole")), f"data.root={other.data}"]) == 2
    err = capsys.readouterr().err
    line = err[err.index("error: ") :]
    assert line.startswith("error: data.root: ") and f"{other.data} is asked for" in line
    assert "holds other clients than the" in line and "leave it as it was" in line


def edited(path: Path) -> str:
    path.write_text(path.read_text().replace("lr: 0.05", "lr: 0.5"))
    return "says something else than the run did"


def emptied(path: Path) -> str:
    path.write_text("")
    return "is empty"


def cut(path: Path) -> str:
    path.write_text(path.read_text()[:400] + "\n{")  # wherever it was cut, it is no YAML
    return "cannot be read"


@pytest.mark.parametrize("change", [edited, emptied, cut], ids=lambda change: change.__name__)
def test_state_is_believed_before_a_config_yaml_that_was_changed(
    lab: Lab, again: Again, capsys: pytest.CaptureFixture[str], change: Callable[[Path], str]
) -> None:
    copy, words = again
    path = copy.folder("cut") / "config.yaml"
    told = change(path)
    assert call(words()) == 0
    err = capsys.readouterr().err
    assert f"{path} {told}" in err.replace("\n", " ")
    assert "the run itself says what it is" in err
    assert outcome(copy.folder("cut")) == outcome(lab.folder("whole"))
    assert "lr: 0.05" in path.read_text()
    change(path)
    assert evaluate.main([str(copy.folder("cut"))]) == 2
