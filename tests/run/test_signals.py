"""What counts as a request to stop."""

import logging
import os
import signal
import threading

import pytest

from pfedmma_dist.run.signals import StopSignal
from pfedmma_dist.stopped import Stopped


@pytest.fixture
def under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("under_torchrun")
def test_rank_whose_torchrun_has_ended_is_asked_to_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parent = os.getppid()
    stop = StopSignal()
    stop.wait_for_round()
    assert not stop()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert stop()
    assert f"torchrun, process {parent}, has ended" in caplog.text


@pytest.mark.usefixtures("under_torchrun")
def test_rank_whose_torchrun_has_ended_before_the_first_round_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = StopSignal()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(Stopped, match="before the first round"):
        stop.asked()


def test_process_that_torchrun_did_not_start_outlives_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    stop = StopSignal()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert not stop()


def test_hang_up_that_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_torchrun_has_left_in_a_shell_makes_that_no_torchrun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    stop = StopSignal()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert not stop()


def test_first_signal_tells_that_a_long_round_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), StopSignal() as stop:
        stop.wait_for_round()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(10)
    assert "finished and saved, or given up if that takes over 20 s" in caplog.text
