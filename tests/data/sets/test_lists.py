import json
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.data.images.images import Images

COLUMNS = ("path", "class", "domain", "client", "split")
ROWS = [
    ("a/1.jpg", "flat_mole", "photo", "St. Mary", "train"),
    ("a/2.jpg", "flat_mole", "scan", "Charité", "test"),
    ("a/3.jpg", "scar", "photo", "Charité", "train"),
    ("b/4.jpg", "scar", "photo", "St. Mary", "test"),
    ("b/5.jpg", "scar", "scan", "St. Mary", "val"),
]


@pytest.fixture
def read_rows(tmp_path, touch, read_from):
    """Return a function that writes a list of the images 1 to 5 and reads it."""
    touch("a/1.jpg", "a/2.jpg", "a/3.jpg", "b/4.jpg", "b/5.jpg")

    def read(text: str | bytes, suffix: str = "csv", **keys: object) -> Images:
        file = tmp_path / f"list.{suffix}"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_from("folder", list=str(file), **keys)

    return read


def comma_separated(rows=ROWS, columns=COLUMNS) -> str:
    return "".join(f"{','.join(row)}\n" for row in (columns, *rows))


def json_lines(rows=ROWS, columns=COLUMNS) -> str:
    return "".join(f"{json.dumps(dict(zip(columns, row, strict=True)))}\n" for row in rows)


@pytest.mark.parametrize("form, suffix", [(comma_separated, "csv"), (json_lines, "jsonl")])
def test_columns_become_labels_domains_clients_and_parts(read_rows, form, suffix):
    images = read_rows(form(), suffix)
    assert images.class_names == ("flat mole", "scar")
    assert images.domain_names == ("photo", "scan")
    assert images.owner_names == ("Charité", "St. Mary")
    assert images.store.paths == ("a/1.jpg", "a/3.jpg", "a/2.jpg", "b/4.jpg")
    assert images.labels.tolist() == [0, 1, 0, 1]
    assert images.domains.tolist() == [0, 0, 1, 0]
    assert images.owners.tolist() == [1, 0, 0, 1]
    assert images.train.tolist() == [0, 1]
    assert images.test.tolist() == [2, 3]


