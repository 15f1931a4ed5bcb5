"""Released presets are what their comments say, and one sweep runs them all."""

from pathlib import Path
from typing import Any

import pytest

from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.config.identity import flat
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

CONFIGS = Path(__file__).parents[2] / "configs"
RELEASED = sorted((CONFIGS / "method").glob("*_released.yaml"))
COOPS = {
    "optim.lr": 2e-3, "optim.schedule": "cosine", "optim.unit": "epochs", "optim.warmup": 1,
    "optim.warmup_lr": 1e-5,
}  # fmt: skip
FIVE = {"federation.rounds": 10, "federation.local_epochs": 5, "federation.batch_size": 8}
SGD = {"optim.name": "sgd", "optim.lr": 1e-3, "optim.momentum": 0.9, "optim.weight_decay": 5e-4}
WANTED: dict[str, dict[str, Any]] = {
    "promptfl": {**COOPS, **FIVE, "data.views": 0},
    "pfedmoap": {**COOPS, **FIVE, "data.views": 0, "method.choice": "random"},
    "kgcoop": {
        **COOPS, "optim.unit": "rounds", "federation.batch_size": 128, "data.views": 0,
        "method.ctx_init": "a photo of a", "method.weight": 8.0,
    },
    "cocoop": {
        **COOPS, "optim.unit": "rounds", "federation.rounds": 10, "federation.local_epochs": 1,
        "federation.batch_size": 1, "data.views": 0, "method.ctx_init": "a photo of a",
    },
    "fedpgp": {
        **SGD, "optim.schedule": "constant", "federation.rounds": 25, "federation.local_epochs": 2,
        "federation.batch_size": 8, "data.views": 0,
    },
    "fedotp": {
        **SGD, "optim.schedule": "constant", "federation.rounds": 10, "federation.batch_size": 8,
        "data.views": 0, "method.eps": 0.1, "method.threshold": 1e-3,
    },
    "pfedmma": {
        **SGD, "optim.schedule": "constant", "method.blocks": 8, "method.bias": True,
        "data.views": 0, "federation.batch_size": 32,
    },
    "fedclip": {
        "optim.name": "adam", "optim.lr": 5e-5, "optim.beta2": 0.98, "optim.eps": 1e-6,
        "optim.weight_decay": 0.2,
    },
    "lora": {
        "optim.name": "adamw", "optim.lr": 3e-4, "federation.rounds": 50,
        "federation.fraction": 0.1, "federation.local_epochs": 10, "federation.batch_size": 64,
        "method.rank": 16, "method.projections": "q", "method.dropout": 0.05,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WANTED)
def test_released_preset_is_what_its_comment_says(name: str) -> None:
    words = [str(CONFIGS / "method" / f"{name}_released.yaml"), "data.shots=8"]
    found = flat(read(words, methods=METHODS, sources=SOURCES))
    assert {key: found[key] for key in WANTED[name]} == WANTED[name]
    assert found["method.name"] == name


def test_every_released_preset_is_held_and_run_by_the_released_sweep() -> None:
    assert {path.stem for path in RELEASED} == {f"{name}_released" for name in WANTED}
    rows = read_yaml(CONFIGS / "sweep" / "released_base_to_novel.yaml")["rows"]
    named = {Path(words[0]).stem for words in rows.values()}
    assert named == {*(path.stem for path in RELEASED), "zero_shot"}


@pytest.mark.parametrize("name", ["fedclip", "lora"])
def test_methods_with_an_optimiser_of_their_own_have_it_in_the_papers_tables(name: str) -> None:
    own = [
        read([str(CONFIGS / "method" / f"{stem}.yaml")], methods=METHODS, sources=SOURCES).optim
        for stem in (name, f"{name}_released")
    ]
    assert own[0] == own[1]
