"""No text of any key may break out of a line of a script, a table or a terminal."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from launch.cluster import Cluster, read_cluster
from launch.plan import plan
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import leaves
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

TEXTS = [key for key, leaf in leaves(Config).items() if leaf.kind is str]
ODD = {"newline": "\n", "nul": "\0", "escape": "\x1b[31m", "tab": "\t", "no UTF-8": "\udcff"}


def refused(*words: str) -> str:
    with pytest.raises(ValueError) as error:
        read(words, methods=METHODS, sources=SOURCES)
    return str(error.value)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("key", TEXTS)
def test_control_characters_are_refused_by_key_and_value(key: str, odd: str) -> None:
    value = f"left{odd}right"
    held = (
        f"the control character {odd[0]!r}"
        if odd < "\ud800"
        else r"a byte that is no UTF-8, b'\xff'"
    )
    assert refused(f"{key}={value}") == (
        f"{key}: {value!r} holds {held}; write one line of plain text"
    )


@given(st.characters(categories=["Cc", "Zl", "Zp"]))
def test_no_control_character_is_let_through(odd: str) -> None:
    assert repr(odd) in refused(f"run.folder=a{odd}b")


def test_text_of_any_language_is_taken() -> None:
    config = read(["run.folder=läufe/走る run"], methods=METHODS, sources=SOURCES)
    assert config.run.folder == "läufe/走る run"


def test_the_value_of_a_variable_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "a\nb")
    assert "run.folder: 'a\\nb' holds" in refused("run.folder=${oc.env:PLACE}")


def test_text_longer_than_any_path_is_refused_and_not_shown_whole() -> None:
    told = refused(f"run.folder={'x' * 1_000_000}")
    assert "run.folder: 'xxx" in told and "has 1,000,000 characters; at most 4,096 fit" in told
    assert len(told) < 400


def test_a_name_that_no_disk_holds_is_refused_by_key() -> None:
    told = refused(f"data.root=data/{'x' * 256}/images")
    assert told.startswith("data.root: 'data/xxx")
    assert "is not a path with names of 255 bytes at most" in told
    read([f"data.root={'x' * 255}/{'x' * 255}"], methods=METHODS, sources=SOURCES)


def test_values_that_repeat_each_other_without_end_are_refused() -> None:
    keys = [key for key in TEXTS if key != "data.name"]
    repeats = [f"{key}={9 * f'${{{other}}}'}" for other, key in zip(keys, keys[1:], strict=False)]
    told = refused(*repeats)
    assert "values refer to others by ${...}, and at most 24 may" in told


CLUSTER = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "setup": ["module load cuda", "ODD"],
    "sbatch": {"constraint": "ODD"},
}


def in_place_of_odd(value: object, text: str) -> object:
    if isinstance(value, list):
        return [in_place_of_odd(item, text) for item in value]
    if isinstance(value, dict):
        return {key: in_place_of_odd(item, text) for key, item in value.items()}
    return text if value in CLUSTER or value == "ODD" else value


@pytest.mark.parametrize("key", CLUSTER)
def test_a_value_of_a_cluster_cannot_add_a_line_to_the_batch_script(
    tmp_path: Path, key: str
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump({key: in_place_of_odd(CLUSTER[key], "gpu\ntouch owned")}))
    with pytest.raises(ValueError) as error:
        read_cluster(str(file))
    told = str(error.value)
    assert told.startswith(key)
    assert "'gpu\\ntouch owned' holds the control character '\\n'; write one line" in told
    assert told.endswith(f"(in {file})")


def test_a_name_of_an_option_of_sbatch_cannot_either(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump({"sbatch": {"constraint=a\ntouch owned": True}}))
    with pytest.raises(ValueError, match=r"sbatch: 'constraint=a\\ntouch owned' holds .*'\\n'"):
        read_cluster(str(file))


@pytest.mark.parametrize(
    "sweep",
    [
        {"rows": {"a\x1b[2Jb": []}},
        {"base": ["run.folder=a\x1b[2Jb"]},
        {"grid": {"data.held_out": ["a\x1b[2Jb"]}},
        {"grid": {"a\x1b[2Jb": [1]}},
        {"exclude": [{"row": "a\x1b[2Jb"}]},
    ],
    ids=str,
)
def test_a_sweep_cannot_send_codes_to_the_terminal(tmp_path: Path, sweep: dict) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(sweep))
    with pytest.raises(ValueError) as error:
        plan(str(file), ["data.name=folder"])
    told = str(error.value)
    assert "\\x1b[2Jb' holds the control character '\\x1b'" in told
    assert told.endswith(f"(in {file})")


def test_lines_that_a_cluster_takes_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text('setup:\n  - export A="b ü"\nsbatch: {comment: it\'s "mine"}\n')
    cluster = read_cluster(str(file))
    assert cluster == Cluster(setup=['export A="b ü"'], sbatch={"comment": 'it\'s "mine"'})
