"""Steps replayed as CUDA graphs are the plain steps, bit for bit, for every method."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from unittest import mock

import numpy as np
import pytest
import torch
from graphs import graphs
from life import Form, Life, born, live
from pretend import CPU, CUDA, Places, pretended
from tiny import SIZES, NoiseFeatures, joined_sets, tiny_config

from pfedmma_dist.clip import attention
from pfedmma_dist.config.choices import CorrectionName, Softmax
from pfedmma_dist.config.command_line import parse
from pfedmma_dist.config.learning import CorrectionConfig
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation import recorded
from pfedmma_dist.federation.federation import Sources
from pfedmma_dist.federation.laid import Laid
from pfedmma_dist.federation.recorded import Inputs, Recorder, Recording
from pfedmma_dist.federation.steady import taken_apart
from pfedmma_dist.methods import METHODS
from pfedmma_dist.start import check_graphs
from pfedmma_dist.world import World

FORMS = [Form(dtype, is_plain=False, is_resident=True) for dtype in (torch.float32, torch.bfloat16)]
CASES = [*zip(METHODS, cycle(FORMS), strict=False)]
PLAIN = {"proda": "ndarray"}
"""Methods of which no step is recorded, and what they draw."""


@pytest.fixture(autouse=True)
def little_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU attend as a GPU does, in bfloat16 too, and warm up no more than it takes here."""
    monkeypatch.setattr(attention, "LONGEST", 0)
    monkeypatch.setattr(recorded, "WARM", 1)


@contextmanager
def recording() -> Iterator[Places]:
    with pretended() as places, graphs(places):
        yield places


