"""Laps: who of a round arrives, and when it ends, on numbers that one can check on paper."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from pfedmma_dist.clock.events import going_on
from pfedmma_dist.clock.laps import Drawn, Lap, lasting, present, waiting
from pfedmma_dist.clock.profiles import Profiles, of_fleet
from pfedmma_dist.rng import generator

SECONDS = np.array([5.0, 3.0, 8.0, 1.0, 3.0])
ALL = np.arange(5)
STEADY = Profiles(*np.ones((4, 5)), np.zeros(5), np.zeros(5))


def work(clients: np.ndarray, round_index: int) -> np.ndarray:
    return SECONDS[clients] * (round_index + 1)


def lap(
    wanted: int = 5, deadline: float | None = None, dropout: tuple[int, ...] = (), index: int = 0
) -> Lap:
    """Return a round of five clients; dropout: whose upload is always lost."""
    profiles = replace(STEADY, dropout=np.isin(ALL, dropout).astype(float))
    laps = waiting(profiles, work, 1, lambda _: Drawn(ALL, wanted), deadline, bool(dropout))
    return list(islice(laps, index + 1))[index]


@pytest.mark.parametrize(
    ("keys", "arrived", "late", "lost", "took"),
    [
        ({}, [0, 1, 2, 3, 4], [], [], 8.0),
        ({"wanted": 2}, [1, 3], [0, 2, 4], [], 3.0),  # of equal ones the first by number
        ({"deadline": 5.0}, [0, 1, 3, 4], [2], [], 5.0),
        ({"deadline": 9.0}, [0, 1, 2, 3, 4], [], [], 8.0),
        ({"deadline": 0.5}, [], [0, 1, 2, 3, 4], [], 0.5),
        ({"dropout": (2, 3)}, [0, 1, 4], [], [2, 3], 8.0),  # its broken line is waited for
        ({"dropout": (2,), "wanted": 3}, [1, 3, 4], [0], [2], 3.0),
        ({"dropout": (0, 1, 2, 3, 4)}, [], [], [0, 1, 2, 3, 4], 8.0),
        ({"dropout": (3,), "deadline": 4.0}, [1, 4], [0, 2], [3], 4.0),
    ],
)
def test_round_that_waits(
    keys: dict, arrived: list[int], late: list[int], lost: list[int], took: float
) -> None:
    found = lap(**keys)
    assert [ALL[x].tolist() for x in (found.arrived, found.late, found.lost)] == [
        arrived, late, lost,
    ]  # fmt: skip
    assert found.took == found.end == took
    second = lap(**keys, index=1)
    assert second.end == took + second.took and second.begun.tolist() == [1] * 5


def test_jitter_dropout_and_presence_have_their_distribution() -> None:
    profiles, clients = of_fleet("phones", 1, 20_000), np.arange(20_000)
    seconds, lost = lasting(profiles, lambda c, _: np.ones(len(c)), 1, clients, 0)
    np.testing.assert_allclose(
        [np.log(seconds).mean(), np.log(seconds).std(), lost.mean()], [0, 0.3, 0.1], atol=0.01
    )
    there = present(profiles, generator(1, "x"), clients)
    assert len(there) / 20_000 == pytest.approx(0.8, abs=0.01)
    some, more = ([0, 7, 9], [0, 5, 7, 9])
    few = lasting(profiles, lambda c, _: np.ones(len(c)), 1, np.array(some), 3)[0]
    many = lasting(profiles, lambda c, _: np.ones(len(c)), 1, np.array(more), 3)[0]
    assert few.tolist() == many[[0, 2, 3]].tolist()  # whoever else takes part


def test_server_waits_for_somebody_where_nobody_is_there() -> None:
    away = replace(STEADY, availability=np.array([1e-9, 1e-9, 1e-3, 1e-9, 1e-9]))
    assert present(away, generator(1, "x"), ALL).tolist() == [2]


def test_server_that_goes_on_by_hand() -> None:
    laps = list(islice(going_on(STEADY, lambda c, _: SECONDS[c], 1, ALL, 5, 2, False), 4))
    # 0 to 8 seconds: 3 at 1 s, 1 and 4 at 3 s; 3 waits for the update, then starts again at 3 s.
    assert [x.clients.tolist() for x in laps] == [[1, 3], [3, 4], [0, 3], [1, 3]]
    assert [x.begun.tolist() for x in laps] == [[0, 0], [1, 0], [0, 2], [1, 3]]
    assert [x.end for x in laps] == [3.0, 4.0, 5.0, 6.0]
    assert [x.took for x in laps] == [3.0, 1.0, 1.0, 1.0]
    assert [x.flying for x in laps] == [(0,), (0, 1), (0, 1, 2), (0, 2, 3)]


@pytest.mark.parametrize("flying", [1, 3, 9])
def test_server_that_goes_on_keeps_its_numbers(flying: int) -> None:
    profiles, clients = of_fleet("phones", 2, 12), np.arange(1, 10)
    laps = list(islice(going_on(profiles, work_of_phones, 2, clients, flying, 3, True), 60))
    assert any(x.lost.any() for x in laps)
    last: dict[int, int] = {}
    for index, found in enumerate(laps):
        assert not found.late.any() and found.took >= 0
        whole = len(clients) == len(found.clients)  # nobody was left
        assert found.arrived.sum() == 3 or whole
        assert len(np.unique(found.clients)) == len(found.clients)
        assert np.isin(found.clients, clients).all()
        for client, begun in zip(found.clients.tolist(), found.begun.tolist(), strict=True):
            assert last.get(client, -1) < begun <= index  # one training at a time
            last[client] = index
        assert len(found.flying) <= flying
    assert sorted(last) == clients.tolist()


def work_of_phones(clients: np.ndarray, round_index: int) -> np.ndarray:
    return 1.0 + clients / 3
