"""pFedMoAP (Luo et al., ICLR 2025): a gate over one's own prompt and those of other clients.

A client trains a context of its own (CoOp) and a gate, an attention of H heads. The contexts of
others, the experts, stay as they were downloaded. The gate sees every (D / 128)th coordinate of a
unit vector: x of the image, t_c0 of class c under the own prompt, t_c1 .. t_cE under the experts'.
For each class the image asks and the E + 1 texts answer,

    q = W_q x + b_q      k_ce = W_k t_ce + b_k      v_ce = W_v t_ce + b_v
    f_c = W_o concat over heads of sum over e of softmax_e(10 q . k_ce) v_ce + b_o
    logits_c = 0.5 scale * <image, own_c> + scale * <x, f_c>

and without experts logits_c = scale * <image, own_c>, the gate staying as it is. The biases b_k,
b_v and b_o move all experts or all classes alike: their gradient is zero, they only decay.

Of 8,192 + 4 (128^2 + 128) = 74,240 trained numbers the context is sent. 9 others' contexts come
back, 73,728 numbers, and beside them the mean, from which training starts. A client is scored with
its own context (see `ExpertPool`).

The released code never calls its choice of the nearest, hands out uploads of the same round, passes
the gate of one client on to the next, and lets the learning rate swing; none of that is here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.experts import Choice, ExpertPool, Upload
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.methods.method import Method, at_least_one, cosine_logits, encode
from pfedmma_dist.params import Layout, ParamSpec, normal, torch_linear

GATE = ("query", "key", "value", "out")
"""The four maps of the attention."""


@dataclass(kw_only=True)
class PFedMoAPOptions:
    """Options of pFedMoAP."""

    num_context: int = 16
    """Context vectors before the class name; 16 (pFedMMA, table of costs)."""
    num_experts: int = 9
    """Most prompts of other clients; 9, which with the own one are the paper's 10 experts."""
    choice: Choice = Choice.nearest
    """Whose prompts: `nearest` to the client's own last one, in L2 (the paper), or `random`, an
    order of the others that is drawn once per client (released code)."""
    gate_width: int = 128
    """Coordinates that the gate sees of a feature, all of them where it has fewer; 128 (paper)."""
    heads: int = 8
    """Heads of the gate; 8 (paper)."""
    scaling: float = 10.0
    """Factor on the gate's products before the softmax, in place of the usual 1 / sqrt(width of a
    head); 10 (released code)."""
    local_weight: float = 0.5
    """Weight lambda of the own prompt's logits; 0.5 (paper)."""
    gate_lr_scale: float = 5.0
    """Learning rate of the gate over that of the context; 5: 0.01 and 0.002 (released code)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context", "num_experts", "gate_width", "heads")
        for name in ("scaling", "local_weight", "gate_lr_scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"method.{name}: {getattr(self, name)}; set more than 0")


@dataclass(frozen=True)
class Experts:
    """What other clients' prompts come down to while a client trains."""

    present: Tensor  # [G, E] bool
    pooled: Tensor | None  # [G, E, C, d] their class vectors, 0 where absent; None: all absent


@dataclass(frozen=True)
class Mixture:
    """The gate's view of the classes: the own prompt first, then the experts."""

    present: Tensor  # [G, 1 + E] bool
    keys: Tensor  # [G, H, 1 + E, C, d / H]
    values: Tensor  # [G, H, 1 + E, C, d / H]


