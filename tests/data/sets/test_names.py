import json
import logging

import pytest

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.sets.names import prompt_names

NAMES = ["sea_horse", "T-Shirt", "001_cat"]


def named(**keys: object) -> tuple[dict[str, int], tuple[str, ...]]:
    return prompt_names(NAMES, DataConfig(**keys), "the set")


def test_underscores_become_spaces_and_nothing_else_changes():
    assert named() == (
        {"sea_horse": 0, "T-Shirt": 1, "001_cat": 2},
        ("sea horse", "T-Shirt", "001 cat"),
    )


@pytest.mark.parametrize(
    "suffix, text", [("csv", "001_cat,tabby_cat\n"), ("json", '{"001_cat": "tabby_cat"}')]
)
def test_mapping_file_names_a_class_word_for_word(tmp_path, suffix, text):
    file = tmp_path / f"names.{suffix}"
    file.write_text(text)
    assert named(class_names=str(file))[1] == ("sea horse", "T-Shirt", "tabby_cat")


@pytest.mark.parametrize("classes", [["001_cat", "sea horse"], ["sea_horse", "001 cat"]])
def test_classes_are_chosen_by_either_spelling_and_keep_their_order(classes):
    assert named(classes=classes) == ({"sea_horse": 0, "001_cat": 1}, ("sea horse", "001 cat"))


def test_unknown_class_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="data.classes: .*'sea_hose' among its 3; did you"):
        named(classes=["sea_hose"])
    with pytest.raises(ValueError, match="data.classes: the list is empty"):
        named(classes=[])


BAD = {
    "unknown": ("a.csv", "seahorse,x\n", "line 1: the set has no class 'seahorse'; did you mean"),
    "short": ("a.csv", "sea_horse,x\n001_cat\n", "line 2: .* is not followed by one name"),
    "twice": ("a.csv", "sea_horse,x\nsea_horse,y\n", "line 2: 'sea_horse' stands twice"),
    "empty": ("a.json", json.dumps({"sea_horse": " "}), "'sea_horse' is not followed by one name"),
    "list": ("a.json", "[1]", "is not followed by one name"),
    "deep": ("a.json", "[" * 100_000, "is no valid CSV or JSON .nested too deep"),
    "deep value": ("a.json", '{"a": ' + "[" * 100_000, "is no valid CSV or JSON .nested too deep"),
    "twice in JSON": ("a.json", '{"a": "b", "a": "c"}', "the key 'a' stands twice in an object"),
    "line in JSON": ("a.json", '{"sea_horse": "a\\nb"}', r"class 'a.nb', which holds .* rename it"),
    "escape code": ("a.csv", "sea_horse,\x1b[2Jx\n", r"class '.x1b\[2Jx', which holds .* rename"),
    "cut": ("a.json", "{", "is no valid CSV or JSON"),
    "empty file": ("a.csv", "\n", "names no class; leave the key out"),
    "latin": ("a.csv", "sea_horse,Pferd\xff\n", "is not UTF-8 text .*; save it as UTF-8"),
    "suffix": ("a.txt", "", "neither .csv"),
}  # fmt: skip


@pytest.mark.parametrize("file, text, message", BAD.values(), ids=BAD)
def test_faulty_mapping_is_refused_with_its_line(tmp_path, file, text, message):
    (tmp_path / file).write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=f"data.(class_names|root): .*{message}"):
        named(class_names=str(tmp_path / file))


def test_mapping_may_declare_its_separator(tmp_path):
    (tmp_path / "a.csv").write_text("sep=;\n001_cat;tabby, grey\n")
    assert named(class_names=str(tmp_path / "a.csv"))[1] == ("sea horse", "T-Shirt", "tabby, grey")


def test_missing_mapping_is_named(tmp_path):
    with pytest.raises(ValueError, match="data.class_names: cannot read .*/none.csv: No such"):
        named(class_names=str(tmp_path / "none.csv"))


def test_two_classes_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("001_cat,sea horse\n")
    with pytest.raises(
        ValueError, match="two classes for the name 'sea horse', 'sea_horse' and '001_cat'"
    ):
        named(class_names=str(tmp_path / "a.csv"))
    with pytest.raises(ValueError, match="two classes for the name 'cat', 'Cat' and 'cat'"):
        prompt_names(["Cat", "cat"], DataConfig(), "the set")
    with pytest.raises(ValueError, match="class '__', which has no name"):
        prompt_names(["__"], DataConfig(), "the set")


