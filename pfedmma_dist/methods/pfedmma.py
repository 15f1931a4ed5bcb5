"""pFedMMA (ICLR 2026): personal adapters beside both towers, joined by a projection that is shared.

Beside each of the top blocks of both encoders, with x the block's input,

    h   = ln_1(x)                                      the block's own frozen norm
    y   = alpha * Up(relu(Shared(relu(Down(h)))))      d -> r -> r -> d
    out = Block(x) + y

Down and Up belong to one tower and one block and stay with the client; Shared is one matrix per
block, used by *both* towers, and alone crosses the network: 3 x 32 x 32 = 3,072 numbers at the
paper's sizes. The formula of the paper leaves out ln_1 and the inner relu; MMA (Yang et al., CVPR
2024) and the released code have both. There the branch sits between two layers that scale its
gradients, so that its parameters move as if alpha were 1 while the gradient that flows on is the
true one; the same is had by multiplying the parameters' gradients by 1 / alpha
(`ParamSpec.grad_scale`).
"""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.clip.tower import Branch
from pfedmma_dist.methods.method import Method, at_least_one, cosine_logits, encode
from pfedmma_dist.methods.towers import top_blocks
from pfedmma_dist.params import ParamSpec, kaiming_fan_out, zeros


class AdapterShare(Enum):
    """Which adapter matrices cross the network."""

    shared = ("mix",)
    all = ("down", "mix", "up")
    none = ()
    up_down = ("down", "up")


@dataclass(kw_only=True)
class PFedMMAOptions:
    """Options of pFedMMA."""

    blocks: int = 3
    """Top blocks of both towers with an adapter; 3 (paper), 8 in the released configuration."""
    rank: int = 32
    """Adapter width r; 32 (paper)."""
    alpha: float = 1e-3
    """Scale of the adapter's output; 1e-3 (paper)."""
    bias: bool = False
    """Biases in all three maps, as in the released code; without them the counts are the
    paper's."""
    share: AdapterShare = AdapterShare.shared
    """What is averaged: `shared` the projection (the method), `all` whole adapters (FedAvg of MMA),
    `none` nothing (local MMA), `up_down` all but the projection."""

    def __post_init__(self) -> None:
        at_least_one(self, "blocks", "rank")
        if not self.alpha > 0:
            raise ValueError(f"method.alpha: {self.alpha}; set a positive scale, such as 1e-3")


class PFedMMA(Method):
    """pFedMMA: adapters in both towers, their shared projection averaged."""

    name = "pfedmma"
    Options = PFedMMAOptions
    first_round_all = True
    neutral = ("up",)

    def __init__(self, options: PFedMMAOptions, dims: Dims) -> None:
        self.options = options
        self.image_start, self.text_start = top_blocks(self.name, options.blocks, dims)
        self.images = ImageFeatures(start=self.image_start)
        self.specs = tuple(self._specs(dims))

    def _specs(self, dims: Dims) -> list[ParamSpec]:
        rank, specs = self.options.rank, []
        widths = {"image": dims.vit.width, "text": dims.text_width}
        for level in range(self.options.blocks):  # 0 is the lowest adapted block
            shapes = {f"mix.{level}": (rank, rank)}
            for tower, width in widths.items():
                shapes[f"down.{level}.{tower}"] = (rank, width)
                shapes[f"up.{level}.{tower}"] = (width, rank)
            for name, shape in shapes.items():
                part = name.partition(".")[0]
                shared, scale = part in self.options.share.value, 1.0 / self.options.alpha
                spec = partial(ParamSpec, shared=shared, grad_scale=scale)
                specs.append(spec(name, shape, kaiming_fan_out))
                if self.options.bias:
                    specs.append(spec(f"{name}.bias", shape[:1], zeros))
        return specs

    def adapted(self, level: int) -> int:
        """Return the block of the image tower beside which the adapter of a level stands."""
        assert self.images.start is not None
        return self.images.start + level

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the template prompts with this client's text adapters: [G, C, D]."""
        num_clients = len(params["mix.0"])
        branch = self._branch(params, "text", self.text_start, text.clip.text.dtype)
        return text.branched(branch, self.text_start, num_clients)

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Compare the images, as this client sees them, with the classes: [G, B, C]."""
        return cosine_logits(self._encoded(params, images, clip), classes, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the image vectors [G, B, 1, D]."""
        return self._encoded(params, images, clip)[:, :, None]

    def _encoded(self, params: dict[str, Tensor], images: Tensor, clip: FrozenCLIP) -> Tensor:
        """Run the images with this client's image adapters: [G, B, D]."""
        branch = self._branch(params, "image", self.image_start, clip.text.dtype)
        return encode(clip, images, self.images, branch)

    def _branch(
        self, params: dict[str, Tensor], tower: str, start: int, dtype: torch.dtype
    ) -> Branch:
        """Return the adapters of one tower as a branch of its blocks."""
        params = {
            name: value.to(dtype)
            for name, value in params.items()
            if tower in name or name.startswith("mix.")
        }
        num_clients = len(params["mix.0"])

        def linear(x: Tensor, name: str) -> Tensor:
            x = torch.bmm(x, params[name].mT)  # [G, tokens, in] x [G, in, out]
            return x + params[f"{name}.bias"][:, None] if self.options.bias else x

        def branch(block: int, h: Tensor) -> Tensor:
            level = block - start
            x = h.reshape(num_clients, -1, h.shape[-1])
            x = torch.relu(linear(x, f"down.{level}.{tower}"))
            x = torch.relu(linear(x, f"mix.{level}"))
            return self.options.alpha * linear(x, f"up.{level}.{tower}").view(h.shape)

        return branch
