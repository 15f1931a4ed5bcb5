import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pfedmma_dist.data.sets.pickles import load_plain

VALUES = {
    "texts": np.array(["a/1.jpg", "ü"]),
    "objects": np.array(["a/1.jpg", "b"], object),
    "bytes": np.array([b"a", b"bc"]),
    "pixels": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big end": np.arange(3, dtype=">i4"),
    "scalars": [np.str_("bird"), np.int64(3), np.float32(0.5)],
    "plain": {"data": b"\xff\0", "labels": [1, 2], "x": (None, True, 1.5)},
}


def written(folder: Path, value: object, protocol: int) -> Path:
    file = folder / "file.pkl"
    file.write_bytes(pickle.dumps(value, protocol))
    return file


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_plain_data_and_arrays_come_back(tmp_path, value, protocol):
    found = load_plain(written(tmp_path, value, protocol))
    np.testing.assert_equal(found, value)
    if isinstance(value, np.ndarray):
        assert found.dtype.newbyteorder("=") == value.dtype.newbyteorder("=")


def test_arrays_of_numpy_1_are_read(tmp_path):
    file = written(tmp_path, VALUES["objects"], 2)
    content = file.read_bytes()
    assert b"numpy._core.multiarray" in content
    file.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_equal(load_plain(file), VALUES["objects"])


def test_text_of_python_2_is_text(tmp_path):
    (tmp_path / "old.pkl").write_bytes(b"(dp0\nS'data'\np1\nS'\\xff\\x00'\np2\ns.")
    assert load_plain(tmp_path / "old.pkl") == {"data": "\xff\0"}


