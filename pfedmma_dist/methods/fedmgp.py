"""FedMGP (NeurIPS 2025): several pairs of prompts, of which a client sends the two most common.

A client has N groups, each a text prompt and an image prompt as in IVLP, at the input of both
towers alone: n vectors in the places of the first words of "a photo of a <name>.", and k tokens
behind the patches. With t_i the unit class vectors of group i and x_i the unit image vectors,

    loss = mean over i of CE(scale * <x_i, t_i>) - weight * (d(t) + d(x)) / 2
    logits = mean over i of scale * <x_i, t_i>, by which it is scored

where d is the mean, over pairs of groups and over classes or a client's images, of how far they are
apart. `as_paper` pushes them apart, its stated aim; `as_released` adds what is subtracted here, and
pulls them together: all of its distances lose their sign.

When a client has trained it draws s prompts of each tower, one after another and without
replacement, from softmax over i of (max over j of cos(own_i, common_j) / temperature), common_j
being those it was handed; in the first round from all alike. Both towers' draws use the same random
numbers (released code), and mostly fall on the same groups. The server averages what clients drew
first, then what they drew second, weighed by images (unweighted there); it takes their places.

In a row what was drawn last is the shared part, and stands behind the rest; `pair.text` and
`pair.image` say which group a prompt is of. At N = 5, n = k = s = 2 a client of ViT-B/16 trains
12,800 numbers, and sends and receives 5,120. `start` above 0 is ours, and as in IVLP.

What is sent does not go on from what was handed out. So corrections, servers that step along a mean
move or do not wait, and feedback of what compression leaves out are refused; FedProx's term holds
the prompts that were handed out, whichever are sent.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.picking import nearness, picked, refuse_moves
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.methods.fedmgp_options import WORDS, FedMGPOptions
from pfedmma_dist.methods.groups import beside, spread
from pfedmma_dist.methods.method import Method, Values, cosine_logits
from pfedmma_dist.methods.prompted_images import PromptedImages
from pfedmma_dist.methods.prompts import embedded
from pfedmma_dist.methods.share import Share
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import Layout, ParamSpec, normal
from pfedmma_dist.rng import Key

TOWERS = ("text", "image")


class FedMGP(PromptedImages):
    """FedMGP: pairs of text and image prompts, of which the most common are averaged."""

    name = "fedmgp"
    Options = FedMGPOptions
    representation = Method.representation  # without MOON: what is sent is not what was handed

    def __init__(self, options: FedMGPOptions, dims: Dims) -> None:
        super().__init__(options.start, dims)
        shared = options.share is Share.all
        self.options, self.goes_on = options, not shared
        self.words = [] if options.start else WORDS.split()
        common = min(options.num_sent, options.num_groups)
        sizes = {"own": options.num_groups - common, "common": common}
        self.parts = {part: size for part, size in sizes.items() if size}
        of_group = torch.arange(float(options.num_groups))
        specs = []
        for tower, shape, std in (
            ("text", (options.num_context, dims.text_width), 0.01 if self.words else 0.02),
            ("image", (options.num_tokens, dims.vit.width), 0.02),
        ):
            specs.append(
                ParamSpec(f"pair.{tower}", of_group.shape, lambda *_: of_group, lr_scale=0.0)
            )
            for part, size in self.parts.items():
                sent = shared and part == "common"
                specs.append(ParamSpec(f"{tower}.{part}", (size, *shape), normal(std), shared=sent))
        self.specs = tuple(specs)

    def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
        """Return the row [P + S] that every client starts from, the words in each text prompt."""
        row, first = layout.template(seed), self.words[: self.options.num_context]
        if first:
            views = layout.views(row[None])  # adding to them adds to the row
            for part in self.parts:
                views[f"text.{part}"] += embedded(" ".join(first), clip, len(first)).to(row)
        return row

    def exchange(
        self, layout: Layout, template: Tensor, seed: int, server: Server | None = None
    ) -> Exchange:
        """Return the mean, or a centre, of what clients send."""
        if layout.num_shared:
            refuse_moves(server)
        made = super().exchange(layout, template, seed, server)
        assert isinstance(made, Average)
        made.goes_on = self.goes_on
        return made

    def prompts(self, params: dict[str, Tensor], tower: str) -> Tensor:
        """Return the prompts of all groups [G, N, n, W], those drawn last at the end."""
        return torch.cat([params[f"{tower}.{part}"] for part in self.parts], dim=1)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run each group's prompt through the text tower: unit vectors [G, N, C, D]."""
        prompts = self.prompts(params, "text")
        kept = " ".join(self.words[self.options.num_context :])
        vectors = text.prompted({self.options.start: prompts.flatten(0, 1)}, kept)
        return vectors.unflatten(0, prompts.shape[:2])

    def image_vectors(self, params: dict[str, Tensor], classes: Any) -> dict[int, Tensor]:
        """Return the tokens of the image tower: block -> [G * N, k, W], by the texts' groups."""
        prompts = self.prompts(params, "image")
        prompts = beside(prompts, params["pair.image"], params["pair.text"])
        return {self.options.start: prompts.flatten(0, 1)}

    def see(self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP) -> Tensor:
        """Run the images with each group's tokens: unit vectors [G, N, B, D]."""
        each = images.repeat_interleave(self.options.num_groups, dim=0)
        seen = super().see(params, classes, each, clip)
        return seen.unflatten(0, (-1, self.options.num_groups))

    def logits(
        self, params: dict[str, Tensor], classes: Any, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the mean logits [G, B, C] of the groups."""
        return cosine_logits(images, classes, clip.scale).mean(dim=1)

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return what the groups' own cross-entropies are above that of their mean logits, and the
        diversity [G]."""
        each = cosine_logits(step.seen, classes, step.text.clip.scale).unbind(dim=1)
        alone = torch.stack([step.cross_entropy(logits) for logits in each]).mean(dim=0)
        distance, sign = self.options.distance, self.options.diversity.value
        apart = spread(classes, distance).mean(dim=1) + step.mean(spread(step.seen, distance))
        term = sign * self.options.weight * apart / 2
        return alone - step.cross_entropy(step.logits) + term

    def pick(self, before: Values, after: Values, places: Values, keys: Sequence[Key]) -> None:
        """Put the prompts that a client draws where they are sent from, in the order of draws."""
        for tower in TOWERS if self.options.share is Share.all else ():
            each = zip(self.prompts(after, tower), before[f"{tower}.common"], keys, strict=True)
            drawn = [self.drawn(*client) for client in each]
            kept = [sorted({*range(self.options.num_groups)} - {*sent}) for sent in drawn]
            ordered = [first + last for first, last in zip(kept, drawn, strict=True)]
            order = torch.tensor(ordered, device=places[f"pair.{tower}"].device)  # [G, N]
            moved = torch.take_along_dim(self.prompts(places, tower), order[..., None, None], dim=1)
            for part, at in zip(
                self.parts, moved.split([*self.parts.values()], dim=1), strict=True
            ):
                places[f"{tower}.{part}"].copy_(at)
            places[f"pair.{tower}"].copy_(places[f"pair.{tower}"].gather(1, order))

    def drawn(self, own: Tensor, common: Tensor, key: Key) -> list[int]:
        """Return which of its prompts [N, n, W] a client sends that was handed [s, n, W]."""
        uniform, first = key.generator("groups").random(len(common)), key.round_index == 0
        near = np.zeros(len(own)) if first else nearness(own, common)
        return picked(near, 1.0 if first else self.options.temperature, uniform)
