"""Ranks that meet, and what keeps them apart: told at once, by the variable to set."""

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist
from ports import free_port
from runs import PLACE, python

from pfedmma_dist import command, train
from pfedmma_dist.command import MEND
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.world import address, meeting, roster, side_by_side, verdict
from pfedmma_dist.world.address import Network, check_interfaces, check_reachable
from pfedmma_dist.world.launchers import TORCHRUN
from pfedmma_dist.world.meeting import meet
from pfedmma_dist.world.place import Place
from pfedmma_dist.world.verdict import Verdict

HOST = socket.gethostname()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens who is no rank."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        yield stranger.getsockname()[1]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESOLVE_SECONDS", "OWN_SECONDS"):
        monkeypatch.setattr(address, name, 0.1)


def place(rank: int, size: int, port: int, host: str = "127.0.0.1") -> Place:
    return Place(rank, size, host=host, port=port, launcher=TORCHRUN)


def test_port_in_use_is_named_with_the_variable(taken: int) -> None:
    with pytest.raises(ValueError, match=f"^MASTER_PORT: {taken} is in use .* on host {HOST}"):
        meet(place(0, 2, taken))


@pytest.mark.parametrize("rank", [0, 1])
def test_host_that_nobody_knows_is_named_with_the_variable(rank: int) -> None:
    with pytest.raises(ValueError, match="^MASTER_ADDR: 'nosuchhost.invalid' is no host that"):
        meet(place(rank, 2, 29500, "nosuchhost.invalid"))


def test_port_behind_the_host_is_told_where_it_belongs() -> None:
    with pytest.raises(ValueError, match="a port belongs into MASTER_PORT"):
        meet(place(1, 2, 29500, "nosuchhost.invalid:29500"))


def test_address_of_another_host_is_refused_by_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "knock", lambda host, port: "Connection refused")
    told = f"^MASTER_ADDR: '127.0.0.1' does not lead to rank 0, .* of host {HOST}"
    with pytest.raises(ValueError, match=told):
        meet(place(0, 2, free_port()))


def test_stranger_at_the_port_is_no_rank_0(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "START_SECONDS", 0.3)
    never = threading.Event()
    monkeypatch.setattr(dist, "TCPStore", lambda *words, **others: never.wait())  # as torch's hangs
    told = f"rank 0, which does not answer at 127.0.0.1:{taken} (what listens there does not speak"
    with pytest.raises(meeting.RankLost, match=re.escape(told)):
        meet(place(1, 2, taken))
    never.set()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"WORLD_SIZE": ""}, "error: WORLD_SIZE: '' is empty; start the ranks with `torchrun"),
        ({"MASTER_ADDR": "nosuchhost.invalid"}, "error: MASTER_ADDR: 'nosuchhost.invalid' is no"),
        ({}, "error: MASTER_PORT: "),
        ({"GLOO_SOCKET_IFNAME": "nonsense0"}, "error: GLOO_SOCKET_IFNAME: 'nonsense0' names no"),
    ],
)
def test_ranks_that_cannot_meet_are_told_in_one_line_and_leave_nothing(
    taken: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    told: str,
) -> None:
    by_hand(monkeypatch, 0, MASTER_PORT=f"{taken}", **changes)
    assert train.main([f"run.folder={tmp_path / 'run'}", "run.device=cpu"]) == MEND
    text = capsys.readouterr().err
    assert text.startswith(told)
    assert text.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_port_in_use_ends_a_process_with_the_code_for_mend_it(taken: int, tmp_path: Path) -> None:
    code = (
        "import os, sys; os.environ |= dict(word.split('=') for word in sys.argv[1].split())\n"
        "from pfedmma_dist import command, train; command.leave(train.main(sys.argv[2:]))"
    )
    place = f"RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT={taken}"
    ended = python("-c", code, place, f"run.folder={tmp_path / 'run'}")
    assert ended.code == MEND
    assert re.fullmatch(f"error: MASTER_PORT: {taken} is in use by .*\n", ended.err)


@pytest.mark.parametrize(("rank", "speaks"), [(0, True), (1, False)])
def test_slip_in_the_command_line_is_told_by_rank_0_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: int, speaks: bool
) -> None:
    by_hand(monkeypatch, rank)
    found = [Verdict("unknown key federation.ronds; did you mean federation.rounds?")] * 2
    monkeypatch.setattr(command, "tell_others", lambda own: found)
    assert train.main(["federation.ronds=3"]) == MEND
    assert ("unknown key" in capsys.readouterr().err) is speaks