def test_order_of_lines_and_columns_does_not_matter(read_rows):
    backwards = [row[::-1] for row in ROWS[::-1]]
    one, other = read_rows(comma_separated()), read_rows(comma_separated(backwards, COLUMNS[::-1]))
    assert one.store.paths == other.store.paths
    for name in ("labels", "domains", "owners", "train", "test"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_whole_numbers_are_names_and_other_columns_are_left_alone(read_rows, caplog):
    lines = [{"path": f"{p}.jpg", "class": 7, "client": 3, "age": 5.5} for p in ("a/1", "a/2")]
    halves = [{**line, "split": part} for line, part in zip(lines, ("train", "test"), strict=True)]
    images = read_rows("\n".join(map(json.dumps, halves)), "jsonl")
    assert (images.class_names, images.owner_names) == (("7",), ("3",))
    assert "not looked at in" in caplog.text and "age" in caplog.text


def test_file_from_a_spreadsheet_is_read(read_rows):
    text = "\ufeff" + comma_separated().replace("\n", "\r\n").replace("St. Mary", '"St. Mary"')
    assert read_rows(text + "\r\n").owner_names == ("Charité", "St. Mary")


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("separator, word", {";": "semicolons", "\t": "tabs", "|": "bars"}.items())
def test_other_separators_are_read_and_said(read_rows, caplog, separator, word, suffix):
    quoted = comma_separated().replace(",", separator).replace("scan", '"sc, ;|an"')
    with caplog.at_level(logging.INFO):
        images = read_rows(quoted, suffix)
    assert images.domain_names == ("photo", "sc, ;|an")
    assert images.store.paths == read_rows(comma_separated()).store.paths
    assert f"has its values separated by {word}" in caplog.text


def test_separator_that_excel_declares_is_taken_and_lines_keep_their_numbers(read_rows):
    text = comma_separated().replace(",", ";")
    assert len(read_rows(f"sep=;\r\n{text}")) == 4
    with pytest.raises(ValueError, match="line 3 has 1 values for 2 columns .path, class."):
        read_rows("sep=;\npath;class\na/1.jpg\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings_of_spreadsheets_are_read(read_rows, encoding):
    text = comma_separated().replace(",", "\t").encode(encoding)
    assert read_rows(text).owner_names == ("Charité", "St. Mary")


@pytest.mark.parametrize("form, suffix", [(comma_separated, "csv"), (json_lines, "jsonl")])
def test_columns_and_splits_may_be_written_in_any_case(read_rows, caplog, form, suffix):
    head = ("Path", "CLASS", "domain", "Client", "Split")
    words = {"train": "Training", "test": "TEST", "val": "validation"}
    rows = [(*row[:4], words[row[4]]) for row in ROWS]
    with caplog.at_level(logging.INFO):
        images = read_rows(form(rows, head), suffix)
    assert images.store.paths == ("a/1.jpg", "a/3.jpg", "a/2.jpg", "b/4.jpg")
    assert images.owner_names == ("Charité", "St. Mary")
    assert "read the column 'Path' as path, 'CLASS' as class" in caplog.text
    assert "read the split 'Training' as train, 'TEST' as test" in caplog.text


def test_column_in_another_case_is_left_alone_beside_one_of_the_name(read_rows, caplog):
    rows = [(*row, "x") for row in ROWS]
    images = read_rows(comma_separated(rows, (*COLUMNS, "Class")))
    assert images.class_names == ("flat mole", "scar")
    assert "not looked at in" in caplog.text and "'Class'" in caplog.text


def test_paths_from_windows_give_the_same_images_in_the_same_order(tmp_path, touch, read_from):
    paths = [f"{c}/{i}.jpg" for c in ("a-b", "a", "B") for i in range(9)]
    touch(*paths)
    file, found = tmp_path / "list.csv", []
    for shape in (str, lambda path: path.replace("/", "\\"), str.upper, lambda path: f"./{path}"):
        rows = [(shape(path), path[0]) for path in paths]
        file.write_text(comma_separated(rows, ("path", "class")))
        found.append(read_from("folder", list=str(file)))
    for images in found[1:]:
        assert images.store.paths == found[0].store.paths
        assert np.array_equal(images.train, found[0].train)
    assert len(list((tmp_path / "cache" / "splits").iterdir())) == 1


def test_clients_that_differ_in_spelling_alone_are_said(read_rows, caplog):
    rows = [(*row[:3], client, row[4]) for row, client in zip(ROWS, "Aabab", strict=True)]
    assert read_rows(comma_separated(rows)).owner_names == ("A", "a", "b")
    assert "has the clients 'A' and 'a', which differ in spelling alone" in caplog.text


def test_every_client_gets_test_images_where_no_split_is_given(tmp_path, touch, read_from):
    paths = [f"{i:03}.jpg" for i in range(60)]
    touch(*paths)
    rows = [(path, f"c{i % 3}", f"user {i % 4}") for i, path in enumerate(paths)]
    file = tmp_path / "list.csv"
    file.write_text(comma_separated(rows, ("path", "class", "client")))
    images = read_from("folder", list=str(file))
    owned = Counter(images.owners[images.test].tolist())
    assert owned == dict.fromkeys(range(4), 4)  # 30 % of 15, half rounded to even
    file.write_text(comma_separated(rows[::-1], ("path", "class", "client")))
    assert read_from("folder", list=str(file)).store.paths == images.store.paths


HEAD = "path,class\n"
SPLIT = "path,class,split\n"
BAD = {
    "no class": ("csv", "path,label\na/1.jpg,x\n", "line 1 has no 'class'; .* has path, label"),
    "empty file": ("csv", "", "line 1 has no 'path'; .* this one has none"),
    "other names": (
        "csv",
        "filename;label\na/1.jpg;x\n",
        "line 1 has no 'path'; did you mean path by 'filename' and class by 'label'. then call",
    ),
    "zero bytes": ("csv", "path,class\n".encode("utf-16-be"), "has a zero byte among its first"),
    "other split": (
        "csv",
        "path,class,Subset\na/1.jpg,x,Training\n",
        "line 2: Subset is 'Training', and no column is called split; call Subset so, or delete it",
    ),
    "UTF-32": ("csv", "path,class\n".encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
    "no path": ("jsonl", '\n{"class": "x"}\n', "line 2 has no 'path'; .* has class"),
    "head alone": ("csv", HEAD, "lists no image"),
    "twice named": ("csv", "path,class,path\n", "line 1 names a column twice"),
    "short": ("csv", HEAD + "a/1.jpg,x\n\na/2.jpg\n", "line 4 has 1 values for 2 columns"),
    "long": ("csv", HEAD + "a/1.jpg,x,y\n", "line 2 has 3 values for 2 columns"),
    "quote": ("csv", HEAD + 'a/1.jpg,"x\n', "line 2: unexpected end of data"),
    "empty class": ("csv", HEAD + "a/1.jpg,x\na/2.jpg, \n", "line 3: class is empty"),
    "empty client": ("csv", "path,class,client\na/1.jpg,x,\n", "line 2: client is empty"),
    "split": ("csv", SPLIT + "a/1.jpg,x,hold\n", "line 2: split 'hold' is not one of train, val"),
    "escape": ("csv", HEAD + "a/1.jpg,x\n../1.jpg,x\n", "line 3: ../1.jpg leads out"),
    "absolute": ("csv", HEAD + "/etc/passwd,x\n", "line 2: /etc/passwd leads out"),
    "missing": ("csv", HEAD + "a/1.jpg,x\na/9.jpg,x\n", "1 are not in .*a/9.jpg .*line 3"),
    "null": (
        "csv",
        HEAD + "a/1\0.jpg,x\n",
        r"line 2: (path 'a/1.x00.jpg' holds|line contains NUL)",
    ),
    "twice": (
        "csv",
        HEAD + "a/1.jpg,x\na/2.jpg,x\na/./1.jpg,y\n",
        "a/1.jpg is listed twice, at .*line [24] as '[xy]' and at .*line [24] as '[xy]'",
    ),
    "test only": (
        "csv",
        SPLIT + "a/1.jpg,x,train\na/2.jpg,x,test\na/3.jpg,y,test\n",
        "no training image of 1 of 2 classes, the first is 'y'; see .*line 4",
    ),
    "two spellings": (
        "csv",
        SPLIT + "a/1.jpg,x y,train\na/2.jpg,x_y,test\n",
        "two classes for the name 'x y'",
    ),
    "json": ("jsonl", '{"path": "a/1.jpg", "class": "x"}\n{\n', "line 2 is no JSON"),
    "no object": ("jsonl", "[1]\n", "line 1 is no JSON object: .1.; write an object on each line"),
    "number": ("jsonl", '{"path": "a/1.jpg", "class": 1.5}\n', "line 1: class is 1.5; write text"),
    "truth": ("jsonl", '{"path": "a/1.jpg", "class": true}\n', "line 1: class is True; write"),
    "none": ("jsonl", '{"path": "a/1.jpg", "class": null}\n', "line 1: class is empty"),
    "changing": (
        "jsonl",
        '{"path": "a/1.jpg", "class": "x"}\n{"path": "a/2.jpg", "class": "x", "client": "y"}\n',
        "line 2 has path, class, client where the lines before have path, class",
    ),
    "escape code": (
        "csv",
        HEAD + "a/1.jpg,\x1b[2Jx\n",
        r"line 2: class '.x1b\[2Jx' holds .*rename",
    ),
    "line in a client": (
        "jsonl",
        '{"path": "a/1.jpg", "class": "x", "client": "a\\nb"}\n',
        r"line 1: client 'a.nb' holds the control character '.n'; rename it",
    ),
    "deep": (
        "jsonl",
        "[" * 100_000 + "\n",
        r"line 1 is no JSON .nested too deep.; write an object on each line",
    ),
    "deep in a field": (
        "jsonl",
        '{"path": ' + "[" * 100_000 + "\n",
        r"line 1 is no JSON .nested too deep.; write an object on each line",
    ),
    "a key twice": (
        "jsonl",
        '{"path": "a/1.jpg", "class": "x", "class": "y"}\n',
        "line 1 is no JSON .the key 'class' stands twice",
    ),
    "latin": ("csv", "path,class\na/1.jpg,Charité\n".encode("latin1"), "is not UTF-8"),
    "suffix": ("txt", "", "neither .csv nor .jsonl"),
}


@pytest.mark.parametrize("suffix, text, message", BAD.values(), ids=BAD)
def test_faulty_list_is_refused_with_its_line(tmp_path: Path, read_rows, suffix, text, message):
    with pytest.raises(ValueError, match=f"data.(list|root): .*{message}"):
        read_rows(text, suffix)
    assert not (tmp_path / "cache").exists()


def test_list_below_the_root_is_pointed_at(read_from, touch):
    root = touch("a/1.jpg", "list.csv")
    with pytest.raises(ValueError, match=f"data.list: list.csv .* set data.list={root}/list.csv"):
        read_from("folder", list="list.csv")


def test_missing_list_is_named(read_from, touch):
    touch("a/1.jpg")
    with pytest.raises(ValueError, match="data.list: cannot read none.csv: No such file"):
        read_from("folder", list="none.csv")
