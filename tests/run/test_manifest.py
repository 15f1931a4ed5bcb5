"""A manifest that is intact by its hash is still asked whether we could have written it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pfedmma_dist.reading import FORMAT, Newer, Unreadable, seal
from pfedmma_dist.run import manifest
from pfedmma_dist.run.checkpoint import save
from pfedmma_dist.run.loading import load
from pfedmma_dist.world import World

META = {
    "fingerprint": "abc",
    "num_shards": 1,
    "seconds": 1.5,
    "unscored": None,
    "configuration": {"seed": 1},
    "task": {},
    "weights": {},
}


def written(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Save a checkpoint, change what its manifest says, and seal it again."""
    shard = {"ids": torch.tensor([0]), "rows": torch.ones(1, 2)}
    path = save(folder, World.alone(), 3, {0: shard}, {"shared": torch.ones(2)}, META, 2, "round\n")
    outer = json.loads((path / "manifest.json").read_text())
    change(outer)
    outer["sha256"] = seal({key: value for key, value in outer.items() if key != "sha256"})
    (path / "manifest.json").write_text(json.dumps(outer))
    return path


def facts(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda outer: outer["checkpoint"]["meta"].update(values)


def test_manifest_comes_back(tmp_path: Path) -> None:
    record = manifest.read(written(tmp_path, lambda outer: None))
    assert (record.round_index, record.meta, record.format) == (3, META, FORMAT)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another round": lambda outer: outer["checkpoint"].update(round_index=7),
    "round -1": lambda outer: outer["checkpoint"].update(round_index=-1),
    "round as text": lambda outer: outer["checkpoint"].update(round_index="3"),
    "round true": lambda outer: outer["checkpoint"].update(round_index=True),
    "unknown key": lambda outer: outer["checkpoint"].update(more=1),
    "no files": lambda outer: outer["checkpoint"].pop("files"),
    "no body": lambda outer: outer.pop("checkpoint"),
    "body is a list": lambda outer: outer.update(checkpoint=[1]),
    "no server": lambda outer: outer["checkpoint"]["files"].pop("server.safetensors"),
    "server is null": lambda outer: outer["checkpoint"]["files"].update(
        {"server.safetensors": None}
    ),
    "another file": lambda outer: outer["checkpoint"]["files"].update({"x": None}),
    "file without a size": lambda outer: outer["checkpoint"]["files"]["metrics.csv"].pop("bytes"),
    "missing fact": lambda outer: outer["checkpoint"]["meta"].pop("seconds"),
    "unknown fact": facts(more=1),
    "shards as text": facts(num_shards="1"),
    "no shards": facts(num_shards=0),
    "shards true": facts(num_shards=True),
    "seconds as text": facts(seconds="long"),
    "no configuration": facts(configuration=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_manifest_that_we_cannot_have_written_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = written(tmp_path, change)
    with pytest.raises(Unreadable, match="manifest.json .*; restore it from a copy"):
        manifest.read(path)


def test_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    path = written(tmp_path, lambda outer: outer.update(format=FORMAT + 1))
    with pytest.raises(Newer, match=f"is of format {FORMAT + 1}"):
        manifest.read(path)
    with pytest.raises(ValueError, match=f"is of format {FORMAT + 1}"):  # not passed over
        load(tmp_path, World.alone(), [0], "abc", 1)


def test_state_that_is_not_accepted_falls_back_to_the_one_before(tmp_path: Path) -> None:
    for index in (1, 2):
        save(tmp_path, World.alone(), index, {0: {}}, {"x": torch.tensor(index)}, META, 2)

    def accept(loaded: Any) -> None:
        if loaded.round_index == 2:
            raise ValueError("it holds other clients")

    loaded = load(tmp_path, World.alone(), [0], "abc", 1, accept=accept)
    assert loaded is not None
    assert loaded.round_index == 1
