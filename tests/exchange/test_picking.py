"""Which prompts a client picks, and rules of the server that do not go with it."""

import numpy as np
import pytest
import torch
from tiny import golden, tiny_federation

from pfedmma_dist.config.choices import Asynchrony, CorrectionName, Fleet, ServerRule
from pfedmma_dist.config.exchanging import ExchangeConfig
from pfedmma_dist.config.learning import CorrectionConfig, ServerConfig
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.exchange.picking import nearness, picked
from pfedmma_dist.methods.fedmgp import FedMGP


def test_without_a_temperature_the_nearest_are_sent() -> None:
    arrays = golden("fedmgp_rounds")
    common = torch.from_numpy(arrays["round3/global_text"])
    for prompts, picks in zip(
        arrays["topk_highest/client_text"], arrays["topk_highest/text_picks"], strict=True
    ):
        near_now = nearness(torch.from_numpy(prompts), common)
        assert picked(near_now, 0.0, np.zeros(2)) == picks.tolist()


def test_draws_come_as_often_as_a_softmax_without_replacement_says() -> None:
    known, grid = np.array([0.9, 0.2, -0.3]), (np.arange(200) + 0.5) / 200
    found = np.zeros((3, 3))
    for first in grid:
        for second in grid:
            found[tuple(picked(known, 0.5, np.array([first, second])))] += 1 / 200**2
    chance = np.exp(known / 0.5) / np.exp(known / 0.5).sum()
    expected = [[a * b / (1 - a) for b in chance] for a in chance]
    np.fill_diagonal(found, np.diag(expected))  # nothing is sent twice
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("correction.name: ditto", {"correction": CorrectionConfig(name=CorrectionName.ditto)}),
        ("server.name: a step", {"server": ServerConfig(name=ServerRule.momentum)}),
        ("server.name: a step", {"server": ServerConfig(lr=0.5)}),
        ("exchange.feedback: true", {"sections": {"exchange": ExchangeConfig(bits=8)}}),
        (
            "system.asynchrony: fedbuff",
            {"sections": {"system": SystemConfig(fleet=Fleet.even, asynchrony=Asynchrony.fedbuff)}},
        ),
    ],
)
def test_what_adds_up_or_keeps_moves_is_refused(key: str, keys: dict) -> None:
    with pytest.raises(ValueError, match=f"{key}.*method.*set"):
        tiny_federation(FedMGP, **keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"server": ServerConfig(name=ServerRule.median)},
        {"sections": {"exchange": ExchangeConfig(secure=True)}},
        {"sections": {"exchange": ExchangeConfig(bits=8, feedback=False)}},
    ],
)
def test_centres_masks_and_few_bits_of_rows_go_with_it(keys: dict) -> None:
    made = tiny_federation(FedMGP, **keys)
    before = made.exchange.shared
    made.round(0)
    assert not torch.equal(made.exchange.shared, before)
