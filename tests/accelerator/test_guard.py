"""Every method on a pretended GPU: no tensor strays, no number moves, no step lets the host wait.

A method runs in one of the eight forms, in turn: two that follow each other differ in everything,
and over all methods every three choices of a form meet.
"""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from life import Form, Life, born, live, resnet
from pretend import CPU, CUDA, pretended
from tiny import SIZES, tiny_config, tokenize, validated

from pfedmma_dist.clip import attention
from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.config.choices import Accountant, Asynchrony, CorrectionName, Fleet
from pfedmma_dist.config.exchanging import ExchangeConfig
from pfedmma_dist.config.learning import CorrectionConfig
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.federation.inference import attack
from pfedmma_dist.federation.probes import silenced, swapped
from pfedmma_dist.federation.search import Choice, search
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.lora_options import Form as LoRAForm
from pfedmma_dist.methods.lora_options import Train
from pfedmma_dist.methods.merging import Merge

FORMS = [Form(*choice) for choice in product((torch.float32, torch.bfloat16), *[(False, True)] * 2)]
PAIRS = [(FORMS[i], FORMS[-1 - i]) for i in range(len(FORMS) // 2)]
IN_TURN = [form for pair in PAIRS for form in pair]
VARIANTS = [
    {"merge": Merge.product, "dropout": 0.25},
    {"train": Train.alternate},
    {"ranks": [1, 2], "merge": Merge.norm},
    {"form": LoRAForm.decomposed},
]
SECTIONS = {
    "system": SystemConfig(fleet=Fleet.phones, asynchrony=Asynchrony.fedbuff, buffer=2),
    "exchange": ExchangeConfig(bits=4, top=0.5),
    "privacy": PrivacyConfig(
        example_clip=0.5, example_noise=1.0, accountant=Accountant.integer_rdp
    ),
}
CASES = [(name, IN_TURN[i % len(IN_TURN)]) for i, name in enumerate(METHODS)]


@pytest.fixture(autouse=True)
def one_kernel_of_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU attend as a GPU does, in bfloat16 too."""
    monkeypatch.setattr(attention, "LONGEST", 0)


@pytest.mark.parametrize(("name", "form"), CASES, ids=str)
def test_method_runs_on_a_device_as_on_the_cpu_and_no_step_waits(name: str, form: Form) -> None:
    with pretended() as places:
        there = live(name, form, CUDA, places)
    same(there, live(name, form, CPU))


@pytest.mark.parametrize("name", CorrectionName)
def test_correction_runs_on_a_device_as_on_the_cpu_and_no_step_waits(name: CorrectionName) -> None:
    form, words = PAIRS[0][0], {"epochs": (2, 2, 3), "correction": CorrectionConfig(name=name)}
    with pretended() as places:
        there = live("fedpgp", form, CUDA, places, **words)
    same(there, live("fedpgp", form, CPU, **words))


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_variant_of_lora_runs_on_a_device_as_on_the_cpu(options: dict[str, object]) -> None:
    form = FORMS[1]
    with pretended() as places:
        there = live("lora", form, CUDA, places, options=options)
    same(there, live("lora", form, CPU, options=options))


def test_probes_and_search_find_on_a_device_what_they_find_on_the_cpu() -> None:
    def found(device: torch.device) -> tuple[dict[str, np.ndarray], Choice]:
        trained = born("pfedmma", FORMS[1], device, tiny_config())
        trained.round(0)
        searched = born("tip_adapter", FORMS[1], device, tiny_config(), task=validated())
        searched.round(0)
        percent = {"swapped": swapped(trained), **silenced(trained).percent}
        return percent, search(searched, {"beta": (0.5, 5.5), "alpha": (0.1, 100.0)})

    with pretended():
        there = found(CUDA)
    here = found(CPU)
    assert there[1] == here[1] and there[0].keys() == here[0].keys()
    assert all(np.array_equal(there[0][name], here[0][name]) for name in here[0])


@pytest.mark.parametrize(("section", "own"), SECTIONS.items(), ids=list(SECTIONS))
def test_rounds_by_a_clock_in_few_bits_or_in_private_are_the_same(section: str, own: Any) -> None:
    def found(device: torch.device) -> list[torch.Tensor]:
        cfg = tiny_config(fraction=0.5, cohort_size=len(SIZES), num_shards=1)
        setattr(cfg, section, own)
        federation = born("pfedmma", FORMS[1], device, cfg)
        losses = [federation.round(index).loss for index in range(2)]
        guessed = attack(federation, 2).images
        shards, server = federation.state()
        numbers = [*losses, guessed.area, guessed.margin]
        return [torch.tensor(numbers), shards[0]["rows"], *server.values()]

    with pretended():
        there = found(CUDA)
    for ours, theirs in zip(there, found(CPU), strict=True):  # no loss leaves a private round
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_image_tower_that_is_no_vit_and_hashes_are_the_same_on_a_device() -> None:
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def told(device: torch.device) -> tuple[torch.Tensor, str, str]:
        clip = freeze(resnet(), tokenize, device, torch.float32)
        [final] = clip.freeze(pixels, (FINAL,))
        assert final.device == device
        return final.cpu(), clip.image_hash(), clip.text_hash()

    with pretended():
        there = told(CUDA)
    here = told(CPU)
    torch.testing.assert_close(there[0], here[0], rtol=1e-6, atol=1e-6)
    assert there[1:] == here[1:]


def same(there: Life, here: Life) -> None:
    """Hold a life on a device to the numbers of one on the CPU, and to no wait in a step."""
    np.testing.assert_allclose(there.losses, here.losses, rtol=0, atol=1e-6)
    assert there.scores.keys() == here.scores.keys()
    assert all(np.array_equal(there.scores[k], here.scores[k], equal_nan=True) for k in here.scores)
    for ours, theirs in zip(there.rows, here.rows, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert not there.per_step, there.per_step
    assert there.num_batches and not there.per_batch, there.per_batch
