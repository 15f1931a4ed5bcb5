"""What clients start from is drawn as torch draws it, and as the papers say: of every parameter."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from tiny import NUM_BASE
from torch import Tensor, nn

from pfedmma_dist.clip.load import dims
from pfedmma_dist.methods import METHODS
from pfedmma_dist.params import ParamSpec

SIZES = dims("ViT-B-16")
TEXT, IMAGE, JOINT = 512, 768, 512
PROMPT = ("normal", 0.02)
ZERO = ("constant", 0.0)
ONE = ("constant", 1.0)
ONES_AND_ZEROS = {"norm_asked": ONE, "norm_names": ONE, "norm_inner": ONE} | {
    f"{name}.bias": ZERO for name in ("norm_asked", "norm_names", "norm_inner", "out")
}


@cache
def layer(out: int, into: int) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(into, out)


def even(weight: Tensor) -> tuple[str, float]:
    """Return the bound of what torch has drawn evenly, read off its numbers."""
    return "even", float(weight.detach().abs().max())


def linear(out: int, into: int) -> tuple[str, float]:
    return even(layer(out, into).weight)


def attention(width: int, read: int) -> dict[str, tuple[str, float]]:
    """Return what torch's attention with other keys and values draws."""
    torch.manual_seed(1)
    own = nn.MultiheadAttention(width, 4, kdim=read, vdim=read)
    names = ("query", "key", "value")
    maps = [getattr(own, f"{name[0]}_proj_weight") for name in names]
    if own.in_proj_weight is not None:
        maps = own.in_proj_weight.chunk(3)
    found = dict(zip(names, map(even, maps), strict=True))
    return found | {"attention.bias": ZERO, "out": even(own.out_proj.weight)}


def gated(width: int, read: int) -> dict[str, tuple[str, float]]:
    net = {
        f"{name}{end}": linear(*shape)
        for name, shape in {"up": (8 * width, width), "down": (width, 4 * width)}.items()
        for end in ("", ".bias")
    }
    return ONES_AND_ZEROS | attention(width, read) | net


def kaiming(out: int, into: int) -> tuple[str, float]:
    weight = torch.empty(out, into)
    torch.manual_seed(1)
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    return "normal", float(weight.std())


def lora(down: int) -> tuple[str, float]:
    weight = torch.empty(8, down)
    torch.manual_seed(1)
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return even(weight)


def expected(method: str, spec: ParamSpec) -> tuple[str, float] | None:
    """Return the kind of draw and its bound or deviation; None: what a client's images begin, or
    what its number says."""
    part, *rest = spec.name.split(".")
    bias = bool(rest) and rest[-1] == "bias"
    if method == "pfedmma":
        return kaiming(*spec.shape)
    if method in ("fedtpg", "fedmvp"):
        own = gated(TEXT, JOINT) if method == "fedtpg" else gated(IMAGE, IMAGE)
        own |= {"asked": PROMPT, "text": linear(IMAGE, JOINT), "text.bias": linear(IMAGE, JOINT)}
        terms = {"A": PROMPT, "B": ZERO}
        return own[spec.name] if spec.name in own else terms[rest[-1]]
    if method == "lora":
        return ZERO if part == "B" else lora(spec.shape[1])
    if part == "map":
        return linear(IMAGE, TEXT)
    if method == "fedmgp":
        return None if part == "pair" else ("normal", 0.01 if part == "text" else 0.02)
    if part == "gate":
        return linear(128, 128)
    if part == "net":
        shape = {
            "cocoop": {"down": (32, JOINT), "up": (TEXT, 32)},
            "tcp": {"down": (128, JOINT), "up": (4 * TEXT, 128)},
        }[method][rest[0]]
        return linear(*shape)
    if method in ("fedclip", "clip_adapter"):
        into = 128 if method == "clip_adapter" and part == "second" else JOINT
        return linear(spec.size if bias else spec.shape[0], into)
    if part in ("bias", "offset", "weight", "R"):
        return ZERO
    if part in ("keys", "values"):
        return None
    if part in ("A", "B") and method == "fedsb":
        return "normal", max(spec.shape) ** -0.5
    return PROMPT


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_drawn_as_published(method: str) -> None:
    kind = METHODS[method]
    made = kind.build(kind.Options(), SIZES, NUM_BASE, 8, 10)
    for spec in made.specs:
        wanted = expected(method, spec)
        if wanted is None:
            continue
        drawn, (how, size) = spec.draw(7).double(), wanted
        assert drawn.shape == spec.shape
        if how == "constant":
            assert (drawn == size).all(), spec.name
            continue
        near = {"rtol": 3 / math.sqrt(spec.size)}
        if how == "even":
            bound = float(drawn.abs().max())
            np.testing.assert_allclose(bound, size, rtol=0.1 if spec.size < 200 else 0.02)
            size /= 3**0.5
        np.testing.assert_allclose(drawn.std(), size, err_msg=spec.name, **near)
        assert abs(float(drawn.mean())) < 5 * size / math.sqrt(spec.size), spec.name
