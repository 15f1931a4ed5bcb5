"""FedTPG (Qiu et al., ICLR 2024): a net that reads class names and writes the context, averaged.

With E the unit text vectors of the bare class names [C, D], all of the class set at hand, and n
learned queries Q [n, W],

    O = MultiHead(LN(Q); LN(E), LN(E))                     4 heads, no residual
    h, g = Linear(LN(O))                                   W -> 8 W, two halves
    context = O + Linear(h * GELU(g))                      4 W -> W

is the context of every class, which the text tower then reads as CoOp's. So a class set that nobody
has trained on has a context of its own. At n = 4 and W = D = 512 a client trains, sends and
receives 4,206,080 numbers; a cohort holds as many rows as it has clients, with gradient and
momentum, so set federation.cohort_size=1 or 2.

In its paper each client has classes of its own, from which alone it takes context and softmax, and
the mean of a round counts every client once. Here E is of all classes of the set, the softmax is
over a client's own with federation.softmax=own, and clients weigh as many images as they have.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one
from pfedmma_dist.params import ParamSpec, normal, torch_linear, zeros

NAMES_ALONE = ("{}",)
"""The template of a bare class name."""
WIDER = 4
"""How many times wider than its context the net is inside, after its gate (released code)."""


@dataclass(kw_only=True)
class FedTPGOptions:
    """Options of FedTPG."""

    num_context: int = 4
    """Context vectors before the class name; 4 (paper)."""
    heads: int = 4
    """Heads of the attention over the class names; 4 (released code)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context", "heads")


class FedTPG(Method):
    """FedTPG: a text context that a net writes for the class names at hand, averaged by FedAvg."""

    name = "fedtpg"
    Options = FedTPGOptions

    def __init__(self, options: FedTPGOptions, dims: Dims) -> None:
        self.heads, width, wide = options.heads, dims.text_width, WIDER * dims.text_width
        if width % options.heads:
            raise ValueError(
                f"method.heads: {options.heads} do not divide the {width} coordinates of a token; "
                "set 4, say"
            )

        def layer(name: str, out: int, into: int) -> list[ParamSpec]:
            draw = torch_linear(into)
            return [spec(name, (out, into), draw), spec(f"{name}.bias", (out,), draw)]

        def norm(name: str, size: int) -> list[ParamSpec]:
            return [spec(name, (size,), _ones), spec(f"{name}.bias", (size,), zeros)]

        def spec(name: str, shape: tuple[int, ...], init: Any) -> ParamSpec:
            return ParamSpec(name, shape, init, shared=True)

        self.specs = (
            spec("asked", (options.num_context, width), normal(0.02)),
            *norm("norm_asked", width),
            *norm("norm_names", dims.embed_dim),
            spec("query", (width, width), _xavier),
            spec("key", (width, dims.embed_dim), _xavier),
            spec("value", (width, dims.embed_dim), _xavier),
            spec("attention.bias", (3, width), zeros),
            *(layer("out", width, width)[0], spec("out.bias", (width,), zeros)),
            *norm("norm_inner", width),
            *layer("up", 2 * wide, width),
            *layer("down", width, wide),
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Write the context of these names and run the prompts through the text tower."""
        return text.with_context(self.context(params, text.ensemble(NAMES_ALONE)))

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors [G, 1, C, D]."""
        return classes[:, None]

    def context(self, params: dict[str, Tensor], names: Tensor) -> Tensor:
        """Return the context [G, n, W] for the unit vectors of class names [C, D]."""
        asked = _norm(params, "norm_asked", params["asked"])
        read = _norm(params, "norm_names", names.expand(len(asked), -1, -1))
        query, key, value = (
            (own @ params[name].mT + bias[:, None]).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for own, name, bias in zip(
                (asked, read, read),
                ("query", "key", "value"),
                params["attention.bias"].unbind(dim=1),
                strict=True,
            )
        )  # [G, heads, n or C, W / heads]
        share = (query @ key.mT / query.shape[3] ** 0.5).softmax(dim=3)
        found = _linear(params, "out", (share @ value).transpose(1, 2).flatten(2))  # [G, n, W]
        inner, gate = _linear(params, "up", _norm(params, "norm_inner", found)).chunk(2, dim=2)
        return found + _linear(params, "down", inner * F.gelu(gate))


def _linear(params: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Return each client's linear layer of x [G, n, in]: [G, n, out]."""
    return x @ params[name].mT + params[f"{name}.bias"][:, None]


def _norm(params: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Return each client's layer norm of x [G, n, width]."""
    x = F.layer_norm(x, x.shape[-1:])
    return x * params[name][:, None] + params[f"{name}.bias"][:, None]


def _ones(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Return ones."""
    return torch.ones(shape)


def _xavier(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Draw a weight [out, in] as torch's attention does: evenly, within sqrt(6 / (out + in))."""
    bound = (6 / sum(shape)) ** 0.5
    return (2 * torch.from_numpy(rng.random(shape, np.float32)) - 1) * bound