class Attack:
    """Asks for a call when it is unpickled."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_that_would_run_a_command_is_refused_before_it_runs(tmp_path, protocol):
    mark = tmp_path / "mark"
    file = written(tmp_path, ([Attack(os.system, f"touch {mark}")], ["x"]), protocol)
    with pytest.raises(ValueError, match="data.root: .*asks to run posix.system.*refused"):
        load_plain(file)
    assert not mark.exists()
    pickle.loads(file.read_bytes())  # the attack is a real one
    assert mark.exists()


FORBIDDEN = {
    "eval": Attack(eval, "1"),
    "import": Attack(__import__, "os"),
    "open": Attack(open, "x", "w"),
    "getattr": Attack(getattr, "x", "y"),
    "numpy load": Attack(np.load, "x"),
    "numpy function": Attack(np.frombuffer, b"x"),
    "own class": Path("x"),
    "set": {1},
    "complex": 1j,
    "structured": np.zeros(2, [("a", "i4")]),
    "date": np.array(["2020-01-01"], "datetime64[D]"),
    "inside an array": np.array([{1}, None], object),
}  # fmt: skip


@pytest.mark.parametrize("value", FORBIDDEN.values(), ids=FORBIDDEN)
def test_all_else_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="data.root: .*refused"):
        load_plain(written(tmp_path, value, 4))


NUMBER, TWICE, FINISHED = b"K\x01", b"2\x86", b"."  # TWICE: a pair of what was there
LIST = b"]q\x00" + b"".join(b"]q%c(h%ch%ce" % (i, i - 1, i - 1) for i in range(1, 60))
DICT = b"}q\x00" + b"".join(b"}q%c(K\x00h%cK\x01h%cu" % (i, i - 1, i - 1) for i in range(1, 60))
LATIN = b"h\x01h\x02X\x06\0\0\0latin1\x86R"
ENCODE = b"c_codecs\nencode\nq\x01X\x10\x27\x00\x00" + b"x" * 10_000 + b"q\x02("
HOSTILE = {
    "tuples that unfold": (NUMBER + TWICE * 60 + FINISHED, "lists within lists, over 16 deep"),
    "lists that unfold": (LIST + FINISHED, "lists within lists, over 16 deep"),
    "few lists that unfold": (LIST[: LIST.index(b"]q\x0b")] + FINISHED, "unfolds to over 8 values"),
    "dicts that unfold": (DICT + FINISHED, "lists within lists, over 16 deep"),
    "a key that unfolds": (b"}" + NUMBER + TWICE * 60 + b"K\x01s.", "a key that is a tuple"),
    "keys that unfold": (b"}(" + NUMBER + TWICE * 60 + b"K\x01u.", "a key that is a tuple"),
    "a dict of such a key": (b"(" + NUMBER + TWICE * 60 + b"K\x01d.", "a key that is a tuple"),
    "a set": (b"\x8f(" + NUMBER + TWICE * 60 + b"\x90.", "asks to run a set"),
    "a frozen set": (b"(" + NUMBER + TWICE * 60 + b"\x91.", "asks to run a set"),
    "a kind that unfolds": (
        b"cnumpy\ndtype\n" + NUMBER + TWICE * 60 + b"\x85R.", "run numpy.dtype(a tuple)",
    ),
    "an encoding that unfolds": (
        b"c_codecs\nencode\nX\x01\x00\x00\x00x" + NUMBER + TWICE * 60 + b"\x86R.",
        "run _codecs.encode to a tuple",
    ),
    "a list within itself": (b"]q\x00h\x00a.", "lists within lists, over 16 deep"),
    "depth": (b"]" * 100_000 + b"a" * 99_999 + FINISHED, "lists within lists, over 16 deep"),
    "one text encoded often": (ENCODE + LATIN * 100 + b"t.", "unfolds to over 8 values for each"),
    "a large number": (b"\x8b\x10\0\0\0" + b"\x7f" * 16 + FINISHED, "a number of 127 bits"),
    "bytes that are not there": (
        b"\x80\x05\x96\0\0\0\0\x10\0\0\0xx.", "68,719,476,736 bytes announced in a file of 14",
    ),
    "a function that is changed": (
        b"c_codecs\nencode\nN}X\x0c\0\0\0__defaults__)s\x86b.", "__setstate__ of a function",
    ),
    "a long name": (b"c" + b"x" * 5000 + b"\ny\n.", "asks to run xxx"),
    "an escape code": (b"c\x1b[2J\ny\n.", "asks to run \x1b[2J.y"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE)
def test_small_file_that_asks_for_much_is_refused_at_once(tmp_path, content, words):
    file = tmp_path / "file.pkl"
    file.write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_plain(file)
    told = str(error.value)
    assert told.startswith(f"data.root: {file} ")
    assert words in told
    assert "fetch it again" in told or "get the file from its publisher" in told
    assert len(told) - len(str(file)) < 400


def test_objects_of_an_array_are_looked_at_like_all_others(tmp_path):
    file = tmp_path / "file.pkl"
    content = pickle.dumps(np.array([None], object), 2)
    assert content.count(b"Natq") == 1  # its one element
    file.write_bytes(content.replace(b"Natq", NUMBER + TWICE * 60 + b"atq"))
    with pytest.raises(ValueError, match="unfolds to over 8 values|over 16 deep"):
        load_plain(file)


def test_what_is_referred_to_twice_comes_back_twice(tmp_path):
    name = "a/1.jpg"
    value = ([name] * 1000, [name] * 1000, np.array([name] * 1000, object))
    np.testing.assert_equal(load_plain(written(tmp_path, value, 4)), value)


def test_number_in_a_file_does_not_decide_on_memory(tmp_path):
    (tmp_path / "big.pkl").write_bytes(b"]r\xff\xff\xff\xff.")  # in C, room for 2^33 values
    assert load_plain(tmp_path / "big.pkl") == []


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_cut_or_altered_files_raise_nothing_but_value_error(tmp_path, data):
    value = data.draw(st.sampled_from(list(VALUES.values())))
    content = bytearray(pickle.dumps(value, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "file.pkl"
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        load_plain(file)
    except ValueError as error:
        assert str(file) in str(error)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="data.root: cannot read .*/none.pkl: No such file"):
        load_plain(tmp_path / "none.pkl")
