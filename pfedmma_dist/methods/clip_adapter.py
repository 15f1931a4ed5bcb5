"""CLIP-Adapter (Gao et al., IJCV 2024): a small net beside the image feature, averaged by FedAvg.

The towers and the class prompts stay as they are. The image feature f [D] is mixed with what two
layers without biases make of it,

    y = ReLU(W2 ReLU(W1 f))                                D -> D / 4 -> D
    logits = scale * <f' / |f'|, class>        f' = ratio y + (1 - ratio) f

At D = 512 a client trains, sends and receives 131,072 numbers. The published code takes f as it is
before it is made a unit vector; both layers being homogeneous, f' is the same up to its length. It
names no optimiser; 1e-5 is the paper's rate (configs/method/clip_adapter.yaml: with Adam).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one, cosine_logits, encode
from pfedmma_dist.methods.share import Share
from pfedmma_dist.params import ParamSpec, torch_linear


@dataclass(kw_only=True)
class CLIPAdapterOptions:
    """Options of CLIP-Adapter."""

    ratio: float = 0.2
    """Weight of the adapter's answer beside the feature; 0.2 (paper, released code)."""
    reduction: int = 4
    """How many times narrower than the feature the adapter is inside; 4 (released code)."""
    share: Share = Share.all
    """`all` averages the adapter; `none` trains each client's alone."""

    def __post_init__(self) -> None:
        at_least_one(self, "reduction")
        if not 0 < self.ratio <= 1:
            raise ValueError(f"method.ratio: {self.ratio}; set one above 0 up to 1, such as 0.2")


class CLIPAdapter(Method):
    """CLIP-Adapter: a bottleneck on the image feature, mixed with it and averaged by FedAvg."""

    name = "clip_adapter"
    Options = CLIPAdapterOptions
    neutral = ("second",)

    def __init__(self, options: CLIPAdapterOptions, dims: Dims) -> None:
        self.ratio = options.ratio
        width, shared = dims.embed_dim, options.share is Share.all
        narrow = width // options.reduction
        if not narrow:
            raise ValueError(
                f"method.reduction: {options.reduction} leaves nothing of the {width} coordinates "
                "of a feature; set 4, say"
            )
        self.specs = (
            ParamSpec("first", (narrow, width), torch_linear(width), shared=shared),
            ParamSpec("second", (width, narrow), torch_linear(narrow), shared=shared),
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Return the untouched CLIP's class vectors [1, C, D]."""
        return text.plain[None]

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Compare the images, as this client's adapter moves them, with the classes: [G, B, C]."""
        return cosine_logits(self._adapted(params, images, clip), classes, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the adapted image vectors [G, B, 1, D]."""
        return self._adapted(params, images, clip)[:, :, None]

    def _adapted(self, params: dict[str, Tensor], images: Tensor, clip: FrozenCLIP) -> Tensor:
        """Mix the image features with the adapter's answer: unit vectors [G, B, D]."""
        feature = encode(clip, images, self.images)  # [G, B, D]
        inner = torch.relu(feature @ params["first"].mT)
        answer = torch.relu(inner @ params["second"].mT)
        return F.normalize(self.ratio * answer + (1 - self.ratio) * feature, dim=2)
