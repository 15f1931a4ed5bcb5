"""The toy method in method.py is a whole method: it trains in a federation as printed."""

import textwrap
from dataclasses import dataclass

import pytest
import torch
from tiny import tiny_federation

from pfedmma_dist.methods import method as module
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import ParamSpec, zeros


@pytest.fixture
def toy() -> type[Method]:
    printed = module.__doc__[module.__doc__.index("    @dataclass") :]
    names = {**vars(module), "dataclass": dataclass, "ParamSpec": ParamSpec, "zeros": zeros}
    exec(textwrap.dedent(printed), names)
    return names["Bias"]


def test_toy_method_trains(toy: type[Method]) -> None:
    federation = tiny_federation(toy, batch_size=16)
    losses = [federation.round(index).loss for index in range(3)]
    assert losses[2] < losses[1] < losses[0]
    assert federation.exchange.cost().up == 4
    percent = federation.evaluate(full=True).percent
    assert len(percent["local"]) == len(percent["novel"]) == 6  # novel: classes without a bias


def test_defaults_read_final_features_and_train_nothing() -> None:
    bare = Method(None, None)
    assert bare.images.start is None
    assert bare.specs == ()
    assert bare.prepare(None, None) is bare.penalty({}, None, None) is None


def test_method_without_classes_says_so() -> None:
    with pytest.raises(TypeError, match="Method does not say how classes look"):
        Method(None, None).classes({}, None, None)


def test_shared_tail_of_the_template_goes_to_the_server(toy: type[Method]) -> None:
    federation = tiny_federation(toy)
    template = torch.arange(6.0)
    layout = type(federation.layout)((*federation.method.specs, ParamSpec("own", (2,), zeros)))
    assert federation.method.exchange(layout, template, 0).shared.tolist() == [2, 3, 4, 5]
