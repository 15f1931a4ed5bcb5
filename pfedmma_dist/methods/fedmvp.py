"""FedMVP (Singha et al., ICCV 2025): image prompts that patches make of class attributes, averaged.

With A the unit vectors of a texts of each class [C a, D], and X the patches of an image as they
are embedded [M, W], before CLIP's first norm,

    V = Linear(A)                                          D -> W
    O = MultiHead(LN(X'); LN(V'), V'')                     4 heads, no residual
    prompts = pool(O + Linear(h * GELU(g)))                of M tokens to 4 (see `gated`)

are appended behind the patches, before the norm. x being the vector of the image with them, the
logit of a class is the mean of s<x, its texts>, and the loss

    CE + 10 (1 - <x, untouched vector of the image, or of its mirror image>)       a coin each step

From round `low_rank_from` on the block rests, and X' = X + X A B, V' and V'' alike, are trained
with V's layer: rank 8, B = 0 at first. At D = 512 and W = 768 a client trains, sends and receives
9,882,624 numbers; a cohort holds as many rows as it has clients, with gradient and momentum, so set
federation.cohort_size=1 or 2.

The texts, published from a language model, are those of `method.attributes`: a JSON file, for the
classes of all class sets. Without it each class has one text, its prompt by data.template. In the
paper a client's attributes and softmax are of its own classes (federation.softmax=own for the
latter), and the mean of a round counts every client once; here attributes are of all classes of the
set, and clients weigh as many images as they have.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.attention import attend
from pfedmma_dist.clip.carry import sent
from pfedmma_dist.clip.model import FINAL, MIRRORED, TOKENS, Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.attributes import read_attributes
from pfedmma_dist.methods.fedmvp_options import FedMVPOptions
from pfedmma_dist.methods.gated import (
    block,
    check_heads,
    gate,
    headed,
    joined,
    layer,
    linear,
    normed,
)
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.step import Step
from pfedmma_dist.methods.towers import need_vit
from pfedmma_dist.params import ParamSpec, normal, zeros
from pfedmma_dist.rng import Key


@dataclass(frozen=True)
class Asked:
    """The class side: what logits compare images with, and what patches read."""

    vectors: Tensor  # [1, C, D] mean of the unit vectors of each class's texts
    key: Tensor  # [G, H, C a, W / H]
    value: Tensor  # the same
    mirrors: Tensor | None  # [G] bool, whom the loss compares with mirror images; None: no step


class FedMVP(Method):
    """FedMVP: image tokens that a net makes of patches and class attributes, averaged by FedAvg."""

    name = "fedmvp"
    Options = FedMVPOptions
    images = (TOKENS, FINAL, MIRRORED)

    def __init__(self, options: FedMVPOptions, dims: Dims) -> None:
        need_vit(f"{self.name} trains inside", dims)
        check_heads(options.heads, dims.vit.width)
        self.options, width = options, dims.vit.width
        file = options.attributes
        self.attributes = None if file is None else read_attributes(Path(file).expanduser())
        self.block, rank = block(width, width), options.rank
        self.terms = tuple(
            ParamSpec(f"{part}.{factor}", shape, init, shared=True)
            for part in ("query", "key", "value")
            for factor, shape, init in (
                ("A", (width, rank), normal(0.02)),
                ("B", (rank, width), zeros),
            )
            if options.low_rank_from is not None
        )
        told = () if self.attributes is None else (self.attributes.digest(),)
        narrow = layer("text", width, dims.embed_dim)
        self.specs = (*narrow, *self.block, *self.terms, *told)

    def check_names(self, names: Collection[str]) -> None:
        """Refuse classes that the file of attributes has nothing of."""
        if self.attributes is not None:
            self.attributes.check(names)

    def resting(self, prepared: Any, round_index: int) -> dict[str, Tensor]:
        """Let the terms rest at first, and the block later."""
        begins = self.options.low_rank_from
        later = bool(self.terms) and begins is not None and round_index >= begins
        rests, all_of_them = self.block if later else self.terms, torch.ones(1, dtype=torch.bool)
        return {spec.name: all_of_them for spec in rests}

    def draw(self, prepared: Any, keys: Sequence[Key]) -> Tensor:
        """Toss each client's coin: whether the step compares with mirror images [G] bool."""
        return torch.tensor([key.generator("mirror").random() < 0.5 for key in keys])

    def classes(self, params: dict[str, Tensor], prepared: Tensor | None, text: ClassText) -> Asked:
        """Return what patches read of the attributes, and the mean attribute of each class."""
        found = self.attributes
        vectors = text.plain[:, None] if found is None else found.vectors(text)  # [C, a, D]
        read = linear(params, "text", vectors.flatten(0, 1)[None])  # [G, C a, W]
        keys = normed(params, "norm_names", self._shifted(params, "key", read))
        key = headed(params, "key", keys, self.options.heads)
        values = self._shifted(params, "value", read)
        value = headed(params, "value", values, self.options.heads)
        return Asked(vectors.mean(dim=1)[None], key, value, prepared)

    def see(
        self,
        params: dict[str, Tensor],
        classes: Asked,
        images: tuple[Tensor, ...],
        clip: FrozenCLIP,
    ) -> Tensor:
        """Run the images with the tokens that their patches make: unit vectors [G, B, D]."""
        prompts = self.prompts(params, classes, images, clip).flatten(0, 1)
        return encode(clip, images[0], TOKENS, prompts=clip.image_prompts({0: prompts}))

    def prompts(
        self,
        params: dict[str, Tensor],
        classes: Asked,
        images: tuple[Tensor, ...],
        clip: FrozenCLIP,
    ) -> Tensor:
        """Return the tokens [G, B, k, W] that the patches of images make."""
        num_images, num_patches = images[0].shape[1], clip.dims.vit.num_patches
        tokens = clip.image_tokens(images[0].flatten(0, 1))[:, 1:]
        patches = tokens.unflatten(0, (-1, num_images)).flatten(1, 2)  # [G, B M, W]
        asked = normed(params, "norm_asked", self._shifted(params, "query", patches))
        query = headed(params, "query", asked, self.options.heads)
        found = joined(params, attend(query, classes.key, classes.value, None))
        pool = _pooling(num_patches, self.options.num_tokens, found)

        def pooled(x: Tensor) -> Tensor:
            return (pool @ x.unflatten(1, (-1, num_patches))).flatten(1, 2)

        # `down` is linear, so it maps k means in place of all patches
        made = pooled(found) + linear(params, "down", pooled(gate(params, found)))
        return made.unflatten(1, (num_images, -1))

    def logits(
        self, params: dict[str, Tensor], classes: Asked, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return logits [G, B, C] of unit vectors [G, B, D]: means over the texts of a class."""
        return cosine_logits(images, classes.vectors, clip.scale)

    def penalty(self, params: dict[str, Tensor], classes: Asked, step: Step) -> Tensor:
        """Return the weighted distance [G] to what the untouched CLIP sees."""
        _, *untouched = step.images
        clip, kinds = step.text.clip, self.images[1:]
        plain, mirrored = (encode(clip, *pair) for pair in zip(untouched, kinds, strict=True))
        assert classes.mirrors is not None, "drawn at each step"
        mirrors = sent(classes.mirrors, plain.device)
        target = torch.where(mirrors[:, None, None], mirrored, plain)
        return self.options.consistency * step.mean(1 - (step.seen * target).sum(dim=2))

    def representation(
        self,
        params: dict[str, Tensor],
        classes: Asked,
        images: tuple[Tensor, ...],
        clip: FrozenCLIP,
    ) -> Tensor:
        """Return the image vectors [G, B, 1, D]."""
        return self.see(params, classes, images, clip)[:, :, None]

    def _shifted(self, params: dict[str, Tensor], part: str, x: Tensor) -> Tensor:
        """Add the low-rank term of a part to tokens [G, n, W]."""
        return x + x @ params[f"{part}.A"] @ params[f"{part}.B"] if self.terms else x


def _pooling(num_patches: int, num_tokens: int, like: Tensor) -> Tensor:
    """Return [k, M] of means over neighbouring patches, as torch's adaptive pooling takes them: its
    gradient on a GPU has no fixed order of sums, a product's has."""
    token = torch.arange(num_tokens, device=like.device)[:, None]
    patch = torch.arange(num_patches, device=like.device)
    begins = patch >= token * num_patches // num_tokens
    inside = (begins & (patch * num_tokens < (token + 1) * num_patches)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)
