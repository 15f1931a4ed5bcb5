"""What a key says of where it is read is what the code does."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.config.choices import Dealing, Division, Experiment
from pfedmma_dist.config.command_line import read, unread
from pfedmma_dist.config.help import manual
from pfedmma_dist.config.identity import flat, meaning
from pfedmma_dist.config.keys import Config, DataConfig
from pfedmma_dist.config.merge import leaves
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets import registry
from pfedmma_dist.data.tasks.registry import TASKS
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.methods import METHODS

OTHER = {
    "shots": 2,
    "division": Division.balanced,
    "base_classes": 2,
    "beta": 50.0,
    "classes_per_client": 3,
    "held_out": "sketch",
    "partition": Dealing.iid,
}
"""Another value of each key of the tasks."""

SETTINGS = list(product(Experiment, Dealing))
CONDITIONAL = [key for key in leaves(Config) if meaning(key).where]


def images() -> Images:
    """Return images of 18 classes and two domains, which come with four clients."""
    count = 18 * 24
    labels, rows = np.arange(count) % 18, np.arange(count)
    return Images(
        Files(Path("root"), tuple(map(str, rows))),
        labels,
        tuple(f"class {label}" for label in range(18)),
        rows[: count * 2 // 3],
        rows[count * 2 // 3 :],
        domains=rows // 18 % 2,
        domain_names=("photo", "sketch"),
        owners=rows // 36 % 4,
        owner_names=tuple("abcd"),
        superclasses=np.arange(18) % 4,
    )


def outcome(**keys: object) -> tuple[list[list[int]], list[str]] | None:
    """Return who trains on what and the names of the scopes; None where it is refused."""
    cfg = DataConfig(**{"num_clients": 4, "shots": 3, **keys})
    try:
        task: Task = TASKS[cfg.task](images(), cfg, 1)
    except ValueError:
        return None
    rows = [task.train.rows(client).tolist() for client in range(task.num_clients)]
    return rows, [scope.name for scope in task.scopes]


@pytest.mark.parametrize("name", OTHER)
def test_key_is_read_where_it_says_and_nowhere_else(name: str) -> None:
    told, moved = meaning(f"data.{name}"), 0
    for task, partition in SETTINGS:
        setting = {"task": task, "partition": partition}
        usual = outcome(**setting)
        other = outcome(**{**setting, name: OTHER[name]})
        values = flat(Config(data=DataConfig(**setting)))
        if usual is None:
            continue
        if told.is_read(values):
            moved += other != usual
        elif told.refused:
            assert other is None, setting
        else:
            assert other == usual, setting
    assert moved


def test_all_keys_of_the_tasks_are_tried() -> None:
    of_tasks = {key for key in CONDITIONAL if "data.task" in meaning(key).only}
    assert {f"data.{name}" for name in OTHER} == of_tasks


def test_keys_of_one_data_set_are_refused_or_unread_by_others(tmp_path: Path) -> None:
    glyphs = DataConfig(name="glyphs")
    for name in ("classes", "class_names"):
        assert meaning(f"data.{name}").never == {"data.name": ("glyphs",)}
        with pytest.raises(ValueError, match=f"data.{name}: glyphs makes no use of it"):
            registry.read(replace(glyphs, **{name: "x"}), 1, tmp_path)
    assert meaning("data.list").only == {"data.name": ("folder",)}
    with pytest.raises(ValueError, match="data.list: pacs makes no use of it"):
        registry.read(DataConfig(name="pacs", list="x"), 1, tmp_path)
    drawn = {
        name: registry.read(replace(glyphs, train_per_class=2, test_per_class=2, **change), 1, root)
        for name, change, root in (
            ("usual", {}, tmp_path),
            ("root", {"root": "elsewhere"}, tmp_path),
            ("difficulty", {"difficulty": 0.9}, tmp_path),
            ("style_gap", {"style_gap": 0.0}, tmp_path),
        )
    }
    seen = {name: np.asarray(found.store.open(np.arange(1))[0]) for name, found in drawn.items()}
    assert np.array_equal(seen["usual"], seen["root"])
    assert not np.array_equal(seen["usual"], seen["difficulty"])
    assert not np.array_equal(seen["usual"], seen["style_gap"])


def test_value_without_effect_is_told_for_words_alone(tmp_path: Path) -> None:
    def told(*words: str) -> dict[str, str]:
        return unread(words, read(words, methods=METHODS, sources=registry.SOURCES))

    assert told("data.beta=0.1") == {
        "data.beta": "data.beta has no effect: it is read at data.task=label_shift or "
        "feature_shift and data.partition=dirichlet or pachinko alone"
    }
    assert told("data={difficulty: 1, root: there}").keys() == {"data.difficulty"}
    assert told("data.task=label_shift", "data.beta=0.1") == {}
    assert told("data.task=label_shift", "data.partition=iid", "data.beta=1").keys() == {
        "data.beta"
    }
    assert told("data.name=glyphs", "data.root=x").keys() == {"data.root"}
    assert told("data.held_out=sketch") == {}  # refused
    (tmp_path / "mine.yaml").write_text("data: {beta: 0.1}\n")
    assert told(str(tmp_path / "mine.yaml")) == {}


def test_help_says_where_keys_are_read_and_how_lists_are_written() -> None:
    text = " ".join(manual(METHODS).split())
    for key in CONDITIONAL:
        told = meaning(key)
        assert f"Read at {told.where}{', refused elsewhere.' if told.refused else '.'}" in text
    assert "data.task=base_to_novel data.shots data.division" in text
    assert "data.classes=null a list of text, or null" in text
    assert "data.classes=['001','no']" in text


def test_natural_clients_need_not_be_counted() -> None:
    def config(*words: str) -> Config:
        return read(words, methods=METHODS, sources=registry.SOURCES)

    natural = ("data.task=label_shift", "data.partition=natural")
    assert config(*natural).data.num_clients is None
    assert config(*natural) == config(*natural, "data.num_clients=null")
    assert config(*natural, "data.num_clients=10").data.num_clients == 10
    assert config(*natural, "data={num_clients: 7}").data.num_clients == 7
    assert config("data.num_clients=10", *natural).data.num_clients == 10
    assert config("data.task=label_shift").data.num_clients == 10
