"""FedCLIP (Lu et al., IEEE Data Engineering Bulletin 2023): a gate on the image feature, averaged.

The towers and the class prompts stay as they are; the image feature f [D] is weighted by an
attention over its own coordinates before it is compared,

    gate = softmax(W2 tanh(W1 f + b1) + b2)                D -> D -> D
    logits = scale * <f * gate / |f * gate|, class>

which is trained by all clients and averaged by FedAvg: 2 (D^2 + D) = 525,312 numbers at D = 512.
The published code trains with Adam (lr 5e-5, configs/method/fedclip.yaml) on CLIP's loss inside the
batch, where two images of one class count as each other's negatives; here it is the cross-entropy
over all classes, as for every method.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.share import Share
from pfedmma_dist.params import ParamSpec, torch_linear


@dataclass(kw_only=True)
class FedCLIPOptions:
    """Options of FedCLIP."""

    share: Share = Share.all
    """`all` averages the gate (the method); `none` trains each client's alone."""
    feature_norm: float = 10.0
    """Length of the feature that the gate reads. The published code takes CLIP's feature before it
    is made a unit vector, whose length is of this order and differs little between images; the
    cached feature is the unit vector."""

    def __post_init__(self) -> None:
        if not self.feature_norm > 0:
            raise ValueError(f"method.feature_norm: {self.feature_norm}; set a length, such as 10")


class FedCLIP(Method):
    """FedCLIP: an attention over the coordinates of the image feature, averaged by FedAvg."""

    name = "fedclip"
    Options = FedCLIPOptions
    neutral = ("second",)

    def __init__(self, options: FedCLIPOptions, dims: Dims) -> None:
        self.feature_norm = options.feature_norm
        width, shared = dims.embed_dim, options.share is Share.all
        shapes = {"first": (width, width), "first.bias": (width,)}
        shapes |= {"second": (width, width), "second.bias": (width,)}
        self.specs = tuple(
            ParamSpec(name, shape, torch_linear(width), shared=shared)
            for name, shape in shapes.items()
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Return the untouched CLIP's class vectors [1, C, D]."""
        return text.plain[None]

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Compare the images, as this client's gate weighs them, with the classes: [G, B, C]."""
        return cosine_logits(self._gated(params, images, clip), classes, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the gated image vectors [G, B, 1, D]."""
        return self._gated(params, images, clip)[:, :, None]

    def _gated(self, params: dict[str, Tensor], images: Tensor, clip: FrozenCLIP) -> Tensor:
        """Weigh the image features by this client's gate: unit vectors [G, B, D]."""
        feature = encode(clip, images, self.images)  # [G, B, D]
        x = self.feature_norm * feature @ params["first"].mT + params["first.bias"][:, None]
        x = torch.tanh(x) @ params["second"].mT + params["second.bias"][:, None]
        return F.normalize(x.softmax(dim=2) * feature, dim=2)
