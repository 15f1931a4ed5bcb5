"""The paper's table of costs, counted from the specs at the sizes of ViT-B/16; without weights."""

import pytest

from pfedmma_dist.clip.load import dims
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.pfedmma import Share as Adapters
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.methods.promptfl import Share as Prompts
from pfedmma_dist.methods.zero_shot import ZeroShot
from pfedmma_dist.params import Layout

OUTER = 3 * 64 * (768 + 512)  # Down and Up of both towers, 32 wide each, in 3 blocks
MIX = 3 * 32 * 32


def costs(kind: type[Method], **options: object) -> tuple[int, int, int]:
    """Return the numbers (trained, sent, received) of a client and round."""
    method = kind(kind.Options(**options), dims("ViT-B-16"))
    layout = Layout(method.specs)
    cost = method.exchange(layout, layout.template(0)).cost()
    return layout.num_trained, cost.up, cost.down


def test_pfedmma() -> None:
    assert costs(PFedMMA) == (248_832, 3_072, 3_072)


def test_pfedmma_with_biases() -> None:
    assert costs(PFedMMA, bias=True) == (252_960, 3_168, 3_168)


def test_pfedmma_as_its_released_code_configures_it() -> None:
    assert costs(PFedMMA, bias=True, blocks=8) == (674_560, 8_448, 8_448)


@pytest.mark.parametrize("share", Adapters)
def test_ablations_of_pfedmma_train_the_same_and_send_what_they_say(share: Adapters) -> None:
    sent = {
        Adapters.shared: MIX,
        Adapters.all: OUTER + MIX,
        Adapters.none: 0,
        Adapters.up_down: OUTER,
    }[share]
    assert costs(PFedMMA, share=share) == (OUTER + MIX, sent, sent)


def test_promptfl() -> None:
    assert costs(PromptFL) == (8_192, 8_192, 8_192)


def test_local_prompts_send_nothing() -> None:
    assert costs(PromptFL, share=Prompts.none) == (8_192, 0, 0)


def test_zero_shot() -> None:
    assert costs(ZeroShot) == (0, 0, 0)


def test_options_have_the_papers_sizes() -> None:
    adapters, prompts = PFedMMAOptions(), PromptFLOptions()
    assert (adapters.blocks, adapters.rank, adapters.alpha, adapters.bias) == (3, 32, 1e-3, False)
    assert prompts.num_context == 16
