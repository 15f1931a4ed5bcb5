"""prepare, as a user calls it: what is missing, what is broken, what the clients get."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from runs import ROOT, Ended, Lab, alone, make_lab

from pfedmma_dist import prepare
from pfedmma_dist.command import MEND
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.data.download.catalogue import ORIGINS
from pfedmma_dist.data.download.parts import Archive, Origin, Piece, Sizes
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run import progress as progress_module
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.world import World

Start = Callable[..., Ended]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab whose data nobody spoils: 29 training and 24 test images of 8 classes."""
    return make_lab(tmp_path_factory.mktemp("prepare"))


@pytest.fixture
def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Start:
    """Return a function that runs the command in a folder of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*words: object) -> Ended:
        with alone():
            code = prepare.main(
                [*map(str, words), "run.threads=1", f"clip.cache_folder={tmp_path / 'cache'}"]
            )
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture
def caltech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty data.root; a tiny caltech101 is published in a local archive."""
    images = tmp_path / "images" / "101_ObjectCategories"
    for name in ("ant", "bee"):
        (images / name).mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(images / name / f"{index}.png")
    published = Path(shutil.make_archive(str(tmp_path / "caltech-101"), "zip", tmp_path / "images"))
    archive = Archive(
        published.as_uri(),
        hashlib.md5(published.read_bytes()).hexdigest(),
        "1 kB",
        {"101_ObjectCategories": "caltech-101/101_ObjectCategories"},
    )
    split = Piece("the split", "a friend", "caltech-101/split_zhou_Caltech101.json")
    origin = Origin("https://page", (archive,), split=split, sizes=Sizes(2, 4, 2))
    monkeypatch.setitem(ORIGINS, "caltech101", origin)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_good_data_is_counted_and_decoded(lab: Lab, start: Start) -> None:
    ended = start("folder", f"data.root={lab.data}")
    assert ended.code == 0
    assert f"folder: {lab.data}\n" in ended.out
    training, test = [
        line.split() for line in ended.out.splitlines() if " all 3" in line or " 29 " in line
    ]
    assert training[:3] == ["training", "29", "8"]
    assert test[:3] == ["test", "24", "8"]
    assert ended.out.endswith("all 53 images can be read\n")


