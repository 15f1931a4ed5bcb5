"""Own images: a client's own training images as keys, whose labels vote; read by whoever keeps one.

    votes_c = sum over keys k of class c of exp(-beta (1 - <image, k>))

as Tip-Adapter (Zhang et al., ECCV 2022) has it. It is a private part of N keys [N, D] and their
values [N], the class + 1 of each: a value of 0 is no key, so that clients of fewer images than N
lie in one cohort with others. No rate moves the values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.params import ParamSpec, zeros

GRID = {
    "beta": tuple(5.5 * step / 20 for step in range(1, 21)),
    "alpha": tuple(3.0 * step / 200 for step in range(1, 201)),
}
"""What is tried on validation images: 200 x 20 values as in the released code, up to the largest
from which its configurations start. Our choice: that they begin next to 0, where all is zero-shot,
and that the 200 are of alpha."""


def parts(num_images: int, width: int, *, trained: bool) -> tuple[ParamSpec, ParamSpec]:
    """Return the private parts of a cache that starts empty."""
    return (
        ParamSpec("keys", (num_images, width), zeros, lr_scale=float(trained)),
        ParamSpec("values", (num_images,), zeros, lr_scale=0.0),
    )


def filled(images: Tensor, labels: Tensor, num_images: int) -> dict[str, Tensor]:
    """Return these parts for a client's images [n, D], unit vectors, and labels [n]."""
    assert len(images) <= num_images, "a client of more images than the largest"
    rest = num_images - len(images)
    return {
        "keys": F.pad(images, (0, 0, 0, rest)),
        "values": F.pad(labels + 1, (0, rest)),
    }


def votes(params: dict[str, Tensor], images: Tensor, beta: float, num_classes: int) -> Tensor:
    """Return what the keys of each client say [G, B, C] of unit vectors [G, B, D]."""
    which = params["values"].round().long().clamp(0, num_classes)  # whole, unless rows were mixed
    near = torch.exp(-beta * (1 - images @ params["keys"].mT))  # [G, B, N]
    near = near.masked_fill((which == 0)[:, None], 0.0)  # wherever what is no key may lie
    return near @ F.one_hot(which, num_classes + 1)[..., 1:].to(near)


def check(alpha: float, beta: float) -> None:
    """Refuse a weight or a sharpness that is not positive."""
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not value > 0:
            raise ValueError(f"method.{name}: {value}; set a positive number, such as 1")