class PFedMoAP(Method):
    """pFedMoAP: a mixture of one's own prompt and other clients'."""

    name = "pfedmoap"
    Options = PFedMoAPOptions

    def __init__(self, options: PFedMoAPOptions, dims: Dims) -> None:
        self.options = options
        width = min(options.gate_width, dims.embed_dim)
        if dims.embed_dim % width:
            raise ValueError(
                f"method.gate_width: {width} is no divisor of the features' {dims.embed_dim}; "
                "set one that is"
            )
        if width % options.heads:
            raise ValueError(
                f"method.heads: {options.heads} do not divide the gate's width {width}; "
                "set method.heads or method.gate_width"
            )
        self.stride = dims.embed_dim // width
        shapes: dict[str, tuple[int, ...]] = {f"gate.{name}": (width, width) for name in GATE}
        shapes |= {f"gate.{name}.bias": (width,) for name in GATE}
        context = (options.num_context, dims.text_width)
        self.specs = (
            ParamSpec("context", context, normal(0.02), shared=True),
            *(
                ParamSpec(
                    name, shape, torch_linear(width), lr_scale=options.gate_lr_scale, steady=True
                )
                for name, shape in shapes.items()
            ),
        )

    def exchange(
        self, layout: Layout, template: Tensor, seed: int, server: Server | None = None
    ) -> Exchange:
        """Return the pool of prompts."""
        options, shared = self.options, template[layout.num_private :]
        return ExpertPool(shared, options.num_experts, options.choice, seed, server)

    def prepare(self, extra: list[tuple[Upload, ...]], text: ClassText) -> Experts:
        """Run the experts' prompts through the text tower, each once for all who are handed it."""
        present = torch.zeros(len(extra), self.options.num_experts, dtype=torch.bool)
        for own, uploads in zip(present, extra, strict=True):
            own[: len(uploads)] = True
        found = [[self._pooled(upload, text) for upload in uploads] for uploads in extra]
        first = next((pooled for own in found for pooled in own), None)
        if first is None:
            return Experts(present.to(text.clip.device), None)
        absent = torch.zeros_like(first)
        rows = [torch.stack(own + [absent] * (present.shape[1] - len(own))) for own in found]
        return Experts(present.to(text.clip.device), torch.stack(rows))

    def resting(self, prepared: Experts | None, round_index: int) -> dict[str, Tensor]:
        """Leave the gate of a client without experts alone; of no client nothing rests."""
        if prepared is None:
            return {}
        without = ~prepared.present.any(dim=1)
        return {spec.name: without for spec in self.specs if not spec.shared}

    def classes(
        self, params: dict[str, Tensor], prepared: Experts, text: ClassText
    ) -> tuple[Tensor, Mixture | None]:
        """Return the own prompt's class vectors [G, C, D] and what the gate mixes, if anything."""
        own = text.with_context(params["context"])
        if prepared.pooled is None:
            return own, None
        pooled = torch.cat([own[:, None, :, :: self.stride], prepared.pooled], dim=1)
        itself = torch.ones_like(prepared.present[:, :1])
        return own, Mixture(
            torch.cat([itself, prepared.present], dim=1),
            self._heads(pooled, params, "key"),
            self._heads(pooled, params, "value"),
        )

    def logits(
        self,
        params: dict[str, Tensor],
        classes: tuple[Tensor, Mixture | None],
        images: Tensor,
        clip: FrozenCLIP,
    ) -> Tensor:
        """Compare with the own prompt and, where there are experts, with the gate's mixtures."""
        own, mixture = classes
        x = encode(clip, images, self.images)  # [G, B, D]
        local = cosine_logits(x, own, clip.scale)
        if mixture is None:
            return local
        options, pooled = self.options, x[..., :: self.stride]
        query = self._heads(pooled[:, None], params, "query")[:, :, 0]  # [G, H, B, d / H]
        asked = torch.einsum("ghbd,ghecd->ghebc", query, mixture.keys)
        absent = ~mixture.present[:, None, :, None, None]
        weight = (options.scaling * asked).masked_fill(absent, -torch.inf).softmax(dim=2)
        # <x, W_o mix> = <W_o' x, mix>: W_o is applied to images, and not to every class of each.
        back = (pooled @ params["gate.out"]).unflatten(2, (options.heads, -1)).transpose(1, 2)
        answers = torch.einsum("ghbd,ghecd->ghebc", back, mixture.values)
        mixed = (weight * answers).sum(dim=(1, 2)) + pooled @ params["gate.out.bias"][:, :, None]
        alone = ~mixture.present[:, 1:].any(dim=1)[:, None, None]
        return torch.where(alone, local, options.local_weight * local + clip.scale * mixed)

    def representation(
        self,
        params: dict[str, Tensor],
        classes: tuple[Tensor, Mixture | None],
        images: Tensor,
        clip: FrozenCLIP,
    ) -> Tensor:
        """Return the own prompt's class vectors [G, 1, C, D]."""
        return classes[0][:, None]

    def _heads(self, x: Tensor, params: dict[str, Tensor], name: str) -> Tensor:
        """Map features [G, E, N, d] and cut them into heads [G, H, E, N, d / H]."""
        x = x @ params[f"gate.{name}"].mT[:, None] + params[f"gate.{name}.bias"][:, None, None]
        return x.unflatten(3, (self.options.heads, -1)).movedim(3, 1)

    def _pooled(self, upload: Upload, text: ClassText) -> Tensor:
        """Return an expert's class vectors as the gate sees them [C, d].

        One pass for each, kept as long as the upload, for training and for scores (at 50 classes 25
        KiB): its bits then depend on no other expert, cohort or rank.
        """
        if text not in upload.derived:
            context = upload.row.view(1, self.options.num_context, -1).to(text.clip.device)
            upload.derived[text] = text.with_context(context)[0, :, :: self.stride].clone()
        return upload.derived[text]