def test_broken_images_are_named_with_their_reasons(
    lab: Lab, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(lab.data, tmp_path / "data")
    broken = {
        "train/class_1/1.jpg": (
            "truncated",
            (lab.data / "train/class_1/1.jpg").read_bytes()[:-300],
        ),
        "test/class_6/0.png": ("not an image", b"<html>404</html>"),
        "test/class_7/2.png": ("the file is empty", b""),
    }
    for path, (_, content) in broken.items():
        (tmp_path / "data" / path).write_bytes(content)
    ended = start("folder", f"data.root={tmp_path / 'data'}")
    assert ended.code == MEND
    for path, (reason, _) in broken.items():
        [line] = [line for line in ended.out.splitlines() if path in line]
        assert reason in line
    assert "error: data.root: 3 of 53 images cannot be read" in ended.err
    assert "data.skip_corrupt=true" in ended.err
    monkeypatch.setattr(prepare, "NAMED", 1)
    ended = start("folder", f"data.root={tmp_path / 'data'}", "data.skip_corrupt=true")
    assert ended.code == 0
    assert "  and 2 more\ndata.skip_corrupt=true leaves them out, and reads 50\n" in ended.out
    assert "53 found, 50 read" in ended.out and "3 unreadable, left out by data.skip" in ended.out


def test_a_half_without_a_readable_image_is_refused(lab: Lab, tmp_path: Path, start: Start) -> None:
    shutil.copytree(lab.data, tmp_path / "data")
    for path in (tmp_path / "data" / "test").rglob("*.*"):
        path.write_bytes(b"")
    ended = start("folder", f"data.root={tmp_path / 'data'}", "data.skip_corrupt=true")
    assert ended.code == MEND
    assert "no readable image is left of a half" in ended.err


def test_long_check_says_how_far_it_is(
    lab: Lab, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "CHECK_SPAN", 7)
    monkeypatch.setattr(prepare, "GLANCE", float("inf"))
    monkeypatch.setattr(progress_module, "QUIET_SECONDS", 0.0)
    err = start("folder", f"data.root={lab.data}").err
    told = [int(n) for n in re.findall(r"decoding images: (\d+) of 53, about", err)]
    assert told == [7, 21, 49]  # chunks grow as long as they are short


def test_missing_data_is_told_with_what_to_get_and_nothing_is_fetched(
    caltech: Path, start: Start
) -> None:
    ended = start("caltech101", f"data.root={caltech}")
    assert ended.code == MEND
    assert f"below {caltech}\n" in ended.err
    assert "  MISSING  caltech-101/101_ObjectCategories\n" in ended.err
    assert "--download fetches it and puts it there" in ended.err
    assert list(caltech.iterdir()) == []


def test_download_fetches_verifies_and_is_not_repeated(caltech: Path, start: Start) -> None:
    ended = start("caltech101", f"data.root={caltech}", "--download")
    assert ended.code == 0
    assert ended.out.endswith("all 6 images can be read\n")
    assert "fetching caltech-101.zip (MB)" in ended.err
    ended = start("caltech101", f"data.root={caltech}", "--download")
    assert ended.code == 0
    assert "fetching" not in ended.err


def test_published_split_is_asked_for_until_it_is_there(caltech: Path, start: Start) -> None:
    words = ("caltech101", f"data.root={caltech}", "--download")
    split = caltech / "caltech-101" / "split_zhou_Caltech101.json"
    assert f"the split, belongs at {split}; see a friend" in start(*words).err
    parts = {
        part: [[f"{name}/{index}.png", label, name] for label, name in enumerate(("ant", "bee"))]
        for index, part in enumerate(("train", "val", "test"))
    }
    split.write_text(json.dumps(parts))
    ended = start(*words)
    assert ended.code == 0
    assert "the split, belongs" not in ended.err
    complete = "a complete copy has 2 classes, 4 training and 2 test images"
    assert f"{complete}; here are 2 classes, 2 training and 2 test images" in ended.err


def test_what_download_cannot_mend_is_told_again(caltech: Path, start: Start) -> None:
    (caltech / "caltech-101" / "101_ObjectCategories").mkdir(parents=True)
    ended = start("caltech101", f"data.root={caltech}", "--download")
    assert ended.code == MEND
    assert "holds no class folder" in ended.err
    assert "  there    caltech-101/101_ObjectCategories\n" in ended.err
    assert "--download" not in ended.err


def test_partition_is_described_and_drawn_without_a_look_at_an_image(
    lab: Lab, start: Start, tmp_path: Path
) -> None:
    shutil.copytree(lab.data, tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.*"):
        path.write_bytes(b"")
    words = ("folder", f"data.root={tmp_path / 'data'}", "data.num_clients=2", "--describe")
    ended = start(*words)
    assert ended.code == 0
    assert "base_to_novel: 21 of 29 training images, 4 of 8 classes\n" in ended.out
    assert "figure  partition-folder-base_to_novel.png\n" in ended.out
    first = Path("partition-folder-base_to_novel.png")
    before = first.read_bytes()
    assert "figure  partition-folder-base_to_novel-2.png\n" in start(*words).out
    assert first.read_bytes() == before
    with Image.open("partition-folder-base_to_novel-2.png") as figure:
        assert figure.size == (1350, 675)


def test_partition_that_cannot_be_is_refused(lab: Lab, start: Start) -> None:
    ended = start("folder", f"data.root={lab.data}", "data.num_clients=5", "--describe")
    assert ended.code == MEND
    assert "data.num_clients: 5 clients cannot share 4 base classes" in ended.err
    assert not list(Path.cwd().iterdir())


def test_name_may_be_a_preset_a_data_set_or_the_usual_words(lab: Lab, start: Start) -> None:
    assert "label_shift" in start("glyphs_label_shift", "data.num_clients=3", "--describe").out
    small = ("data.train_per_class=1", "data.test_per_class=1")
    assert start("data.name=glyphs", *small).out.endswith("all 200 images can be read\n")
    assert start("glyphs", *small).out.endswith("all 200 images can be read\n")
    assert start("configs/data/folder.yaml", f"data.root={lab.data}").code == 0


def test_flags_of_training_do_what_they_do_there(start: Start) -> None:
    ended = start("glyphs_domains", "--print-config")
    assert ended.code == 0
    assert "  task: feature_shift\n" in ended.out
    assert start("--list").out.startswith("methods (method.name)\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["caltech10"], "data.name: 'caltech10' is unknown; did you mean caltech101"),
        (["folder", "data.rot=x"], "unknown key data.rot; did you mean data.root"),
        (["folder", "--downlod"], "--downlod is unknown; did you mean --download?"),
        (["folder", "--data.root=x"], "keys are written without dashes: data.root=x"),
        (["folder", "data.root=nowhere"], "data.root: nowhere"),
        (["nothing.yaml"], "there is no file nothing.yaml"),
    ],
)
def test_wrong_words_are_refused_in_one_line(words: list[str], told: str, start: Start) -> None:
    ended = start(*words)
    assert ended.code == MEND
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["--describe"], ["data.root=x", "seed=2"]])
def test_command_without_a_name_says_how_it_is_used(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare.main(words) == MEND
    assert "no data set is named; usage: python -m" in capsys.readouterr().err


def test_help_tells_what_can_be_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "--download   fetch" in text
    assert "  caltech101        137 MB\n" in text
    assert "  glyphs            nothing\n" in text


def test_several_ranks_are_refused_before_anything_is_fetched(caltech: Path) -> None:
    words = ["data.name=caltech101", f"data.root={caltech}"]
    cfg = read(words, methods=METHODS, sources=SOURCES)
    with pytest.raises(TogetherError, match="2 ranks would do the same work; start one"):
        prepare.prepare(cfg, World(1, 2, torch.device("cpu")), download=True)
    assert list(caltech.iterdir()) == []


def test_files_that_are_left_out_are_counted_by_reason(
    lab: Lab, start: Start, tmp_path: Path
) -> None:
    shutil.copytree(lab.data, tmp_path / "data")
    for name in ("a.heic", "more/b.png", "@eaDir/0.png"):
        path = tmp_path / "data/train/class_1" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    out = start("folder", f"data.root={tmp_path / 'data'}").out
    at = out.index(f"files below {tmp_path / 'data'}: 56 found, 53 read (29 for training, 24 for")
    lines = out[at:].splitlines()
    assert lines[0].endswith(", 3 left out")
    assert sorted(line.split(",")[0] for line in lines[1:4]) == [
        "  1 ending in .heic",
        "  1 in folders inside class folders",
        "  1 of the system (@eaDir 1)",
    ]
    assert lines[4] == "all 53 images can be read"


PRESETS = sorted((ROOT / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_what_a_preset_lacks_fits_on_a_screen(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = read_yaml(path)["data"].get("name")  # of several sets the first is told
    if name == "glyphs":
        return  # lacks nothing
    with alone():
        assert prepare.main([str(path), f"data.root={tmp_path}"]) == MEND
    lines = capsys.readouterr().err.splitlines()
    assert sum(-(-len(line) // 100) for line in lines) <= 24
    assert any(line.startswith("  MISSING  ") for line in lines) or name == "folder"
