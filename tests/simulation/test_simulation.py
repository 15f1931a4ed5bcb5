"""A run as an object: the bits of the command, left and gone on with, looked at, told of."""

import gc
import logging
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import Lab, blank, call, make_lab, outcome

from pfedmma_dist import Callback, Simulation
from pfedmma_dist.run import pictures, report
from pfedmma_dist.simulation.records import Result, Round

CHANGES = {"data__num_clients": 3, "federation__rounds": 3, "run__checkpoint_every": 10}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with one run of the command."""
    lab = make_lab(tmp_path_factory.mktemp("simulation"))
    assert call(lab.words("command", **CHANGES)) == 0
    return lab


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (report, pictures):
        monkeypatch.setattr(module, "save", blank)


def begun(lab: Lab, name: str, **changes: object) -> Simulation:
    return Simulation.open(*lab.words(name, **{**CHANGES, **changes}), quiet=True)


@pytest.fixture(scope="module")
def finished(lab: Lab) -> Iterator[Simulation]:
    """A run that was left after its first round, by a loop, and then trained to its end."""
    with pytest.MonkeyPatch.context() as context:
        for module in (report, pictures):
            context.setattr(module, "save", blank)
        simulation = begun(lab, "left")
        for _ in simulation.rounds():
            break
        simulation.train()
    yield simulation
    simulation.close()


def test_run_left_and_gone_on_with_has_the_bits_of_the_command(
    lab: Lab, finished: Simulation
) -> None:
    assert outcome(lab.folder("left")) == outcome(lab.folder("command"))


def test_run_goes_on_in_another_process_to_the_same_bits(lab: Lab) -> None:
    with begun(lab, "handed over") as simulation:
        assert next(iter(simulation.rounds())).round == 1
    assert call(lab.words("handed over", **CHANGES)) == 0
    assert outcome(lab.folder("handed over")) == outcome(lab.folder("command"))


class Book(Callback):
    """Writes down what it is told, and asks to stop after a round."""

    def __init__(self, last: int = 0) -> None:
        self.last, self.pages = last, list[Any]()

    def on_start(self, simulation: Simulation) -> None:
        self.pages.append("start")

    def on_round(self, record: Round) -> bool:
        self.pages.append(record.round)
        return record.round == self.last

    def on_finish(self, result: Result) -> None:
        self.pages.append(result.rounds)


def test_listener_stops_a_run_that_then_goes_on(lab: Lab) -> None:
    book, seen = Book(last=2), list[int]()
    with begun(lab, "stopped") as simulation:
        simulation.train(book, lambda record: seen.append(record.round))
        assert (book.pages, seen) == (["start", 1, 2], [1, 2])
        assert not simulation.is_finished
        simulation.train(book)
        assert book.pages[3:] == ["start", 3, 3]
        simulation.train(book)  # nothing is left
        assert book.pages[6:] == ["start"]
    assert outcome(lab.folder("stopped")) == outcome(lab.folder("command"))


def test_answer_of_a_listener_that_is_no_answer_is_refused(lab: Lab) -> None:
    with begun(lab, "answer") as simulation, pytest.raises(TypeError, match="return True to stop"):
        simulation.train(lambda record: 0.5)
    assert Simulation.open(lab.folder("answer")).clients[0].num_images  # it was saved
    with pytest.raises(TypeError, match="neither a Callback nor a function"):
        begun(lab, "answer").train(Book)


def test_result_holds_what_the_files_hold(lab: Lab, finished: Simulation) -> None:
    result, again = finished.result, Simulation.open(lab.folder("left")).result
    assert (result.rounds, result.method) == (3, "pfedmma")
    assert result.history["loss"].shape == (3,)
    assert result.scores["local_mean"] == pytest.approx(result.clients["local"].mean(), abs=1e-4)
    assert result.zero_shot.keys() == result.scores.keys()
    assert again == result == pickle.loads(pickle.dumps(result))
    assert not result.clients["local"].flags.writeable


def test_result_of_a_run_that_is_not_finished_is_refused(lab: Lab) -> None:
    with pytest.raises(ValueError, match="holds no finished run; train"):
        _ = begun(lab, "never").result
    assert not lab.folder("never").exists()
    with pytest.raises(ValueError, match="holds nothing to score yet"):
        begun(lab, "never").score()


def test_folder_of_another_run_is_refused(lab: Lab, finished: Simulation) -> None:
    with pytest.raises(ValueError, match="another configuration .seed: 1 there, 2 here"):
        begun(lab, "left", seed=2).train()


def test_clients_are_copies_with_their_numbers(lab: Lab, finished: Simulation) -> None:
    apart = Simulation.open(lab.folder("left"), quiet=True)
    assert len(finished.clients) == 3
    for ours, theirs in zip(finished.clients, apart.clients, strict=True):
        assert (ours, ours.private.keys()) == (theirs, theirs.private.keys())
        for name, values in (ours.private | ours.shared).items():
            assert np.array_equal(values, (theirs.private | theirs.shared)[name])
    first = finished.clients[-1]
    assert set(first.classes) <= {f"class {label}" for label in range(4)}
    assert first.num_images > 0 and {"local", "base", "novel"} <= first.scores.keys()
    next(iter(first.private.values()))[:] = 7.0
    assert not (next(iter(finished.clients[-1].private.values())) == 7.0).any()
    with pytest.raises(IndexError, match="client 3: there are 3"):
        finished.clients[3]


def test_score_is_that_of_the_result_and_of_other_prompts(finished: Simulation) -> None:
    scored = finished.score()
    assert scored.scores == pytest.approx(finished.result.scores)
    assert scored.zero_shot == pytest.approx(finished.result.zero_shot)
    other = finished.score({"data.template": "{}"})
    assert other.rounds == 3 and other.zero_shot != scored.zero_shot
    with pytest.raises(ValueError, match="federation.rounds: .*was trained with 3, and 4"):
        finished.score(federation__rounds=4)


def test_two_runs_take_turns_in_one_process(lab: Lab) -> None:
    with begun(lab, "one") as one, begun(lab, "other", seed=2) as other:
        for first, second in zip(one.rounds(), other.rounds(), strict=True):
            assert first.round == second.round and first.loss != second.loss
        one.train(), other.train()
    assert outcome(lab.folder("one")) == outcome(lab.folder("command"))
    assert (lab.folder("other") / "log.txt").read_text().count("round 1/3") == 1


def settings() -> tuple[object, ...]:
    speaker = logging.getLogger("pfedmma_dist")
    return (
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
        signal.getsignal(signal.SIGTERM), speaker.level, speaker.propagate, list(speaker.handlers),
    )  # fmt: skip


def test_process_is_the_programs_own_between_two_rounds(lab: Lab) -> None:
    before = settings()
    with begun(lab, "borrowed") as simulation:
        for _ in simulation.rounds():
            assert settings() == before
    assert settings() == before


def test_it_speaks_unless_it_is_to_be_quiet(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    begun(lab, "command").train()
    assert capsys.readouterr() == ("", "")
    Simulation.open(lab.folder("command")).train()
    assert "holds a finished run; this is its result" in capsys.readouterr().err


def test_ctrl_c_in_a_round_is_raised_once_all_is_saved(lab: Lab) -> None:
    def press(record: Round) -> None:
        if record.round == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with begun(lab, "pressed") as simulation:
        with pytest.raises(KeyboardInterrupt, match="saved after round 1 of 3"):
            simulation.train(press)
        simulation.train()
    assert outcome(lab.folder("pressed")) == outcome(lab.folder("command"))


def test_ctrl_c_as_the_run_ends_is_not_lost(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with begun(lab, "late") as simulation:
        for record in simulation.rounds():
            if record.round == 3:
                break
        monkeypatch.setattr(pictures, "save", interrupt)
        with pytest.raises(KeyboardInterrupt, match="once the run was finished"):
            simulation.train()
    assert simulation.is_finished


def interrupt(figure: object, path: Path) -> None:
    """Stand in for what saves a picture, and press Ctrl-C at the first."""
    blank(figure, path)
    pictures.save = blank
    os.kill(os.getpid(), signal.SIGINT)


def test_another_signal_ends_the_program_with_the_code_of_a_stopped_run(lab: Lab) -> None:
    with begun(lab, "ended") as simulation, pytest.raises(SystemExit) as raised:
        simulation.train(lambda record: os.kill(os.getpid(), signal.SIGTERM))
    assert raised.value.code == 75


def test_it_trains_in_a_thread_where_python_allows_no_handlers(lab: Lab) -> None:
    def work() -> None:
        with begun(lab, "thread") as simulation:
            simulation.train()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome(lab.folder("thread")) == outcome(lab.folder("command"))


def test_folder_is_free_again_once_a_forgotten_simulation_is_gone(lab: Lab) -> None:
    simulation = begun(lab, "cell")
    next(iter(simulation.rounds()))
    with pytest.raises(ValueError, match="is in use by process"):
        begun(lab, "cell").train()
    simulation = begun(lab, "cell")  # as a notebook's cell that runs again
    gc.collect()
    simulation.train()
    assert simulation.is_finished


def test_files_of_an_exception_in_the_loop_are_saved(lab: Lab, tmp_path: Path) -> None:
    with begun(lab, "raised") as simulation, pytest.raises(ZeroDivisionError):
        for record in simulation.rounds():
            _ = 1 / (record.round - 2)
    assert (lab.folder("raised") / "checkpoints" / "round_000002").exists()
