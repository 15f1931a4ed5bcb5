import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pfedmma_dist.data.pickles import load_plain

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