SAME = {
    "form": ("caf\xe9", "cafe\u0301"),
    "entity": ("salt & pepper", "salt &amp; pepper"),
    "entity of an entity": ("salt & pepper", "salt &amp;amp; pepper"),
    "number": ("A", "&#65;"),
    "quote": ("lady's slipper", "lady\u2019s slipper"),
    "width": ("cat", "\uff43\uff41\uff54"),
    "ligature": ("fish", "\ufb01sh"),
    "spaces": ("sea horse", "sea\u00a0 horse"),
    "case": ("Cat", "cat"),
    "underscore": ("sea_horse", "sea horse"),
    "mark": ("cat", "\ufeffcat"),
}


@pytest.mark.parametrize("one, other", SAME.values(), ids=SAME)
def test_names_that_are_the_same_words_to_clip_are_refused_naming_both(one, other):
    with pytest.raises(ValueError) as error:
        prompt_names(["dog", one, other], DataConfig(), "the set")
    text = str(error.value)
    assert "two classes for the name" in text and "join them, or give one another" in text
    shown = {f"{show(one)} and {show(other)}" for show in (repr, ascii)}
    assert any(pair in text for pair in shown)
    assert len({part.strip("'") for part in text.split(", ")[1].split(" and ")}) > 1


def test_names_in_two_unicode_forms_are_shown_so_that_they_differ():
    with pytest.raises(ValueError, match=r"'caf.xe9' and 'cafe.u0301'"):
        prompt_names(["caf\xe9", "cafe\u0301"], DataConfig(), "the set")


def test_names_that_differ_for_clip_are_left_alone(caplog):
    names = [
        "m2",
        "m\xb2",
        "\u2014",
        "-",
        "strasse",
        "stra\xdfe",
        "\U0001f431",
        "resum",
        "r\xe9sum",
    ]
    assert prompt_names(names, DataConfig(), "the set")[1] == tuple(names)
    assert caplog.text == ""


@pytest.mark.parametrize("empty", ["&nbsp;", "\ufeff", "\u200b", "\u200d\u200b"], ids=ascii)
def test_name_that_shows_nothing_is_refused(empty):
    with pytest.raises(ValueError, match="which has no name to put in a prompt; give it one"):
        prompt_names(["cat", empty], DataConfig(), "the set")


def test_names_that_differ_only_in_what_nobody_sees_are_said(caplog):
    prompt_names(["cat", "cat\u200b"], DataConfig(), "the set")
    assert r"the classes 'cat' and 'cat\u200b', which differ only in" in caplog.text


def test_class_in_the_other_unicode_form_is_found_and_said(tmp_path, caplog):
    names, file = ["cafe\u0301", "ant"], tmp_path / "names.csv"
    file.write_text("caf\xe9;coffee house\n")
    with caplog.at_level(logging.INFO):
        found = prompt_names(names, DataConfig(classes=["caf\xe9"], class_names=str(file)), "set")
    assert found == ({"cafe\u0301": 0}, ("coffee house",))
    assert r"data.classes: 1 of 1 names are those of set in another Unicode form" in caplog.text
    assert "data.class_names: 1 of 1 names" in caplog.text
    assert "has its values separated by semicolons" in caplog.text


def test_class_that_differs_in_letter_case_is_refused_with_the_right_one():
    with pytest.raises(ValueError, match="no class 'SEA_HORSE' among its 3; did you mean 'sea_ho"):
        named(classes=["SEA_HORSE"])


def test_class_that_is_named_twice_is_said(caplog):
    assert named(classes=["sea_horse", "sea horse"])[1] == ("sea horse",)
    assert "data.classes: 'sea_horse' is named twice" in caplog.text


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_mapping_file_from_a_spreadsheet_is_read(tmp_path, separator, encoding):
    file = tmp_path / "names.csv"
    file.write_text(f'sea_horse{separator}"a, ; | b"\n', encoding=encoding)
    assert named(class_names=str(file))[1][0] == "a, ; | b"


@pytest.mark.parametrize("odd", ["a\0b", "a\x1b[2Jb", "a\udcffb"], ids=ascii)
def test_class_with_a_control_character_needs_another_name(tmp_path, odd):
    with pytest.raises(ValueError) as error:
        prompt_names([odd, "cat"], DataConfig(), "the set")
    assert f"data.root: the set has a class {odd!r}, which holds " in str(error.value)
    assert "rename it, or give it another name with data.class_names" in str(error.value)
    (tmp_path / "a.json").write_text(json.dumps({odd: "dog"}))
    given = DataConfig(class_names=str(tmp_path / "a.json"))
    assert prompt_names([odd, "cat"], given, "the set")[1] == ("dog", "cat")
