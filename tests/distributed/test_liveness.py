"""A rank that hangs is named, waited for, and in the end given up; a stop signal is never stuck."""

import signal
import socket
from pathlib import Path

import pytest
from ranks import ranks
from runs import Lab, call, checkpoints, make_lab, outcome

from pfedmma_dist.command import MEND
from pfedmma_dist.run.signals import STOPPED

HOST = socket.gethostname()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with the run `whole`, which nothing interrupted."""
    lab = make_lab(tmp_path_factory.mktemp("liveness"))
    assert call(lab.words("whole")) == 0
    return lab


def test_rank_that_hangs_is_named_and_may_still_come(lab: Lab, tmp_path: Path) -> None:
    with ranks(lab.words("hangs"), tmp_path / "logs", ("hang", 1, 1)) as started:
        started.wait_for(0, f"waiting for rank 1 (host {HOST}, round 2), for ")
        started.wake(1)
        assert [started.code(rank) for rank in (0, 1)] == [0, 0]
        assert "all ranks have come, after" in started.logs[0].read_text()
    assert outcome(lab.folder("hangs")) == outcome(lab.folder("whole"))


def test_first_rank_that_hangs_is_named_by_the_next(lab: Lab, tmp_path: Path) -> None:
    with ranks(lab.words("first"), tmp_path / "logs", ("hang", 0, 1)) as started:
        told = started.wait_for(1, "waiting for")
        assert f"rank 0 (host {HOST}, " in told
        started.wake(0)
        assert [started.code(rank) for rank in (0, 1)] == [0, 0]


@pytest.mark.parametrize(("round_index", "phase"), [(3, "round 4"), (-1, "encoding")])
def test_rank_that_does_not_come_is_given_up_by_name(
    lab: Lab, tmp_path: Path, round_index: int, phase: str
) -> None:
    words = lab.words(f"given up in {phase}", run__patience=2)
    with ranks(words, tmp_path / "logs", ("hang", 1, round_index)) as started:
        assert started.code(0) == 1
        told = started.logs[0].read_text()
        assert f"gave up on rank 1 (host {HOST}, {phase}) after 2 s" in told
        assert "run.patience" in told
        assert "Traceback" not in told
    assert call(words) == 0
    assert outcome(lab.folder(f"given up in {phase}")) == outcome(lab.folder("whole"))


def test_rank_without_memory_says_what_takes_it_and_the_run_goes_on_later(
    lab: Lab, tmp_path: Path
) -> None:
    words = lab.words("full", run__checkpoint_every=1)
    with ranks(words, tmp_path / "logs", ("fill", 1, 2)) as started:
        assert [started.code(rank) for rank in (0, 1)] == [1, MEND]
        told = [log.read_text() for log in started.logs]
    error = "[rank 1] error: federation.cohort_size: cpu has no room for a step of training"
    assert error in told[1]
    assert "another rank has gone" in told[0] and "Traceback" not in told[0] + told[1]
    assert checkpoints(lab.folder("full"))[-1] in ("round_000002", "round_000003")
    assert call(words) == 0
    assert outcome(lab.folder("full")) == outcome(lab.folder("whole"))


def test_stop_signal_does_not_wait_for_a_rank_that_hangs(lab: Lab, tmp_path: Path) -> None:
    with ranks(lab.words("stuck"), tmp_path / "logs", ("hang", 1, 3)) as started:
        started.wait_for(0, "waiting for rank 1")
        started.send(0, signal.SIGTERM)
        assert started.code(0) == STOPPED
        told = started.logs[0].read_text()
        assert f"asked to stop, but rank 1 (host {HOST}, round 4) must come first" in told
        assert "stopped by a signal without saving" in told
        assert "goes on after round 2, the last that was saved" in told
    assert checkpoints(lab.folder("stuck")) == ["round_000002"]
    assert call(lab.words("stuck")) == 0
    assert outcome(lab.folder("stuck")) == outcome(lab.folder("whole"))


@pytest.mark.parametrize("rank", [0, 1])
def test_signal_to_one_rank_before_the_first_round_gives_all_its_code(
    lab: Lab, tmp_path: Path, rank: int
) -> None:
    with ranks(lab.words(f"early {rank}"), tmp_path / "logs", ("term", rank, -1)) as started:
        assert [started.code(other) for other in (0, 1)] == [STOPPED, STOPPED]
        assert "before the first round; there was nothing" in started.logs[rank].read_text()
        assert f"a signal to rank {rank}, which has left" in started.logs[1 - rank].read_text()
