import logging
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.paths import Disk, Kind, leads_out, locate, one_form, surplus
from pfedmma_dist.data.sets.presence import check_paths

FILES = (
    *("Café au lait/Bild_1.JPG", "Café au lait/bild_2.jpg", "ant/Ünder/0001.jpeg", "ant/a%20b.png"),
    *("STRASSE/x.jpg", "top.gif", "ant/100%.jpg", "two  spaces/im 1.jpg", "한국/어.png"),
)
SPELLINGS: dict[str, Callable[[str, Path], str]] = {
    "NFC": lambda path, root: unicodedata.normalize("NFC", path),
    "NFD": lambda path, root: unicodedata.normalize("NFD", path),
    "lower": lambda path, root: path.lower(),
    "upper": lambda path, root: path.upper(),
    "dots": lambda path, root: f"./{path.replace('/', '/./')}",
    "slashes": lambda path, root: path.replace("/", "//"),
    "back": lambda path, root: path.replace("/", "\\"),
}
PLACES: dict[str, Callable[[str, Path], str]] = {
    "relative": lambda path, root: path,
    "absolute": lambda path, root: f"{root}/{path}",
    "linked": lambda path, root: f"{root.parent}/link/{path}",
    "climbing": lambda path, root: f"{root.parent}/other/../{root.name}/{path}",
    "returning": lambda path, root: f"../{root.name}/{path}",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder as a Mac writes it, with a link to it beside it."""
    root = tmp_path_factory.mktemp("paths") / "Images"
    for path in FILES:
        file = root / unicodedata.normalize("NFD", path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root.parent / "link").symlink_to(root)
    return root


@pytest.fixture(scope="module")
def disk(root: Path) -> Disk:
    return Disk(root)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(FILES),
    spellings=st.lists(st.sampled_from(sorted(SPELLINGS)), unique=True),
    place=st.sampled_from(sorted(PLACES)),
    as_url=st.booleans(),
)
def test_path_in_any_spelling_finds_the_file_it_was_made_from(
    root, disk, path, spellings, place, as_url
):
    path = unicodedata.normalize("NFD", path)
    text = path
    for name in spellings:
        text = SPELLINGS[name](text, root)
    text = PLACES[place](text, root)
    if as_url and text.startswith("/"):
        text = f"file://{quote(text)}"
    [found] = locate(text, disk)
    assert found.path == path
    [again] = locate(found.path, disk)
    assert again == (path, ())  # what is found is found as it is


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(
            ["..", ".", "", "ant", "ANT", "link", "Images", "~", "etc", "C:", "%2e%2e"]
        ),
        max_size=8,
    ),
    separator=st.sampled_from(["/", "\\", "//"]),
    head=st.sampled_from(["", "/", "file:///", "\\\\", "C:\\", "~/"]),
)
def test_nothing_is_found_outside(root, disk, parts, separator, head):
    for found in locate(head + separator.join([*parts, "top.gif"]), disk):
        assert not leads_out(found.path) and ".." not in found.path.split("/")
        assert os.path.commonpath([(root / found.path).resolve(), root.resolve()]) == str(root)


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(st.sampled_from(["é", "É", "e\u0301", "e", "E", "f"]), min_size=1, unique=True)
)
def test_different_files_never_become_one(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("many")
    for name in names:
        (root / f"{name}.jpg").touch()
    disk = Disk(root)
    for name in names:
        assert locate(f"{name}.jpg", disk) == [(f"{name}.jpg", ())]
    for wanted in ("é", "É", "e\u0301", "E\u0301", "E", "F"):
        found = {own.path.removesuffix(".jpg") for own in locate(f"{wanted}.jpg", disk)}
        same = {name for name in names if one_form(name) == one_form(wanted)}
        alike = {name for name in names if one_form(name).lower() == one_form(wanted).lower()}
        assert found == ({wanted} & {*names} or same or alike)


def entries(*paths: str) -> list[Entry]:
    return [
        Entry(path, "x", Part.train, file=Path("list.csv"), line=line)
        for line, path in enumerate(paths, 2)
    ]


def test_exact_paths_are_handed_back_as_they_are(root):
    given = entries(*(unicodedata.normalize("NFD", path) for path in FILES))
    found = check_paths(given, root, Path("list.csv"))
    assert all(one is other for one, other in zip(found, given, strict=True))


def test_what_is_found_loosely_is_counted_by_kind(root, caplog):
    paths = ["ant\\a%20b.png", "ANT\\Ünder\\0001.JPEG", f"{root}/top.gif", "STRASSE/x.jpg"]
    with caplog.at_level(logging.INFO):
        found = check_paths(entries(*paths), root, Path("list.csv"))
    assert [entry.path for entry in found][2:] == ["top.gif", "STRASSE/x.jpg"]
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" (")[0] for line in lines] == [
        f"data.root: list.csv: {count} of 4 paths were found only {kind.value}"
        for kind, count in {Kind.separator: 2, Kind.case: 1, Kind.absolute: 1}.items()
    ]
    assert lines[0].endswith("(the first is ant\\a%20b.png, on disk ant/a%20b.png)")


def test_two_lines_for_one_file_are_refused_naming_both(root):
    with pytest.raises(ValueError, match="top.gif is listed twice, at .*line 2 .* line 3 as"):
        check_paths(entries("top.gif", "TOP.GIF"), root, Path("list.csv"))
    with pytest.raises(ValueError, match="top.gif is listed twice, at .*line 2 .* line 3 as"):
        check_paths(entries(f"{root}/top.gif", ".\\top.gif"), root, Path("list.csv"))


def test_two_files_for_one_path_are_refused_naming_both(tmp_path):
    for name in ("a.jpg", "A.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="A.JPG is not in .* 'A.jpg' and 'a.jpg' there are alike"):
        check_paths(entries("A.JPG"), tmp_path, Path("list.csv"))


REFUSED = {
    "/etc/passwd": "/etc/passwd leads out of data.root, here .*; write paths relative to it$",
    "/old/Images/top.gif": "leads out of data.root.*relative to it: cut '/old/Images/' from their",
    "../top.gif": r"\.\./top.gif leads out of data.root",
    r"C:\data\pets\ant\100%.jpg": r"C:.* drive of Windows.*: cut 'C:\\data\\pets\\' from their",
    r"\\host\share\x.jpg": "is on a drive of Windows, of which nothing is here; write paths rel",
    "Images/top.gif": "the first is Images/top.gif .*; cut 'Images/' from their beginning, or",
    "ant/none.jpg": "1 are not in .* the first is ant/none.jpg .list.csv, line 2.; complete",
}


@pytest.mark.parametrize("path", REFUSED)
def test_path_to_nowhere_is_refused_with_what_mends_it(root, path):
    with pytest.raises(ValueError, match=f"data.root: .*{REFUSED[path]}"):
        check_paths(entries(path), root, Path("list.csv"))


def test_absolute_path_that_is_missing_inside_is_not_told_to_lead_out(root):
    with pytest.raises(ValueError) as error:
        check_paths(entries(f"{root}/ant/none.jpg"), root, Path("list.csv"))
    assert "leads out" not in str(error.value)
    assert "1 are not in" in str(error.value)


def test_absolute_paths_through_a_link_within_the_folder_are_found(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "1.jpg").touch()
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "cat").symlink_to(tmp_path / "far")
    [found] = locate(f"{tmp_path}/far/1.jpg", Disk(tmp_path / "root"))
    assert found == ("a/cat/1.jpg", (Kind.absolute,))


def test_folders_are_listed_once_and_only_those_that_are_named(root, monkeypatch):
    listed, listdir = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or listdir(folder))
    disk = Disk(root)
    assert disk.has("ant/a%20b.png") and not disk.has("ant/2.jpg") and not disk.has("ant/3.jpg")
    assert listed == [f"{root}/ant"]


def test_home_is_written_out(root, disk, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    assert [found.path for found in locate("~/Images/top.gif", disk)] == ["top.gif"]


def test_beginning_that_is_too_much_is_what_stands_before_the_longest_end(disk):
    assert surplus("/x/ant/a%20b.png", disk) == "/x/"
    assert surplus("/x/none.jpg", disk) == ""
    assert surplus("/ant/a%20b.png", disk) == "/"