def test_slip_of_a_rank_that_reaches_nobody_is_told_by_that_rank(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand(monkeypatch, 1)
    monkeypatch.setattr(verdict, "TELL_SECONDS", 0.1)  # nobody listens at the port
    assert train.main(["federation.ronds=3"]) == MEND
    assert capsys.readouterr().err.startswith("[rank 1] error: unknown key federation.ronds")


def by_hand(monkeypatch: pytest.MonkeyPatch, rank: int, **changes: str) -> None:
    """Set the variables of one of two ranks, and no others."""
    for name in PLACE:
        monkeypatch.delenv(name, raising=False)
    place = {"RANK": f"{rank}", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in {**place, **changes}.items():
        monkeypatch.setenv(name, value)


def test_rank_that_is_there_twice_and_other_sizes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = dist.HashStore()
    monkeypatch.setattr(meeting, "_own_store", lambda place, vigil: store)
    monkeypatch.setattr(meeting, "START_SECONDS", 0.05)
    with pytest.raises(meeting.RankLost):  # the others never come
        meet(place(1, 3, 29500))
    with pytest.raises(ValueError, match="^RANK: 1 has come to 127.0.0.1:29500 already"):
        meet(place(1, 3, 29500))
    with pytest.raises(ValueError, match="^WORLD_SIZE: 2 on rank 0, but 3 on the rank that came"):
        meet(place(0, 2, 29500))


@pytest.mark.parametrize(
    ("value", "known"), [("lo", True), ("lo,nonsense0", False), ("nonsense0", False)]
)
def test_interface_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, known: bool
) -> None:
    variable = "GLOO_SOCKET_IFNAME"
    monkeypatch.setenv(variable, value)
    if known:
        check_interfaces()
    else:
        told = f"^{variable}: '{re.escape(value)}' names no network interface of host {HOST}"
        with pytest.raises(ValueError, match=told):
            check_interfaces()


@pytest.mark.parametrize(
    ("own", "other", "fine"),
    [
        (Network("127.0.1.1", "a"), Network("127.0.1.1", "b"), False),
        (Network("10.0.0.1", "a"), Network("127.0.1.1", "b"), False),
        (Network("10.0.0.1", "a"), Network("10.0.0.2", "b"), True),
        (Network("127.0.0.11", "a"), Network("127.0.0.12", "a"), True),  # one machine
    ],
)
def test_loopback_is_no_address_for_other_hosts(
    monkeypatch: pytest.MonkeyPatch, own: Network, other: Network, fine: bool
) -> None:
    store = dist.HashStore()
    store.set("network/1", " ".join(other))
    monkeypatch.setattr(Network, "own", lambda: own)
    if fine:
        check_reachable(store, 0, 2)
    else:
        with pytest.raises(ValueError, match=r"^GLOO_SOCKET_IFNAME: .* calls itself 127\.0\.1\.1"):
            check_reachable(store, 0, 2)


def test_network_of_this_host_has_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert re.fullmatch(r"[\d.:a-f]+", Network.own().address)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    assert Network.own().address == "127.0.0.1"
    assert Network.own().loops()


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ([1], "rank 1"),
        ([1, 2], "ranks 1 and 2"),
        ([1, 2, 3, 7], "ranks 1 to 3 and 7"),
        (list(range(1, 100, 2)), "ranks 1, 3, 5, 7, 9, 11, 13, 15 and 42 more"),
    ],
)
def test_ranks_are_named_by_number_and_cut(ranks: list[int], words: str) -> None:
    assert roster.numbers(ranks) == words


def test_process_with_the_same_words_and_start_is_a_neighbour(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = [subprocess.Popen(["sleep", words]) for words in ("60", "60", "61")]
    try:
        for process in started:  # an exec that is under way has no words yet
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"sleep"):
                pass
        same, own, other = (process.pid for process in started)
        monkeypatch.setattr(os, "getpid", lambda: own)
        told = side_by_side(f"process {same} on host {HOST}")
        assert re.match(r"; that one was started \d s apart .* start them with `torchrun", told)
        assert side_by_side(f"process {other} on host {HOST}") == ""
        assert side_by_side(f"process {own} on host {HOST}") == ""
        assert side_by_side(f"process {same} on host elsewhere") == ""
        assert side_by_side("another process") == ""
        monkeypatch.setattr(os, "getpid", lambda: same)
        first, second = RunFolder(tmp_path), RunFolder(tmp_path)
        first.lock()
        monkeypatch.setattr(os, "getpid", lambda: own)
        with pytest.raises(ValueError, match="is in use by process .* meant as ranks of one run"):
            second.lock()
        first.release()
    finally:
        for process in started:
            process.kill()
            process.wait()
