"""pFedPrompt is PromptFL's prompt and Tip-Adapter's votes, of which the prompt alone is sent."""

import numpy as np
import pytest
import torch
from agreement import SECOND, near
from setting import LABELS, STEPS, Setting
from tiny import NUM_BASE, SIZES, tiny_federation

from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.methods import own_images
from pfedmma_dist.methods.pfedprompt import PFedPrompt, PFedPromptOptions

OPTIM = OptimConfig(lr=0.1)


def test_logits_are_promptfls_and_the_votes() -> None:
    ours, prompt = Setting("pfedprompt", {"alpha": 3.0}), Setting("promptfl", {})
    params = ours.layout.views(ours.theta)
    rows, context = STEPS[0].rows, params["context"].flatten(1)
    images = ours.features.rows(ours.method.images, (rows.reshape(-1), None))
    votes = own_images.votes(params, images.unflatten(0, rows.shape), 5.5, NUM_BASE)
    assert (votes[..., : LABELS.max() + 1] > 0).any()
    expected = prompt.logits(context, rows) + 3.0 * votes
    near(ours.name, SECOND, "logits", ours.logits(ours.theta, rows), expected, atol=1e-12)


def test_prompt_is_sent_and_the_cache_stays_as_it_was_filled() -> None:
    federation, everybody = tiny_federation(PFedPrompt, optim=OPTIM), np.arange(len(SIZES))
    cost = federation.cost()
    assert cost.up == cost.down == federation.num_trained == federation.layout.num_shared
    caches, prompts = [], [federation.exchange.shared]
    for index in range(2):
        federation.round(index)
        caches.append(federation.clients.gather(everybody))
        prompts.append(federation.exchange.shared)
    assert torch.equal(*caches)
    assert caches[0].any(dim=1).all()
    assert not torch.equal(prompts[0], prompts[1]) and not torch.equal(prompts[1], prompts[2])


@pytest.mark.parametrize("name", ["alpha", "num_context"])
def test_options_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"method.{name}: 0; set "):
        PFedPromptOptions(**{name: 0})
