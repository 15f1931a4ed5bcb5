"""A run that is killed or stopped at any moment goes on to the bits of one that was not."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import agents
import pytest
from ranks import run
from runs import DRIVER, Lab, call, checkpoints, make_lab, outcome, scores, torchrun

from pfedmma_dist import rounds
from pfedmma_dist.federation import evaluate
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run import signals
from pfedmma_dist.run.signals import SIGNALS, STOPPED


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with the run `whole`, which nothing interrupted."""
    lab = make_lab(tmp_path_factory.mktemp("restart"))
    assert call(lab.words("whole")) == 0
    return lab


def interrupt(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    round_index: int,
    mishap: Callable[[], None],
) -> None:
    """Let `mishap` happen at the start of `Federation.<name>` in the given round, once."""
    method = getattr(Federation, name)
    calls = iter(range(round_index + 1))

    def interrupted(self: Federation, *words: object) -> object:
        if next(calls, None) == round_index:
            mishap()
        return method(self, *words)

    monkeypatch.setattr(Federation, name, interrupted)


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def test_killed_rank_loses_no_more_than_the_rounds_since_the_checkpoint(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = lab.words("killed")
    left, killed = run(words, lab.path / "said killed", mishap=("kill", 1, 3))
    assert (left.code, killed.code) == (1, -signal.SIGKILL)
    assert checkpoints(lab.folder("killed")) == ["round_000002"]
    assert "Traceback" not in left.err
    assert "ERROR stopped, because another rank has gone" in left.err
    assert call(words) == 0
    assert "going on after round 2 of 4" in capsys.readouterr().err
    assert outcome(lab.folder("killed")) == outcome(lab.folder("whole"))


def test_torchrun_restarts_a_killed_run_by_itself(lab: Lab) -> None:
    words = lab.words("restarted", run__checkpoint_every=1)
    ended = agents.run(words, lab.path / "said restarted", ("kill", 0, 2))
    assert ended.code == 0, ended.err
    assert "going on after round 2 of 4" in ended.err
    assert outcome(lab.folder("restarted")) == outcome(lab.folder("whole"))


def test_asked_process_saves_and_ends_with_the_code_for_try_again(lab: Lab) -> None:
    [ended] = run(lab.words("asked"), lab.path / "said asked", 1, ("term", 0, 1))
    assert ended.code == STOPPED
    assert "saved after round 2 of 4; the same command goes on" in ended.err
    assert checkpoints(lab.folder("asked")) == ["round_000002"]


def test_process_asked_twice_ends_at_once(lab: Lab) -> None:
    [ended] = run(lab.words("twice"), lab.path / "said twice", 1, ("twice", 0, 3))
    assert ended.code == 128 + signal.SIGTERM
    assert checkpoints(lab.folder("twice")) == ["round_000002"]


def test_ranks_whose_torchrun_was_killed_save_after_the_round_and_leave(lab: Lab) -> None:
    words = lab.words("orphans")
    ended = torchrun(2, DRIVER, "orphan", 1, 1, *words)  # until the last rank closes its output
    assert ended.code == -signal.SIGKILL
    assert "has ended without its ranks" in ended.err
    saved = re.search("stopped by a signal and saved after round ([23]) of 4", ended.err)
    assert saved, ended.err  # the system may take a while to tell
    assert checkpoints(lab.folder("orphans"))[-1] == f"round_00000{saved[1]}"
    assert call(words) == 0
    assert outcome(lab.folder("orphans")) == outcome(lab.folder("whole"))


@pytest.mark.parametrize("number", SIGNALS)
def test_stop_signal_in_a_round_is_obeyed_after_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    words = lab.words(number.name)
    with monkeypatch.context() as context:
        interrupt(context, "round", 2, send(number))
        assert call(words) == STOPPED
    assert checkpoints(lab.folder(number.name)) == ["round_000002", "round_000003"]
    assert call(words) == 0
    assert outcome(lab.folder(number.name)) == outcome(lab.folder("whole"))


def test_echo_of_a_signal_is_not_a_second_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        interrupt(context, "round", 1, lambda: [send(signal.SIGINT)() for _ in range(3)])
        assert call(lab.words("echo")) == STOPPED
    assert checkpoints(lab.folder("echo")) == ["round_000002"]


def test_round_that_was_stopped_before_its_scores_gets_them_at_the_next_start(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        interrupt(context, "round", 3, send(signal.SIGTERM))
        assert call(lab.words("unscored")) == STOPPED
    assert scores(lab.folder("unscored")) == scores(lab.folder("whole"))[:3]
    assert call(lab.words("unscored")) == 0
    assert outcome(lab.folder("unscored")) == outcome(lab.folder("whole"))


def test_stop_during_the_scores_of_a_round_keeps_them(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        interrupt(context, "evaluate", 1, send(signal.SIGTERM))
        assert call(lab.words("scored")) == STOPPED
    assert scores(lab.folder("scored")) == scores(lab.folder("whole"))[:2]
    assert call(lab.words("scored")) == 0
    assert outcome(lab.folder("scored")) == outcome(lab.folder("whole"))


def test_signal_before_the_first_round_has_nothing_to_wait_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rounds, "zero_shot", lambda federation: send(signal.SIGINT)())
    assert call(lab.words("early")) == STOPPED
    assert "stopped by a signal before the first round" in capsys.readouterr().err
    assert checkpoints(lab.folder("early")) == []


def test_signals_are_left_as_they_were(lab: Lab) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    call(lab.words("whole"))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_finished_run_prints_its_result_and_changes_nothing(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lab.folder("whole")
    before = {file: file.stat().st_mtime_ns for file in contents(folder)}
    assert call(lab.words("whole")) == 0
    assert {file: file.stat().st_mtime_ns for file in contents(folder)} == before
    printed = capsys.readouterr()
    assert "holds a finished run" in printed.err
    assert re.search(r"pfedmma +\d+\.\d\d", printed.out)


def test_finished_run_says_that_other_weights_are_not_looked_at(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(lab.words("whole", clip__pretrained="other.pt")) == 0
    told = capsys.readouterr().err
    assert "WARNING clip.pretrained: " in told and "other.pt is not looked at; set run.fold" in told


def test_log_has_a_line_for_every_round(lab: Lab) -> None:
    text = (lab.folder("whole") / "log.txt").read_text()
    assert [f"round {done}/4: loss " in text for done in range(1, 5)] == [True] * 4


def contents(folder: Path) -> list[Path]:
    """Return the files of a run but for its lock and its log."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if file.name not in (".lock", "log.txt"))


def test_another_configuration_is_refused_with_the_keys_that_differ(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(lab.words("whole", optim__lr=0.1, method__rank=16)) == 2
    told = capsys.readouterr().err
    assert "run.folder:" in told
    assert "optim.lr: 0.05 there, 0.1 here" in told
    assert "method.rank: 32 there, 16 here" in told


def test_open_keys_adopt_what_the_run_began_with(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        interrupt(context, "round", 1, send(signal.SIGTERM))
        assert call(lab.words("open")) == STOPPED
    opened = {"federation__cohort_size": "null", "run__threads": "null"}
    assert call(lab.words("open", **opened)) == 0
    assert outcome(lab.folder("open")) == outcome(lab.folder("whole"))


def test_keys_that_cannot_reach_a_result_may_change_at_a_restart(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        interrupt(context, "round", 1, send(signal.SIGTERM))
        assert call(lab.words("moved")) == STOPPED
    moved = lab.folder("moved").rename(lab.folder("elsewhere"))
    assert call(lab.words("elsewhere", run__checkpoint_every=1)) == 0
    assert outcome(moved) == outcome(lab.folder("whole"))


def test_damaged_checkpoint_falls_back_to_the_one_before(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished_but_for_its_result(lab, "damaged")
    shard = folder / "checkpoints" / "round_000004" / "shard_001.safetensors"
    flipped = bytearray(shard.read_bytes())
    flipped[-1] ^= 1
    shard.write_bytes(flipped)
    assert call(lab.words("damaged")) == 0
    told = capsys.readouterr().err
    assert "round_000004 cannot be used and is passed over" in told
    assert "going on after round 2 of 4" in told
    assert outcome(folder) == outcome(lab.folder("whole"))


def test_run_that_lost_only_its_result_is_scored_again(lab: Lab) -> None:
    folder = finished_but_for_its_result(lab, "last")
    assert call(lab.words("last")) == 0
    assert outcome(folder) == outcome(lab.folder("whole"))
    assert json.loads((folder / "result.json").read_text())["rounds"] == 4


def finished_but_for_its_result(lab: Lab, name: str) -> Path:
    """Return a copy of the whole run, as a kill in the last second would have left it."""
    folder = lab.folder(name)
    shutil.copytree(lab.folder("whole"), folder)
    (folder / "result.json").unlink()
    return folder


def test_scoring_that_needs_five_time_limits_ends_after_five_starts(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start is asked to stop after some batches, fewer than any group of clients has."""
    short = {"evaluate__batch_size": 4, "federation__rounds": 1}
    words, codes = lab.words("limits", **short), []
    assert call(lab.words("limitless", **short)) == 0
    monkeypatch.setattr(evaluate, "PIECE_SECONDS", 0.0)
    go_on = evaluate._Work.go_on
    while 0 not in codes and len(codes) < 15:
        pieces = iter(range(10))  # seven of them for zero-shot

        def counted(work: Any, pieces: Iterator[int] = pieces) -> None:
            go_on(work)
            if next(pieces, None) is None and work.steps.gi_frame is not None:
                send(signal.SIGTERM)()

        monkeypatch.setattr(evaluate._Work, "go_on", counted)
        codes.append(call(words))
    assert codes[-1] == 0
    assert len(codes) >= 5, codes
    assert set(codes[:-1]) == {STOPPED}
    assert outcome(lab.folder("limits")) == outcome(lab.folder("limitless"))
    assert not (lab.folder("limits") / "scores.safetensors").exists()


def test_round_that_outlasts_a_signal_is_given_up(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = lab.words("long", federation__cohort_size=1, run__checkpoint_every=1)
    assert call(lab.words("as long", federation__cohort_size=1)) == 0
    with monkeypatch.context() as context:
        context.setattr(signals, "LEAVE_SECONDS", -1.0)
        interrupt(context, "round", 2, send(signal.SIGTERM))
        assert call(words) == STOPPED
    told = capsys.readouterr().err
    assert "stopped by a signal in round 3, which is not kept" in told
    assert checkpoints(lab.folder("long"))[-1] == "round_000002"
    assert call(words) == 0
    assert outcome(lab.folder("long")) == outcome(lab.folder("as long"))
