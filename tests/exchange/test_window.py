"""The mean over rounds is what scores see, and no bit of training; it outlasts a restart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import golden, on_ranks, same_state, tiny_federation
from torch import Tensor

from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.exchange.window import Bell, Windowed
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.promptsrc import PromptSRC, PromptSRCOptions
from pfedmma_dist.world import World

ONE = np.zeros(1, np.int64)
BELL = Bell(num_rounds=4, centre=0.5, deviation=0.25)
OPTIONS = PromptSRCOptions(
    text_depth=1, image_depth=1, start=3, num_context=2, templates=["a {}."], deviation=0.2
)


def rounds_of(exchange: Windowed, values: list[float | None]) -> list[tuple[float, float]]:
    """Close a round for each value that one client sends, or nobody; return what is handed out
    after each, for training and for scores."""
    found = []
    for value in values:
        sent = np.zeros(0, np.int64) if value is None else ONE
        if value is not None:
            exchange.upload(ONE, torch.tensor([[value]]), torch.ones(1, dtype=torch.float64))
        exchange.sync(World.alone(), torch.zeros(0, dtype=torch.int64), sent)
        found.append(tuple(handed(exchange, training=t).item() for t in (True, False)))
    return found


def handed(exchange: Windowed, *, training: bool) -> Tensor:
    return exchange.download(ONE, training=training).shared


def test_shares_are_the_published_weights_of_20_epochs() -> None:
    weights = golden("promptsrc_J1")["gpa_weights_20_15_1"].astype(np.float64)
    bell = Bell(num_rounds=20, centre=0.75, deviation=0.05)
    for count in range(6, 21):  # below, recorded numbers have lost their digits
        expected = weights[count - 1] / weights[:count].sum()
        assert bell.share(count) == pytest.approx(expected, rel=1e-5)


def test_far_from_the_bell_the_newest_round_before_it_counts_and_none_behind_it() -> None:
    narrow = Bell(num_rounds=1000, centre=0.5, deviation=1e-4)
    assert [narrow.share(count) for count in (1, 400, 500)] == [1.0] * 3
    assert [narrow.share(count) for count in (600, 1000)] == [0.0] * 2


def test_scores_see_the_mean_of_the_rounds_so_far_and_training_the_newest() -> None:
    values, weights = [8.0, 2.0, 4.0, 16.0], np.exp(-0.5 * np.array([1, 0, 1, 4.0]))
    exchange = Windowed(torch.tensor([5.0]), BELL)
    assert handed(exchange, training=True).item() == handed(exchange, training=False).item() == 5
    for count, (newest, mean) in enumerate(rounds_of(exchange, values), 1):
        assert newest == values[count - 1]
        assert mean == pytest.approx(np.average(values[:count], weights=weights[:count]), abs=1e-6)


def test_round_of_nobody_counts_what_was_there() -> None:
    silent, again = (Windowed(torch.zeros(1), BELL) for _ in range(2))
    assert rounds_of(silent, [8.0, None, 4.0])[-1] == rounds_of(again, [8.0, 8.0, 4.0])[-1]


def test_what_is_changed_behind_a_round_is_what_counts() -> None:
    exchange = Windowed(torch.zeros(1), BELL)
    rounds_of(exchange, [8.0])
    exchange.shared = torch.tensor([2.0])  # as a correction does
    assert handed(exchange, training=False).item() == 2
    assert rounds_of(exchange, [2.0]) == [(2.0, 2.0)]


def test_state_of_another_server_is_refused() -> None:
    exchange = Windowed(torch.zeros(2), BELL)
    for state in ({"shared": torch.zeros(2)}, exchange.state() | {"window": torch.zeros(2)}):
        with pytest.raises(ValueError, match="the server's"):
            exchange.load(state, ONE)


def federation(world: World | None = None, **keys: object) -> Federation:
    return tiny_federation(PromptSRC, world, **{"options": OPTIONS, "rounds": 4, **keys})


@pytest.fixture(scope="module")
def whole() -> Federation:
    """A federation after all of its rounds."""
    made = federation()
    for index in range(4):
        made.round(index)
    return made


def test_restart_and_ranks_reach_no_bit(whole: Federation) -> None:
    first, second = federation(), federation()
    for index in range(2):
        first.round(index)
    second.load(*first.state(), 2)
    for index in (2, 3):
        second.round(index)
    same_state(second, whole)

    def on_rank(world: World) -> Federation:
        made = federation(world)
        for index in range(4):
            made.round(index)
        return made

    for made in on_ranks(2, on_rank):
        same_state(made, whole)


def test_mean_reaches_scores_and_no_bit_of_training(whole: Federation) -> None:
    plain = federation(options=replace(OPTIONS, deviation=None))
    for index in range(4):
        plain.round(index)
    assert torch.equal(plain.exchange.shared, whole.exchange.shared)
    (scored, _), (newest, _) = (made.start(ONE, training=False) for made in (whole, plain))
    assert not torch.equal(scored, newest)
    assert torch.equal(scored, whole.exchange.mean.float()[None])


def test_a_server_that_sees_uploads_keeps_the_mean_too() -> None:
    keys = {"server": ServerConfig(name=ServerRule.median), "fraction": 0.2}  # one client a round
    opened, summed = federation(**keys), federation(fraction=0.2)
    for index in range(2):
        opened.round(index)
        summed.round(index)
    assert opened.exchange.server.sees_uploads and not summed.exchange.server.sees_uploads
    torch.testing.assert_close(opened.exchange.mean, summed.exchange.mean, rtol=0, atol=1e-6)
