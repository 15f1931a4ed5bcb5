"""MOON equals the published code's rounds, and begins as FedAvg."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_corrections import TwoLayers, play
from tiny import golden, tiny_federation

from pfedmma_dist.config.choices import CorrectionName
from pfedmma_dist.config.learning import CorrectionConfig
from pfedmma_dist.federation.corrections.moon import Moon
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.params import Layout, ParamSpec, zeros


def test_moon_equals_the_published_rounds() -> None:
    method = TwoLayers()
    layout, arrays = Layout(method.specs), golden("moon_pfllib")
    correction = Moon(method, layout, float(arrays["mu"]), float(arrays["tau"]))
    arrays, rounds = play("moon_pfllib", correction, layout)
    for index, ours in enumerate(rounds, 1):
        for key, value in (("y", ours.y), ("x", ours.x)):
            np.testing.assert_allclose(value, arrays[f"round{index}/{key}"], atol=2e-6)


def test_first_round_of_a_client_is_that_of_fedavg_and_the_second_is_not() -> None:
    moon = CorrectionConfig(name=CorrectionName.moon, mu=5.0)
    plain, made = tiny_federation(PFedMMA), tiny_federation(PFedMMA, correction=moon)
    losses = [[one.round(index).loss for index in range(2)] for one in (plain, made)]
    assert losses[1][0] - losses[0][0] == pytest.approx(5 * np.log(2), rel=1e-4)
    assert not torch.equal(plain.exchange.shared, made.exchange.shared)


def test_method_that_does_not_say_what_it_moves_is_refused() -> None:
    class Silent(Method):
        """Shares a number, and says no more."""

        name = "silent"
        Options = SimpleNamespace

        def __init__(self, options: Any, dims: Any) -> None:
            self.specs = (ParamSpec("number", (1,), zeros, shared=True),)

    with pytest.raises(ValueError, match=r"^correction\.name: moon .* silent .*representation"):
        tiny_federation(Silent, correction=CorrectionConfig(name=CorrectionName.moon))
