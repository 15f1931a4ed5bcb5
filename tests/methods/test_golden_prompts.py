"""Methods of several prompts, or two losses, against vectors recorded from their published code."""

import pytest
from test_golden import COHORTS, check
from tiny import golden

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.promptfolio import PromptFolio, PromptFolioOptions

PARTS = ("init", "grad", "step1", "step3")


def two_prompts(name: str) -> dict:
    """Return recorded arrays of a common and an own prompt that are stacked there."""
    arrays = golden(name)
    for part in PARTS:
        both = arrays[f"{part}/prompt_learner.ctx"]
        arrays |= {f"{part}/common": both[0], f"{part}/own": both[1]}
    return arrays


@pytest.mark.parametrize("num_clients", COHORTS)
@pytest.mark.parametrize("theta", [0.2, 0.4])
def test_promptfolio_equals_the_published_code(
    golden_clip: FrozenCLIP, theta: float, num_clients: int
) -> None:
    method = PromptFolio(PromptFolioOptions(theta=theta), golden_clip.dims)
    check(method, golden_clip, two_prompts(f"promptfolio_theta{theta}"), str, num_clients)
