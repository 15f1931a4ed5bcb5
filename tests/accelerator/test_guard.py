"""Every method on a pretended GPU: no tensor strays, no number moves, no step lets the host wait.

A method runs in two of the eight forms, which differ in everything; over all methods every two
choices of a form meet.
"""

from itertools import product

import numpy as np
import pytest
import torch
from life import Form, Life, live
from pretend import CPU, CUDA, pretended

from pfedmma_dist.config.choices import CorrectionName
from pfedmma_dist.config.learning import CorrectionConfig
from pfedmma_dist.methods import METHODS

FORMS = [Form(*choice) for choice in product((torch.float32, torch.bfloat16), *[(False, True)] * 2)]
PAIRS = [(FORMS[i], FORMS[-1 - i]) for i in range(len(FORMS) // 2)]
CASES = [(name, form) for i, name in enumerate(METHODS) for form in PAIRS[i % len(PAIRS)]]


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


def same(there: Life, here: Life) -> None:
    """Hold a life on a device to the numbers of one on the CPU, and to no wait in a step."""
    np.testing.assert_allclose(there.losses, here.losses, rtol=0, atol=1e-6)
    assert there.scores.keys() == here.scores.keys()
    assert all(np.array_equal(there.scores[k], here.scores[k], equal_nan=True) for k in here.scores)
    for ours, theirs in zip(there.rows, here.rows, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert not there.per_step, there.per_step
    assert there.num_batches and not there.per_batch, there.per_batch
