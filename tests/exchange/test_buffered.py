"""The server that does not wait: equal to a second simulation that trains when clients start."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pfedmma_dist.clock.events import going_on
from pfedmma_dist.clock.laps import Lap
from pfedmma_dist.clock.profiles import Profiles
from pfedmma_dist.exchange.buffered import Buffered, Mixing
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.world import World

CLIENTS, SIZE, ROUNDS = 6, 3, 9
SECONDS = np.array([5.0, 3.1, 8.3, 1.7, 3.3, 29.0])
TEMPLATE = torch.tensor([0.5, -1.0, 2.0])
KINDS = {"fedbuff": (3, None), "fedasync": (1, 0.6)}


def trained(client: int, start: np.ndarray) -> np.ndarray:
    """Return what a client makes of the shared part: half of the way to a place of its own."""
    return start + 0.5 * (np.array([client, -client, client**2 / 10]) - start)


def laps(buffer: int) -> list[Lap]:
    profiles = Profiles(*np.ones((4, CLIENTS)), *np.zeros((2, CLIENTS)))
    found = going_on(
        profiles, lambda c, _: SECONDS[c], 1, np.arange(CLIENTS), CLIENTS, buffer, False
    )
    return [next(found) for _ in range(ROUNDS)]


def exchange(kind: str, rule: str = "average", lr: float = 1.0) -> Buffered:
    buffer, mixing = KINDS[kind]
    server = Server(rule, lr, None, 0.99, 1e-3, SIZE)
    return Buffered(TEMPLATE, server, laps(buffer).__getitem__, Mixing(0.5, mixing))


def play(own: Buffered, rounds: range) -> Tensor:
    for index in rounds:
        lap = own.lap(index)
        handed = own.download(lap.clients, training=True).shared
        rows = [trained(c, x) for c, x in zip(lap.clients, handed.double().numpy(), strict=True)]
        sent = torch.from_numpy(np.array(rows)).float()
        for some in (slice(0, 1), slice(1, None)):  # in cohorts
            if len(sent[some]):
                own.upload(lap.clients[some], sent[some], torch.zeros(len(sent[some])))
        riders = own.sync(World.alone(), torch.tensor([7]), lap.clients)
        assert riders.tolist() == [7]
    return own.shared


def second(kind: str, lr: float) -> list[np.ndarray]:
    """Return the shared part after each update: a list of jobs, each trained as it starts."""
    buffer, mixing = KINDS[kind]
    shared, updates, found = TEMPLATE.double().numpy(), 0, []
    started = {c: (SECONDS[c], shared, trained(c, shared), 0) for c in range(CLIENTS)}
    waiting: list[int] = []
    while updates < ROUNDS:
        flying = [c for c in started if c not in waiting]
        waiting.append(min(flying, key=lambda c: started[c][0]))
        now = started[waiting[-1]][0]
        if len(waiting) == buffer:
            delta = np.zeros(SIZE)
            for _, start, row, version in (started[c] for c in waiting):
                counts = (1 + updates - version) ** -0.5
                delta += counts * ((row - start) / buffer if mixing is None else 0)
                delta += counts * (mixing or 0) * (row - shared)
            shared, updates = shared + lr * delta, updates + 1
            for c in waiting:
                started[c] = (now + SECONDS[c], shared, trained(c, shared), updates)
            waiting = []
            found.append(shared)
    return found


@pytest.mark.parametrize("lr", [1.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_every_update_is_that_of_a_second_simulation(kind: str, lr: float) -> None:
    own, wanted = exchange(kind, lr=lr), second(kind, lr)
    for index in range(ROUNDS):
        found = play(own, range(index, index + 1))
        np.testing.assert_allclose(found.double().numpy(), wanted[index], rtol=0, atol=2e-6)
    assert any(x.begun.min() < index for index, x in enumerate(laps(KINDS[kind][0])))


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_from_any_round_and_keeps_what_is_in_use_alone(kind: str) -> None:
    whole, cut = exchange(kind, "momentum", 0.3), exchange(kind, "momentum", 0.3)
    play(whole, range(ROUNDS))
    for index in range(ROUNDS):
        play(cut, range(index, index + 1))
        state, cut = cut.state(), exchange(kind, "momentum", 0.3)
        cut.load(state, np.arange(CLIENTS))
        assert tuple(cut.older) == cut.lap(index).flying
    assert whole.state().keys() == cut.state().keys()
    assert all(torch.equal(whole.state()[name], x) for name, x in cut.state().items())


def test_scores_are_of_the_newest_and_an_update_without_upload_leaves_it() -> None:
    own = exchange("fedasync")
    play(own, range(2))
    before = own.shared
    assert torch.equal(own.download(np.arange(2), training=False).shared[1], before)
    own.sync(World.alone(), torch.zeros(1, dtype=torch.int64), np.empty(0, np.int64))
    assert torch.equal(own.shared, before) and own.version == 3


def test_strange_states_are_refused() -> None:
    own = exchange("fedbuff")
    play(own, range(2))
    state = own.state()
    for name, other in (("older", state["older"] + 1), ("version", state["version"] - 1)):
        with pytest.raises(ValueError, match="shared parts are of rounds"):
            exchange("fedbuff").load({**state, name: other}, np.arange(CLIENTS))
    with pytest.raises(ValueError, match="the server's state is"):
        exchange("fedbuff").load({**state, "older_rows": state["older_rows"][1:]}, np.arange(6))
