"""Class means and one-shot GDA: a classifier of frozen images that is counted, not trained.

Clients send exact sums once; the server adds them up and hands out a classifier beside zero-shot,

    logits_c = scale <x, z_c> + alpha scale <x, mean_c / |mean_c|>            class means
    logits_c = scale <x, z_c> + alpha (<W_c, x> + b_c)                        GDA

with GDA from CLIP-GDA (Wang et al., A Hard-to-Beat Baseline, ICLR 2024): one Gaussian per class, of
one covariance S for all,

    W_c = P mean_c      b_c = log pi_c - <mean_c, P mean_c> / 2      P = D ((N - 1) S + tr(S) I)^-1

of N images x [D]. Means and W are taken from the mean of all images, which moves all logits of an
image alike; a class that nobody has sent yet is there, and pi_c = (n_c + 1) / (N + C). Where the
round of a client has come, it sends n_c and the sum of x of each class, and for GDA the sum of x x'
(its upper triangle): C D + C + D (D + 1) / 2 = 156,978 numbers at 50 classes and D = 512; later it
sends nothing. An image is seen once, in its centre crop (with data.views=V the first of them). On
classes that nobody trains on the zero-shot part stands alone.

**Why the sums are exact.** A coordinate is rounded to a multiple of 2^-20 before any sum. As whole
numbers these are at most 2^20 (x is a unit vector), their products at most 2^40, and all sums over
2^12 images stay below 2^53, where float64 adds whole numbers without rounding in any order: one
matrix product is exact. What is beyond is added as int64, which holds 2^22 images, whatever D is.
So the sums, and with them the classifier, are bit-equal to those of all images in one place.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.exchange.sums import Sums
from pfedmma_dist.methods.method import Method, cosine_logits, encode
from pfedmma_dist.methods.own_prior import log_prior
from pfedmma_dist.params import Layout, ParamSpec, zeros
from pfedmma_dist.world import LIMIT

STEPS = float(2**20)
"""Of a coordinate between 0 and 1."""
AT_ONCE = 2**12
"""Images whose products are summed in float64, a factor of 2 below where that rounds."""


class Prior(Enum):
    """Whose class frequencies a classifier takes for the prior."""

    pooled = "pooled"
    own = "own"


@dataclass(kw_only=True)
class ClassMeansOptions:
    """Options of the class means."""

    alpha: float = 1.0
    """Weight of the images' logits beside zero-shot; chosen on validation, never on test."""

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"method.alpha: {self.alpha}; set a positive weight, such as 1")


@dataclass(kw_only=True)
class GDAOptions(ClassMeansOptions):
    """Options of one-shot GDA."""

    prior: Prior = Prior.pooled
    """`pooled` takes pi_c from all images; `own` from the client's, who keeps it to itself."""


