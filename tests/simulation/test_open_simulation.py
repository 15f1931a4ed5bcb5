"""What a program opens: the configuration, and the refusals, of the words of a command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfedmma_dist import Config, Simulation
from pfedmma_dist.config.choices import Dtype
from pfedmma_dist.config.command_line import parse, with_default
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

PRESET = "configs/method/glyphs/promptfl.yaml"


def of_words(*words: str) -> str:
    """Return the configuration of a command line."""
    config = parse(with_default(list(words)), methods=METHODS, sources=SOURCES)
    assert config is not None
    return to_yaml(config)


def of(*what: Any, **changes: Any) -> str:
    return Simulation.open(*what, **changes).to_yaml()


def test_dict_of_dotted_keys_says_what_words_say() -> None:
    words = of_words("federation.rounds=3", "optim.lr=0.01", "method.name=promptfl")
    changes = {"federation.rounds": 3, "optim.lr": 0.01, "method.name": "promptfl"}
    assert of(changes) == words
    assert (
        of({"federation": {"rounds": 3}, "optim": {"lr": 0.01}}, method__name="promptfl") == words
    )
    assert of("federation.rounds=3", "optim.lr=0.01", "method.name=promptfl") == words


def test_last_value_of_a_key_wins() -> None:
    found = of("configs/data/pacs.yaml", {"federation.rounds": 3}, federation__rounds=4)
    assert found == of_words("configs/data/pacs.yaml", "federation.rounds=4")


def test_without_a_data_set_it_is_the_embedded_world_as_for_the_command() -> None:
    assert of() == of_words()
    assert of({"method.name": "promptfl"}) == of_words("method.name=promptfl")
    assert of(PRESET) == of_words(PRESET)  # whoever names a file names all


def test_configuration_is_copied_and_read_back_equal() -> None:
    config = Simulation.open({"data.name": "pacs", "data.partition": "natural"}).config
    simulation = Simulation.open(config)
    assert simulation.to_yaml() == to_yaml(config)
    simulation.config.optim.lr = 7.0
    assert config.optim.lr != 7.0
    assert of(Config(seed=5), {"optim.lr": 0.5}) == of_words(
        "data.name=caltech101", "seed=5", "optim.lr=0.5"
    )


@pytest.mark.parametrize(
    "key, value, written",
    [
        ("seed", np.int64(3), "3"),
        ("optim.lr", np.float32(0.5), "0.5"),
        ("clip.dtype", Dtype.bfloat16, "bfloat16"),
        ("data.root", Path("some") / "where", "some/where"),
        ("run.threads", None, "null"),
        ("data.classes", ("cat", "dog"), "[cat,dog]"),
    ],
)
def test_values_of_python_are_taken_as_words_are(key: str, value: Any, written: str) -> None:
    assert of({"data.name": "folder", key: value}) == of_words(
        "data.name=folder", f"{key}={written}"
    )


@pytest.mark.parametrize(
    "what, told",
    [
        ({"optim.lrr": 0.1}, "unknown key optim.lrr; did you mean optim.lr"),
        ({"optim.lr": "high"}, "optim.lr: 'high' is not a number"),
        ({"federation.rounds": 0}, "federation.rounds: 0"),
        ({"method.name": "promtfl"}, "'promtfl' is unknown; did you mean promptfl"),
        ({"method.rnak": 4}, "method.rnak: pfedmma has no such option; did you mean rank"),
        ({"optim": 3}, "optim: 3 was given for a section"),
        ("configs/method/pfedma.yaml", "did you mean configs/method/pfedmma.yaml"),
        ("configs", "configs is a folder without a config.yaml"),
        (Path("no/where.yaml"), "there is no file no/where.yaml"),
        (3, "a int is no configuration"),
        (Config(method={"name": "nobody"}), "method.name: 'nobody' is unknown"),
    ],
    ids=str,
)
def test_slip_is_told_with_its_remedy(what: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("(", "\\(").replace("[", "\\[")):
        Simulation.open(what)


def test_key_that_nothing_reads_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    Simulation.open({"data.name": "pacs"}, data__style_gap=0.5)
    assert "data.style_gap has no effect: it is read at" in capsys.readouterr().err


def test_folder_of_a_run_is_opened_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(of({"federation.rounds": 3}))
    simulation = Simulation.open(tmp_path)
    assert (simulation.folder, simulation.config.federation.rounds) == (tmp_path, 3)
    with pytest.raises(ValueError, match="two run folders"):
        Simulation.open(tmp_path, str(tmp_path))
