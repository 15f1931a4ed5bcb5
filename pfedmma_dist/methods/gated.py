"""Gated: a block of attention and a gated net, learned by each client (FedTPG, FedMVP).

Tokens ask others, and what they find goes through the net:

    O = MultiHead(LN(asked); LN(read), values)             no residual
    h, g = Linear(LN(O))                                   W -> 8 W, two halves
    out = O + Linear(h * GELU(g))                          4 W -> W
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.params import Init, ParamSpec, torch_linear, zeros

WIDER = 4
"""How many times wider than its tokens the net is inside, after its gate (released code)."""


def block(width: int, read: int) -> tuple[ParamSpec, ...]:
    """Return the parameters of a block, all averaged: tokens of `width` ask others, `read` wide."""
    wide = WIDER * width
    draw = _xavier(width, read)

    def spec(name: str, shape: tuple[int, ...], init: Any) -> ParamSpec:
        return ParamSpec(name, shape, init, shared=True)

    def norm(name: str, size: int) -> list[ParamSpec]:
        return [spec(name, (size,), _ones), spec(f"{name}.bias", (size,), zeros)]

    return (
        *norm("norm_asked", width),
        *norm("norm_names", read),
        spec("query", (width, width), draw),
        spec("key", (width, read), draw),
        spec("value", (width, read), draw),
        spec("attention.bias", (3, width), zeros),
        spec("out", (width, width), torch_linear(width)),
        spec("out.bias", (width,), zeros),
        *norm("norm_inner", width),
        *layer("up", 2 * wide, width),
        *layer("down", width, wide),
    )


def layer(name: str, out: int, into: int) -> tuple[ParamSpec, ParamSpec]:
    """Return weight and bias of a linear layer, averaged."""
    draw = torch_linear(into)
    weight = ParamSpec(name, (out, into), draw, shared=True)
    return weight, ParamSpec(f"{name}.bias", (out,), draw, shared=True)


def check_heads(heads: int, width: int) -> None:
    """Refuse heads that do not divide a token."""
    if width % heads:
        raise ValueError(
            f"method.heads: {heads} do not divide the {width} coordinates of a token; set 4, say"
        )


def headed(params: dict[str, Tensor], which: str, x: Tensor, heads: int) -> Tensor:
    """Map tokens [G, n, in] to the `query`, `key` or `value` of each head: [G, H, n, W / H]."""
    bias = params["attention.bias"][:, ("query", "key", "value").index(which)]
    mapped = x @ params[which].mT + bias[:, None]
    return mapped.unflatten(2, (heads, -1)).transpose(1, 2)


def joined(params: dict[str, Tensor], heads: Tensor) -> Tensor:
    """Return O [G, n, W] of what the heads have read [G, H, n, W / H]."""
    return linear(params, "out", heads.transpose(1, 2).flatten(2))


def gate(params: dict[str, Tensor], found: Tensor) -> Tensor:
    """Return what `down` maps to what is added to O: [G, n, W] -> [G, n, 4 W]."""
    inner, gates = linear(params, "up", normed(params, "norm_inner", found)).chunk(2, dim=2)
    return inner * F.gelu(gates)


def linear(params: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Return each client's linear layer of x [G, n, in]: [G, n, out]."""
    return x @ params[name].mT + params[f"{name}.bias"][:, None]


def normed(params: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Return each client's layer norm of x [G, n, width]."""
    x = F.layer_norm(x, x.shape[-1:])
    return x * params[name][:, None] + params[f"{name}.bias"][:, None]


def _ones(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Return ones."""
    return torch.ones(shape)


def _xavier(width: int, read: int) -> Init:
    """Return how torch's attention draws the weights of queries, keys and values.

    Evenly within sqrt(6 / (out + in)); where all have one width, torch keeps them as one matrix of
    3 W outputs, whose bound is narrower: sqrt(6 / 4 W).
    """

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        out, into = shape
        bound = (6 / ((3 * out if width == read else out) + into)) ** 0.5
        return (2 * torch.from_numpy(rng.random(shape, np.float32)) - 1) * bound

    return draw