def lives(name: str, form: Form, *, bits: bool = False, **words: object) -> Life:
    """Return a life with graphs, which is that of the CPU, and without a wait in a step; bits:
    whether it is that of the plain steps on the device, bit for bit, too."""
    words = {"scored": False, "epochs": (1, 2), **words}
    with recording() as places:
        with no_wait_in_a_replayed_step(places):
            there = live(name, form, CUDA, places, graphs=True, **words)
        plain = live(name, form, CUDA, places, **words) if bits else None
    here = live(name, form, CPU, **words)
    np.testing.assert_allclose(there.losses, here.losses, rtol=0, atol=1e-6)
    for ours, theirs in zip(there.rows, here.rows, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    if plain is not None:
        assert there.losses == plain.losses and all(map(torch.equal, there.rows, plain.rows))
    return there


@contextmanager
def no_wait_in_a_replayed_step(places: Places) -> Iterator[None]:
    gradient, waits = Recorder.gradient, Counter()

    def counted(self: Recorder, *words: object) -> object:
        before, known = places.waits.copy(), [each.is_held for each in self.kept.values()]
        found = gradient(self, *words)
        if known and known == [each.is_held for each in self.kept.values()]:
            waits.update(places.waits - before)
        return found

    with mock.patch.object(Recorder, "gradient", counted):
        yield
    assert not waits, waits


@pytest.mark.parametrize(("name", "form"), CASES, ids=str)
def test_replayed_steps_of_a_method_are_the_plain_ones(
    name: str, form: Form, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    there = lives(name, form)
    kept = [*there.recorder.kept.values()]
    told = [line for line in caplog.messages if line.startswith("run.cuda_graphs")]
    if METHODS[name].counts or not there.losses:
        assert not kept
    elif name in PLAIN:
        assert not kept and len(told) == 1 and f"a {PLAIN[name]}," in told[0]
    else:
        assert kept[-1].is_held and not told


@pytest.mark.parametrize("name", ["promptfl", "pfedmoap"])
def test_forms_in_turn_leave_the_bits_of_the_plain_steps(name: str) -> None:
    there = lives(name, FORMS[0], bits=True, cohort=4, epochs=(1, 1, 2))  # of 4 and 2 in turn
    assert len(there.recorder.kept) == {"promptfl": 2, "pfedmoap": 4}[name]  # without experts, with


@pytest.mark.parametrize("name", CorrectionName)
def test_replayed_steps_under_a_correction_are_the_plain_ones(name: CorrectionName) -> None:
    there = lives("fedpgp", FORMS[0], correction=CorrectionConfig(name=name), epochs=(2, 3))
    assert bool(there.recorder.kept) is (name is not CorrectionName.moon)
    assert bool(there.recorder.told) is (name is CorrectionName.moon)


def test_draws_that_are_no_tensor_are_not_recorded() -> None:
    there = lives("lora", FORMS[0], options={"dropout": 0.25})
    assert not there.recorder.kept
    assert there.recorder.told == {"they hold a float, which cannot be recorded"}


def test_what_a_replay_has_found_outlives_the_next() -> None:
    def slope(theta: torch.Tensor, *rest: object) -> tuple[torch.Tensor, torch.Tensor]:
        return theta.sum(dim=1), 2 * theta

    with recording():
        recorder, numbers = Recorder(CUDA), torch.zeros(2, 1).to(CUDA)
        step = Laid(numbers, numbers, numbers, numbers[:, 0], numbers, None, (), 2)
        found = [
            recorder.gradient(slope, None, torch.full((2, 3), value).to(CUDA), None, step)
            for value in (1.0, 2.0, 3.0, 4.0)  # recorded, held to the plain step, replayed twice
        ]
        assert [loss.tolist() for loss, _ in found] == [[3 * x] * 2 for x in (1, 2, 3, 4)]
        assert [grad.tolist() for _, grad in found] == [[[2.0 * x] * 3] * 2 for x in (1, 2, 3, 4)]


def test_classes_of_another_data_set_are_another_form() -> None:
    def shared(*, graphs: bool) -> torch.Tensor:
        cfg = tiny_config(num_shards=1, batch_size=2, cohort_size=1)
        cfg.run.cuda_graphs = graphs
        federation = born("promptfl", FORMS[0], CUDA, cfg, task=joined_sets())
        features = NoiseFeatures(federation.clip)  # of the images of both
        federation.sources = Sources(train=features, test=features)
        federation.round(0)
        return federation.exchange.shared.cpu()

    with recording():
        assert torch.equal(shared(graphs=True), shared(graphs=False))


def test_step_that_torch_does_not_record_ends_the_run_and_names_the_key() -> None:
    words = {"options": {"own_lengths": [2, 4]}}
    told = r"^run\.cuda_graphs: true, and torch records no step .*not permitted.*; set run\.cuda_gr"
    with recording() as places, pytest.raises(ValueError, match=told):
        live("fedpha", FORMS[0], CUDA, places, scored=False, graphs=True, **words)


def test_replay_of_other_bits_ends_the_run_and_names_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replay = Recording.replay

    def off(self: Recording, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        loss, grad = replay(self, inputs)
        return loss, torch.nextafter(grad, grad + 1)

    monkeypatch.setattr(Recording, "replay", off)
    told = r"^run\.cuda_graphs: true, and the gradient of the first replayed step of 6 clients is n"
    with recording() as places, pytest.raises(ValueError, match=told):
        live("promptfl", FORMS[0], CUDA, places, scored=False, graphs=True)


def test_forms_beyond_the_most_run_as_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(recorded, "MOST", 1)
    there = lives("promptfl", FORMS[0], cohort=4)
    assert len(there.recorder.kept) == 1
    assert sum("1 forms are recorded already" in line for line in caplog.messages) == 1


def test_graphs_are_refused_on_a_cpu_and_where_no_bit_is_promised() -> None:
    def config(*words: str) -> object:
        told = ["run.threads=1", "run.cuda_graphs=true", *words]
        return parse(told, methods=METHODS, sources=SOURCES)

    gpu = World(0, 1, CUDA)
    check_graphs(config(), gpu)
    with pytest.raises(ValueError, match=r"^run\.cuda_graphs: .* a CPU.*; set run\.cuda_graphs=f"):
        check_graphs(config(), World.alone())
    with pytest.raises(ValueError, match=r"run\.deterministic=false.*; set run\.deterministic=tr"):
        check_graphs(config("run.deterministic=false"), gpu)


def test_images_that_are_guarded_one_by_one_are_not_recorded() -> None:
    cfg = tiny_config(cohort_size=len(SIZES), num_shards=1)
    cfg.run.cuda_graphs, cfg.privacy.example_clip = True, 0.5
    with recording():
        assert born("promptfl", FORMS[0], CUDA, cfg).recorder is None


@pytest.mark.parametrize("name", ["theta", "drawn", *recorded.READ])
def test_input_that_is_not_refreshed_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first: dict[object, object] = {}

    def forgetful(given: Inputs, tensors: list[torch.Tensor]) -> object:
        if isinstance(given, Inputs):
            own = first.setdefault(taken_apart(given, []), getattr(given, name))
            given = replace(given, **{name: own})
        return taken_apart(given, tensors)

    def rows(places: Places, *, graphs: bool) -> torch.Tensor:
        cfg = tiny_config(num_shards=1)  # two cohorts of one form, of other classes
        cfg.run.cuda_graphs, cfg.federation.softmax = graphs, Softmax.own
        federation = born("fedmvp", FORMS[0], CUDA, cfg)
        federation.round(0)
        return federation.exchange.shared.cpu()

    with recording() as places:
        plain = rows(places, graphs=False)
        assert torch.equal(rows(places, graphs=True), plain)
        monkeypatch.setattr(recorded, "taken_apart", forgetful)
        try:
            noticed = not torch.equal(rows(places, graphs=True), plain)
        except ValueError as error:
            noticed = "first replayed step" in str(error)
    assert noticed
