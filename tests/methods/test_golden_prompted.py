"""VPT, IVLP and MaPLe against vectors recorded from published code: tokens inside the towers."""

from test_golden import check, in_turn
from tiny import golden

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.ivlp import IVLP, IVLPOptions
from pfedmma_dist.methods.maple import MaPLe, MaPLeOptions
from pfedmma_dist.methods.vpt import VPT, VPTOptions


def prompted_key(spec: str) -> str:
    """Return the published name of the learned vectors at the input of a block of a tower."""
    tower, block = spec.split(".")
    if block == "0":
        return {"text": "prompt_learner.ctx", "image": "image_encoder.VPT"}[tower]
    return f"{tower}_encoder.transformer.resblocks.{block}.VPT_shallow"


@in_turn(("name", "depth"), [("vpt_shallow", 1), ("vpt_J3", 3)])
def test_vpt_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, depth: int, num_clients: int
) -> None:
    method = VPT(VPTOptions(depth=depth), golden_clip.dims)
    check(method, golden_clip, golden(name), prompted_key, num_clients)


@in_turn(
    ("name", "options"),
    [
        ("ivlp_J1", {"text_depth": 1, "image_depth": 1}),
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


def maple_key(spec: str) -> str:
    """Return the published name of a parameter of MaPLe: what is deep is numbered from block 1."""
    part, block, *bias = spec.split(".")
    block = int(block)
    if part == "text":
        return f"prompt_learner.{f'compound_prompts_text.{block - 1}' if block else 'ctx'}"
    name = f"compound_prompt_projections.{block - 1}" if block else "proj"
    return f"prompt_learner.{name}.{'bias' if bias else 'weight'}"


@in_turn("depth", [1, 3])
def test_maple_equals_the_published_code(
    golden_clip: FrozenCLIP, depth: int, num_clients: int
) -> None:
    method = MaPLe(MaPLeOptions(depth=depth), golden_clip.dims)
    check(method, golden_clip, golden(f"maple_J{depth}"), maple_key, num_clients)
