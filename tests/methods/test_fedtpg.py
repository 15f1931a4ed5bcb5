"""FedTPG: its net against vectors recorded from the published one, and against torch's layers."""

import pytest
import torch
from setting import Setting
from test_golden import FORMS, NAMES, check
from tiny import golden, tiny_clip
from torch import nn

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.fedtpg import NAMES_ALONE, FedTPG, FedTPGOptions
from pfedmma_dist.params import Layout

ATTENTION, FEED = (f"encoder.cross_attend_blocks.{block}" for block in range(2))
KEYS = {
    "asked": "soft_prompt",
    "norm_asked": f"{ATTENTION}.norm",
    "norm_names": f"{ATTENTION}.norm_context",
    "query": f"{ATTENTION}.fn.q_proj_weight",
    "key": f"{ATTENTION}.fn.k_proj_weight",
    "value": f"{ATTENTION}.fn.v_proj_weight",
    "attention.bias": f"{ATTENTION}.fn.in_proj_bias",
    "out": f"{ATTENTION}.fn.out_proj",
    "norm_inner": f"{FEED}.net.0",
    "up": f"{FEED}.net.1",
    "down": f"{FEED}.net.3",
}


def key_of(spec: str) -> str:
    """Return the published name of a parameter."""
    found = KEYS.get(spec) or KEYS[spec.removesuffix(".bias")] + ".bias"
    alone = spec in ("asked", "query", "key", "value", "attention.bias") or spec.endswith(".bias")
    return f"prompt_learner.meta_net.{found}" + ("" if alone else ".weight")


@FORMS
def test_fedtpg_equals_the_published_code(golden_clip: FrozenCLIP, num_clients: int) -> None:
    method, arrays = FedTPG(FedTPGOptions(), golden_clip.dims), golden("fedtpg")
    check(method, golden_clip, arrays, key_of, num_clients)
    layout = Layout(method.specs)
    start = {s.name: torch.from_numpy(arrays[f"init/{key_of(s.name)}"]) for s in layout.specs}
    params = layout.views(torch.cat([x.flatten() for x in start.values()])[None])
    for names, end in ((NAMES, ""), (NAMES[:3], "_first3")):  # another set, another context
        text = class_text(golden_clip, names, "a photo of a {}.")
        bare = text.ensemble(NAMES_ALONE)
        expected = torch.from_numpy(arrays["text_bare"])[: len(names)]
        torch.testing.assert_close(bare, expected, atol=2e-5, rtol=0)
        context = method.context(params, bare)[0]
        expected = torch.from_numpy(arrays[f"context{end}"])
        torch.testing.assert_close(context, expected, atol=2e-5, rtol=0)


def test_attention_is_that_of_torch() -> None:
    setting = Setting("fedtpg", {})
    params = {name: x[1] for name, x in setting.layout.views(setting.theta).items()}
    width, narrow = setting.clip.dims.text_width, setting.clip.dims.embed_dim
    slow = nn.MultiheadAttention(width, 4, kdim=narrow, vdim=narrow, batch_first=True).double()
    weights = {"in_proj_bias": params["attention.bias"].flatten(), "out_proj.weight": params["out"]}
    weights |= {f"{x[0]}_proj_weight": params[x] for x in ("query", "key", "value")}
    weights["out_proj.bias"] = params["out.bias"]
    names = setting.text.ensemble(NAMES_ALONE)

    def normed(name: str, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:], params[name], params[f"{name}.bias"])

    asked, read = normed("norm_asked", params["asked"]), normed("norm_names", names)
    found = torch.func.functional_call(slow, weights, (asked[None], read[None], read[None]))[0][0]
    inner = nn.functional.linear(normed("norm_inner", found), params["up"], params["up.bias"])
    inner, gate = inner.chunk(2, dim=1)
    inner = nn.functional.gelu(gate) * inner
    expected = found + nn.functional.linear(inner, params["down"], params["down.bias"])
    ours = setting.method.context(setting.layout.views(setting.theta), names)[1]
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_context": 0}, "method.num_context: 0; set 1 or more"),
        ({"heads": 5}, "method.heads: 5 do not divide the 64 coordinates of a token"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedTPG(FedTPGOptions(**options), tiny_clip().dims)
