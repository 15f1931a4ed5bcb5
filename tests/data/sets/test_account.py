"""The account: every file below an image folder is read, or left out for a reason."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pfedmma_dist.config.keys import DataConfig, Layout
from pfedmma_dist.data.images.files import SUFFIXES
from pfedmma_dist.data.images.images import without
from pfedmma_dist.data.sets import account as reasons
from pfedmma_dist.data.sets import look
from pfedmma_dist.data.sets.look import account
from pfedmma_dist.data.sets.registry import read
from pfedmma_dist.simulation import training


def counts(found):
    return {item.why: item.count for item in found.reasons}


def of(found, why):
    [item] = [item for item in found.reasons if item.why == why]
    return item


CLASSES = [f"{name}/{i}.jpg" for name in ("ant", "bee") for i in range(4)]


def test_folder_of_images_alone_is_told_in_one_line(touch, read_from):
    root = touch(*CLASSES)
    found = account(read_from("folder"))
    assert found.is_quiet
    assert found.line() == (
        f"files below {root}: 8 found, 8 read (6 for training, 2 for testing), none left out"
    )


STRAY = {
    "ant/0.heic": "ending in .heic",
    "ant/1.HEIC": "ending in .heic",
    "bee/scan.tga": "ending in .tga",
    "bee/more.zip": "ending in .zip",
    "bee/more/deep/1.png": reasons.NESTED,
    "loose.png": reasons.OUTSIDE,
    "readme.txt": reasons.PLAIN,
    "ant/labels.csv": reasons.PLAIN,
    "ant/noend": reasons.PLAIN,
    "ant/.thumb.jpg": reasons.HIDDEN,
    ".old/ant/1.jpg": reasons.HIDDEN,
    "ant/Thumbs.db": reasons.SYSTEM,
    "ant/._0.jpg": reasons.SYSTEM,
    "bee/desktop.ini": reasons.SYSTEM,
    "bee/0.jpg:Zone.Identifier": reasons.SYSTEM,
    "@eaDir/ant/0.jpg": reasons.SYSTEM,
    "ant/@eaDir/0.jpg": reasons.SYSTEM,
    "__MACOSX/ant/._0.jpg": reasons.SYSTEM,
    "lost+found/0.jpg": reasons.SYSTEM,
    "bee/.ipynb_checkpoints/0.jpg": reasons.SYSTEM,
}


def test_sum_is_exact_and_every_file_has_its_reason(touch, read_from):
    root = touch(*CLASSES, *STRAY)
    (root / "ant" / "dead.jpg").symlink_to("nowhere")
    (root / "ant" / "ring.jpg").symlink_to("ring.jpg")
    (root / "ant" / "up").symlink_to("..")
    (root / "bee" / "none").mkdir()
    os.mkfifo(root / "bee" / "pipe.jpg")
    found = account(read_from("folder"))
    expected = {reasons.DEAD: 2, reasons.LOOP: 1, reasons.SPECIAL: 1}
    for why in STRAY.values():
        expected[why] = expected.get(why, 0) + 1
    assert counts(found) == expected
    walked = [name for _, _, names in os.walk(root) for name in names]
    assert found.found == len(walked) + 1 == found.read + sum(expected.values())  # `up`, a folder
    assert found.empty == ["bee/none/"]
    assert not found.is_quiet
    assert of(found, "ending in .heic").first == "ant/0.heic"
    told = found.line()
    assert "pillow-heif" in told
    assert "as bee/more/deep/1.png: data.nested=true" in told
    assert "(.csv 1, .txt 1, no suffix 1)" in told.replace(".txt 1, .csv 1", ".csv 1, .txt 1")
    assert "@eaDir 2" in told


def test_snapshots_are_named_and_not_looked_into(touch, read_from):
    touch(*CLASSES, ".snapshot/monday/ant/0.jpg", "#snapshot/ant/0.jpg")
    found = account(read_from("folder"))
    assert (found.found, counts(found)) == (9, {reasons.SYSTEM: 1})
    assert list(found.closed) == [".snapshot/"]


def test_what_a_list_leaves_out_is_told_from_validation_and_classes(tmp_path, touch, read_from):
    touch(*CLASSES, "cat/0.jpg", "cat/1.jpg", "cat/2.heic", "notes.txt")
    rows = [(path, path[:3], "test" if "1" in path else "train") for path in CLASSES[:7]]
    rows += [("cat/0.jpg", "cat", "train"), ("bee/3.jpg", "bee", "val")]
    (tmp_path / "list.csv").write_text(
        "path,class,split\n" + "".join(f"{','.join(row)}\n" for row in rows)
    )
    images = read_from("folder", list=str(tmp_path / "list.csv"), classes=["ant", "bee"])
    found = account(images)
    assert (found.read, found.found) == (7, 12)
    assert counts(found) == {
        reasons.UNLISTED: 2,
        reasons.VAL: 1,
        reasons.CLASS: 1,
        reasons.PLAIN: 1,
    }
    assert found.is_quiet


def test_validation_is_told_in_any_spelling(tmp_path, touch, read_from):
    touch(*CLASSES)
    parts = ("train", "train", "test", "val")
    rows = [f"{path.upper()},{path[:3]},{parts[i % 4]}" for i, path in enumerate(CLASSES)]
    (tmp_path / "list.csv").write_text("path,class,split\n" + "\n".join(rows))
    found = account(read_from("folder", list=str(tmp_path / "list.csv")))
    assert (found.read, counts(found)) == (6, {reasons.VAL: 2})


def test_parts_of_published_sets_that_are_left_out_are_known(touch, read_from):
    home = "caltech-101/101_ObjectCategories"
    names = ("ant", "bee", "BACKGROUND_Google")
    touch(*(f"{home}/{name}/{i}.jpg" for name in names for i in range(10)), "pacs/cat/1.jpg")
    found = account(read_from("caltech101"))
    assert counts(found) == {reasons.SKIPPED: 10, reasons.VAL: 4}
    assert (found.parts, found.found) == ({"training": 10, "testing": 6}, 30)


def test_unreadable_images_count_as_left_out(touch, read_from):
    touch(*CLASSES)
    found = account(without(read_from("folder"), np.array([0, 7])))
    assert (found.parts, counts(found)) == ({"training": 5, "testing": 1}, {reasons.UNREADABLE: 2})


def test_images_of_unknown_suffix_are_told_by_their_content(touch, read_from, save_image):
    root = touch(*CLASSES)
    save_image(root / "ant" / "a.png").rename(root / "ant" / "photo")
    save_image(root / "ant" / "b.png").rename(root / "ant" / "b.png~")
    found = account(read_from("folder"))
    assert counts(found) == {"without a suffix": 1, "ending in .png~": 1}
    assert of(found, "without a suffix").remedy == "the first is PNG by its content; rename them"


def test_long_look_says_how_far_it_is_and_ends_when_it_is_told(
    touch, read_from, monkeypatch, caplog
):
    touch(*CLASSES, "ant/1.heic")
    images = read_from("folder")
    monkeypatch.setattr(look, "FIRST_WORD", -1.0)
    caplog.set_level("INFO")
    assert account(images).found == 9
    assert "looking at the files below" in caplog.text
    found = account(images, seconds=-1.0)
    assert not found.whole
    assert "at least 8 found" in found.line()
    assert "prepare does that" in found.line()


def test_images_that_are_no_files_have_no_account(tmp_path):
    assert account(read(DataConfig(name="glyphs"), 0, tmp_path)) is None


ODD = [b"caf\xe9", b"a\nb", b"\"q\" 'r'", b"$HOME [red]", b"n" * 240]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_any_name_is_read_and_written_on_one_line(tmp_path, odd):
    data = os.fsencode(tmp_path / "data")
    for name in (b"ant", b"bee"):
        os.makedirs(data + b"/" + name + b"/" + odd)
        for i in range(4):
            path = os.fsdecode(data + b"/%s/%d%s.png" % (name, i, odd))
            Image.new("RGB", (4, 4)).save(path)
        for place in (b"/" + odd + b"/in.png", b"/" + odd + b".heic"):
            Path(os.fsdecode(data + b"/" + name + place)).touch()
    cfg = DataConfig(name="folder", root=os.fsdecode(data))
    images = read(cfg, 0, tmp_path / "cache")
    assert images.store.paths == read(cfg, 0, tmp_path / "cache").store.paths  # of the kept split
    assert [item.size for item in images.store.open(np.arange(8))] == [(4, 4)] * 8
    found = account(images)
    assert (found.read, found.found, found.line().count("\n")) == (8, 12, 0)
    for text in (found.line(), images.store.name(0), images.store.labels(np.arange(1))[0]):
        assert text.encode()
    assert images.store.name(0).isprintable()


def test_class_without_a_readable_image_says_what_it_holds(touch, read_from):
    touch(*CLASSES, "cat/1.heic", "cat/more/1.jpg", "cat/.hidden")
    with pytest.raises(
        ValueError, match=r"/cat holds no image, only .*\.heic.*pillow-heif.*nested"
    ):
        read_from("folder", layout=Layout.classes)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_is_of_an_image_that_can_be_decoded(tmp_path, suffix):
    kinds = {".jif": "JPEG", ".pjpeg": "JPEG", ".pjp": "JPEG"}
    for name in ("ant", "bee"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(3):
            image = Image.new("L" if suffix == ".pgm" else "RGB", (8, 8), i)
            image.save(tmp_path / "data" / name / f"{i}{suffix.upper()}", kinds.get(suffix))
    images = read(DataConfig(name="folder", root=str(tmp_path / "data")), 0, tmp_path)
    assert len(images) == 6
    assert images.store.inspect(np.arange(6)).unreadable == []


def test_avif_names_the_pillow_that_reads_it_where_this_one_does_not(touch, monkeypatch):
    root = touch("1.avif")
    monkeypatch.setattr(look, "SUFFIXES", SUFFIXES - {".avif"})
    assert look.contents(str(root)) == (
        "1 ending in .avif, as 1.avif: install Pillow 11.3 or newer, or convert them to JPEG or PNG"
    )


@pytest.mark.parametrize("extra, level", [("ant/1.heic", "WARNING"), ("ant/a.txt", "INFO")])
def test_start_of_a_run_says_the_account_in_one_line(touch, read_from, caplog, extra, level):
    touch(*CLASSES, extra)
    images = read_from("folder")
    caplog.clear()
    caplog.set_level("INFO")
    training.tell_account(images)
    [record] = caplog.records
    assert record.levelname == level
    assert "9 found, 8 read (6 for training, 2 for testing), 1 left out: 1 " in record.message
