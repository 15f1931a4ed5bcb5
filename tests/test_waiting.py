"""Who is missing, and what a wait for other ranks ends with."""

import logging
import re
import socket
from datetime import timedelta

import pytest
import torch.distributed as dist
from ports import free_port

from pfedmma_dist.world import RankLost, meeting, roster, waiting
from pfedmma_dist.world.launchers import TORCHRUN
from pfedmma_dist.world.meeting import meet
from pfedmma_dist.world.place import Place
from pfedmma_dist.world.roster import Roster, Watch
from pfedmma_dist.world.waiting import Vigil, told_meanwhile, wait_for_ranks, watched

HOST = socket.gethostname()


class Never:
    """A sum that no other rank comes to."""

    def is_completed(self) -> bool:
        return False

    def wait(self, timeout: timedelta) -> bool:
        raise RuntimeError("Operation timed out!")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all limits be tenths of seconds."""
    monkeypatch.setattr(roster, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(roster, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(meeting, "START_SECONDS", 0.2)
    for module in (meeting, waiting):
        monkeypatch.setattr(module, "NAME_SECONDS", 0.05)


def rosters(size: int) -> list[Roster]:
    """Return what the ranks of one start know of each other."""
    store = dist.HashStore()
    ranks = [Roster(store, rank, size) for rank in range(size)]
    for one in ranks:
        one.read(store)
    return ranks


def give_up(ranks: list[Roster], rank: int) -> str:
    """Let a rank wait in vain, and return what it ends with."""
    ranks[rank].come()
    with pytest.raises(RankLost) as lost:
        wait_for_ranks(Never(), ranks[rank], lambda: None, 0.4, 0.0)
    return str(lost.value)


def test_ranks_that_have_not_come_are_named_with_what_they_do() -> None:
    ranks = rosters(4)
    ranks[1].enter("reading data")
    ranks[2].come()
    ranks[2].tell()
    ranks[3].enter("encoding")
    told = give_up(ranks, 0)
    assert told.startswith(
        f"gave up on rank 1 (host {HOST}, reading data), rank 3 (host {HOST}, encoding) after"
    )


def test_rank_that_has_come_and_gives_no_sign_any_more_is_named() -> None:
    ranks = rosters(2)
    ranks[1].enter("round 3")
    ranks[1].come()
    ranks[1].tell()
    assert f"gave up on rank 1 (host {HOST}, round 3)" in give_up(ranks, 0)


def test_network_that_stalls_is_no_rank_s_fault() -> None:
    ranks = rosters(2)
    ranks[1].come()
    ranks[1].tell()
    watch = Watch(ranks[1])
    told = give_up(ranks, 0)
    watch.end()
    assert "gave up on a network that stalls: all ranks have come" in told


def test_store_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = rosters(2)
    monkeypatch.setattr(Watch, "_look", lambda *words: Watch.end(words[0]))
    assert "cannot be named: torchrun keeps their store" in give_up(ranks, 0)
    ranks[1].keeper = 0
    assert f"cannot be named: rank 0 (host {HOST}, starting up) keeps" in give_up(ranks, 1)


def test_ranks_are_named_by_one_rank_and_less_and_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ranks = rosters(3)
    ranks[1].come()
    ranks[1].tell()
    give_up(ranks, 0)  # the first that has come speaks
    assert 2 <= len(caplog.records) <= 4
    assert f"waiting for rank 2 (host {HOST}, starting up), for " in caplog.text
    caplog.clear()
    ranks[0].come()
    ranks[0].tell()
    watch = Watch(ranks[0])
    give_up(ranks, 1)
    watch.end()
    assert caplog.text == ""


def test_long_list_of_ranks_is_cut() -> None:
    names = rosters(20)[0].names(range(1, 20))
    assert names.startswith(f"rank 1 (host {HOST}, starting up), rank 2")
    assert names.endswith("11 more")


def test_rank_that_never_starts_is_named(caplog: pytest.LogCaptureFixture) -> None:
    place = Place(
        0,
        3,
        host="127.0.0.1",
        port=free_port(),
        launcher=TORCHRUN,
        by_hand=True,
        to_unset="RANK LOCAL_RANK",
    )
    told = f"ranks 1 and 2 (of WORLD_SIZE=3), not started yet, at 127.0.0.1:{place.port}"
    with pytest.raises(RankLost, match=re.escape(f"gave up on {told} after")):
        meet(place)
    assert f"waiting for {told}, for 0 s so far; gives up after 0 s; look why" in caplog.text
    assert "or for one rank alone: unset RANK LOCAL_RANK" in caplog.text


def test_rank_0_that_does_not_answer_is_named_with_its_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = Place(2, 3, host="127.0.0.1", port=free_port(), launcher=TORCHRUN)
    told = f"rank 0, which does not answer at 127.0.0.1:{place.port} (Connection refused), as "
    with pytest.raises(RankLost, match=re.escape(told)):
        meet(place)
    assert f"waiting for {told}rank 2 of WORLD_SIZE=3 on host {HOST} tries" in caplog.text


def test_wait_that_was_told_of_is_told_to_be_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    quiet, told = Vigil(10.0, 1.0, ""), Vigil(10.0, 0.0, "")
    told.check(lambda: "rank 1")
    quiet.end()
    told.end()
    assert [record.getMessage()[:18] for record in caplog.records] == [
        "waiting for rank 1",
        "all ranks have com",
    ]


def test_what_cannot_be_looked_at_is_told_of_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    with told_meanwhile("rank 1 still joins the others"):
        while not caplog.records:
            pass
    assert caplog.messages[0].startswith("rank 1 still joins the others, for 0 s so far")


def test_error_of_what_is_watched_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        watched(fail, Vigil(10.0, 10.0, ""), lambda: "nobody")


def test_store_that_has_gone_with_its_torchrun_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place(
        0,
        2,
        host="127.0.0.1",
        port=free_port(),
        launcher=TORCHRUN,
        store_of_torchrun=True,
        to_unset="RANK",
    )
    monkeypatch.setattr(meeting, "STORE_SECONDS", 0.1)
    with pytest.raises(RankLost, match="torchrun's store at 127.0.0.1:.* does not answer") as lost:
        meet(place)
    assert "unset RANK TORCHELASTIC_RUN_ID" in str(lost.value)