class ClassMeans(Method):
    """Class means: each class's mean image beside its prompt, from sums that are sent once."""

    name = "class_means"
    Options: ClassVar[type] = ClassMeansOptions
    neutral: tuple[str, ...] = ("weight",)
    counts = True
    most_images = 2**22

    def __init__(self, options: ClassMeansOptions, dims: Dims, num_classes: int = 50) -> None:
        self.alpha, self.num_classes, self.width = options.alpha, num_classes, dims.embed_dim
        self.specs: tuple[ParamSpec, ...] = (
            ParamSpec("weight", (num_classes, dims.embed_dim), zeros, shared=True),
        )

    def exchange(
        self, layout: Layout, template: Tensor, seed: int, server: Server | None = None
    ) -> Exchange:
        """Return the sums of all clients."""
        if server is not None and (server.sees_uploads or not server.plain):
            raise ValueError(
                f"server.name: clients of {self.name} send sums, of which the server takes no mean "
                "to step to; set server.name=average and server.lr=1, and no server.rule"
            )
        nothing = torch.zeros(0, self.width), torch.zeros(0, dtype=torch.int64)
        num_sums = len(self.statistics(*nothing))
        return Sums(template[layout.num_private :], num_sums, self.classifier)

    def statistics(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return n_c [C] and the sums of images [n, D] by class [C, D] in steps of 2^-20."""
        sums = torch.zeros(self.num_classes, self.width, dtype=torch.int64)
        sums.index_add_(0, labels, whole(images).long())
        return torch.cat([torch.bincount(labels, minlength=self.num_classes), sums.flatten()])

    def classifier(self, sums: Tensor) -> Tensor:
        """Return what is shared [S] float64 after these sums [Q] over all clients."""
        return F.normalize(self._means(sums)[1], dim=1).flatten()

    def classes(
        self, params: dict[str, Tensor], prepared: Any, text: ClassText
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the untouched class vectors [1, C, D], and the classifier of trained classes."""
        return text.plain[None], params if text.is_trained else {}

    def logits(
        self,
        params: dict[str, Tensor],
        classes: tuple[Tensor, dict[str, Tensor]],
        images: Tensor,
        clip: FrozenCLIP,
    ) -> Tensor:
        """Add the classifier's logits to zero-shot: [G, B, C]."""
        vectors, counted = classes
        final = encode(clip, images, self.images)
        logits = cosine_logits(final, vectors, clip.scale)
        return logits + self.alpha * self.seen(final, counted, clip.scale) if counted else logits

    def seen(self, final: Tensor, counted: dict[str, Tensor], scale: float) -> Tensor:
        """Return the classifier's logits [G, B, C] of unit vectors [G, B, D]."""
        return cosine_logits(final, counted["weight"], scale)

    def _means(self, sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return n_c [C], the means [C, D] and the mean of all images [D], all float64."""
        often, first = sums[: self.num_classes].double(), sums[self.num_classes :]
        total = first[: self.num_classes * self.width].view(self.num_classes, -1).double() / STEPS
        centre = total.sum(dim=0) / often.sum().clamp(min=1)
        means = torch.where(often[:, None] > 0, total / often.clamp(min=1)[:, None], centre)
        return often, means, centre


class GDA(ClassMeans):
    """One-shot GDA: one Gaussian per class beside zero-shot, from sums that are sent once."""

    name = "gda"
    Options: ClassVar[type] = GDAOptions
    neutral: tuple[str, ...] = ("weight", "bias", "prior")

    def __init__(self, options: GDAOptions, dims: Dims, num_classes: int = 50) -> None:
        super().__init__(options, dims, num_classes)
        self.specs += (ParamSpec("bias", (num_classes,), zeros, shared=True),)
        self.own_prior = options.prior is Prior.own
        if self.own_prior:
            self.specs += (ParamSpec("prior", (num_classes,), zeros),)

    def statistics(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return also the upper triangle of the sum of x x', in steps of 2^-40."""
        assert len(images) <= AT_ONCE
        x = whole(images)
        products = (x.mT @ x).long()
        row, column = torch.triu_indices(self.width, self.width)
        return torch.cat([super().statistics(images, labels), products[row, column]])

    def begin(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the client's log prior [C], where it takes its own."""
        often = torch.bincount(labels, minlength=self.num_classes)
        return {"prior": log_prior(often)} if self.own_prior else {}

    def classifier(self, sums: Tensor) -> Tensor:
        """Return W and b [C D + C] float64 after these sums [Q] over all clients."""
        often, means, centre = self._means(sums)
        row, column = torch.triu_indices(self.width, self.width)
        scatter = torch.zeros(self.width, self.width, dtype=torch.float64)
        scatter[row, column] = sums[-len(row) :].double() / STEPS**2
        scatter = scatter + scatter.triu(1).mT - (often[:, None] * means).mT @ means  # N S
        count = often.sum()
        spread = scatter.diagonal().sum() / count  # tr(S)
        if not spread > 1e-9:  # the rounding of 2^12 coordinates
            raise ValueError(self._no_spread(int(count)))
        shrunk = (count - 1) / count * scatter + spread * torch.eye(self.width).double()
        weight = torch.cholesky_solve((means - centre).mT, torch.linalg.cholesky(shrunk)).mT
        weight = self.width * weight
        if not bool((weight.abs() < LIMIT).all()):
            raise ValueError(self._no_spread(int(count)))
        bias = -(weight * (means + centre)).sum(dim=1) / 2
        if not self.own_prior:
            bias = bias + log_prior(often)
        return torch.cat([weight.flatten(), bias])

    def seen(self, final: Tensor, counted: dict[str, Tensor], scale: float) -> Tensor:
        """Return the Gaussians' logits [G, B, C] of unit vectors [G, B, D]."""
        bias = counted["bias"] + counted["prior"] if self.own_prior else counted["bias"]
        return cosine_logits(final, counted["weight"], 1.0) + bias[:, None]

    def _no_spread(self, count: int) -> str:
        return (
            f"method.name: the {count} images that clients have sent do not differ within their "
            f"classes, and {self.name} needs a covariance; raise data.shots, or set "
            "method.name=class_means"
        )


def whole(images: Tensor) -> Tensor:
    """Round unit vectors [n, D] to whole steps of 2^-20: [n, D] float64."""
    found = (images.double() * STEPS).round()
    if not bool((found.abs() <= STEPS + STEPS / 8).all()):  # also False for nan
        raise ValueError("an image feature that is to be counted is no unit vector")
    return found
