"""What a method has no use for is told; what it uses is not."""

import pytest
from tiny import tiny_federation

from pfedmma_dist.config.choices import CorrectionName, Schedule, ServerRule, Softmax, Unit
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig, ServerConfig
from pfedmma_dist.federation.idle import idle
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL


def told(method: type, **keys: object) -> list[str]:
    found = tiny_federation(method, **keys)
    return idle(found.cfg, found.method, found.layout)


MEDIAN = {"server": ServerConfig(name=ServerRule.median), "proximal": 0.5}
BUSY = {
    **MEDIAN,
    "optim": OptimConfig(unit=Unit.steps, schedule=Schedule.cosine, keep_state=True),
    "evaluate": {"finetune_epochs": 1},
    "softmax": Softmax.own,
    "local_epochs": 2,
    "correction": CorrectionConfig(name=CorrectionName.ditto),
}


def test_what_is_used_is_not_told() -> None:
    assert told(PFedMMA, **BUSY) == []


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_never_told(name: str) -> None:
    assert told(METHODS[name], rounds=60) == []


def test_parameters_that_never_train_in_so_few_rounds_are_told() -> None:
    [line] = told(METHODS["fedmvp"], rounds=50)
    words = "6 parameters of fedmvp (query.A to value.B) never train in federation.rounds=50"
    assert line.startswith(words)
    assert told(METHODS["fedmvp"], rounds=51) == []


def test_server_and_distance_are_idle_where_nothing_is_shared() -> None:
    assert told(METHODS["own_prior"], **MEDIAN) == [
        "server.name=median has no effect: own_prior shares nothing here",
        "federation.proximal=0.5 has no effect: own_prior shares nothing here",
    ]


def test_steps_are_idle_where_none_is_taken() -> None:
    keys = {k: BUSY[k] for k in ("optim", "evaluate", "softmax", "local_epochs")}
    words = [line.partition(" has no effect: gda takes no step")[0] for line in told(
        METHODS["gda"], **keys
    )]  # fmt: skip
    assert words == [
        "optim.schedule=cosine", "optim.unit=steps", "optim.keep_state=true",
        "federation.local_epochs=2", "federation.softmax=own", "evaluate.finetune_epochs=1",
    ]  # fmt: skip


def test_unit_is_idle_where_the_rate_never_changes() -> None:
    level = OptimConfig(unit=Unit.epochs)
    [line] = told(PromptFL, optim=level)
    assert line.startswith("optim.unit=epochs has no effect: ")
    level.warmup = 1
    assert told(PromptFL, optim=level) == []
