"""VPT and IVLP against vectors recorded from published code: learned tokens inside the towers."""

import pytest
from test_golden import FORMS, check
from tiny import golden

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.ivlp import IVLP, IVLPOptions
from pfedmma_dist.methods.vpt import VPT, VPTOptions


def prompted_key(spec: str) -> str:
    """Return the published name of the learned vectors at the input of a block of a tower."""
    tower, block = spec.split(".")
    if block == "0":
        return {"text": "prompt_learner.ctx", "image": "image_encoder.VPT"}[tower]
    return f"{tower}_encoder.transformer.resblocks.{block}.VPT_shallow"


@FORMS
@pytest.mark.parametrize(("name", "depth"), [("vpt_shallow", 1), ("vpt_J3", 3)])
def test_vpt_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, depth: int, num_clients: int
) -> None:
    method = VPT(VPTOptions(depth=depth), golden_clip.dims)
    check(method, golden_clip, golden(name), prompted_key, num_clients)


@FORMS
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ivlp_J3", {"text_depth": 3, "image_depth": 3}),
        (
            "ivlp_J4_n2v3",
            {"text_depth": 4, "image_depth": 4, "num_context": 2, "num_tokens": 3},
        ),
        ("ivlp_text3_vision1", {"text_depth": 3, "image_depth": 1}),
    ],
)
def test_ivlp_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, options: dict[str, int], num_clients: int
) -> None:
    method = IVLP(IVLPOptions(**options), golden_clip.dims)
    check(method, golden_clip, golden(name), prompted_key, num_clients)
