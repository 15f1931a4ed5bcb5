"""Transport: prompts share the patches of an image by entropic optimal transport.

With v_m the unit vectors of the M patches of an image and t_k those of a class under each of N
prompts,

    s[m, k] = v_m . t_k          K = exp((s - 1) / eps)
    logit   = scale * sum over m, k of T[m, k] s[m, k]

for each image and class. The plan T is a constant for the gradient. `unbalanced`: it spreads the
mass gamma evenly over the prompts and over any patches, 1 / M at most on each,

    T = diag(u) K diag(v)    from v = 1 by    u = min(1 / (M K v), 1),   v = gamma / (N K' u)

`sinkhorn`: no cap on u, and gamma is 1, so every patch gives its 1 / M.

A problem stops for itself: it keeps its u and v from then on, while all run to `max_iter`, so
nothing has to be asked of the device in between.
"""

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from pfedmma_dist.methods.method import at_least_one


class Transport(Enum):
    """How much of its mass every patch has to give."""

    unbalanced = "unbalanced"
    sinkhorn = "sinkhorn"


@dataclass(kw_only=True)
class TransportOptions:
    """How the plans are made."""

    ot: Transport = Transport.unbalanced
    """`unbalanced`: patches may be left out, down to the mass gamma (the method); `sinkhorn`: all
    patches count alike (balanced transport, an ablation of the paper)."""
    gamma: float = 0.8
    """Mass that unbalanced transport moves, 1 being all patches; 0.8 (released scripts, ViT)."""
    eps: float = 0.1
    """Entropic regularisation, in units of cosine similarity; 0.1 (released scripts, ViT)."""
    max_iter: int = 100
    """Iterations, all of which are run; 100 (released code)."""
    threshold: float = 1e-3
    """Mean absolute change of v (of u in `sinkhorn`) below which a problem keeps its plan; 1e-3
    (released code), 0 never."""

    def __post_init__(self) -> None:
        at_least_one(self, "max_iter")
        if not 0 < self.gamma <= 1:
            raise ValueError(f"method.gamma: {self.gamma}; set a mass in (0, 1], such as 0.8")
        if not self.eps > 0:
            raise ValueError(f"method.eps: {self.eps}; set more than 0, such as 0.1")
        if not self.threshold >= 0:
            raise ValueError(f"method.threshold: {self.threshold}; set 0 or more, such as 1e-3")


def transported(
    prompts: Tensor,  # [G, N, C, D] unit vectors
    patches: Tensor,  # [G, B, M, D] unit vectors
    scale: float,
    options: TransportOptions,
) -> Tensor:
    """Transport the patches of every image to the prompts of every class: logits [G, B, C]."""
    similarity = torch.bmm(prompts.flatten(1, 2), patches.flatten(1, 2).mT)
    similarity = similarity.view(*prompts.shape[:3], *patches.shape[1:3])  # [G, N, C, B, M]
    plan = transport_plan(similarity, options)
    return scale * (plan * similarity).sum(dim=(1, 4)).mT


@torch.no_grad()
def transport_plan(
    similarity: Tensor,  # [G, N, C, B, M] cosines
    options: TransportOptions,
) -> Tensor:
    """Return the plans of all clients, classes and images, without gradient: [G, N, C, B, M].

    The kernel is taken relative to its largest entry in each problem, so that a small eps stays
    inside float32; `unit` is that entry.
    """
    capped = options.ot is Transport.unbalanced
    from_patch = 1 / similarity.shape[4]
    to_prompt = (options.gamma if capped else 1) / similarity.shape[1]
    peak = similarity.amax(dim=(1, 4), keepdim=True)  # [G, 1, C, B, 1]
    kernel = (similarity - peak).div_(options.eps).exp_()
    unit = ((peak - 1) / options.eps).exp()

    def scale_patches(v: Tensor) -> Tensor:  # [G, 1, C, B, M]
        u = from_patch / (kernel * v).sum(dim=1, keepdim=True)
        return u.clamp_(max=1) if capped else u

    def scale_prompts(u: Tensor) -> Tensor:  # [G, N, C, B, 1]
        return to_prompt / (kernel * u).sum(dim=4, keepdim=True)

    v = unit if capped else torch.ones_like(unit)  # u is absolute where it is capped
    v = v.expand(-1, similarity.shape[1], -1, -1, -1)
    u = torch.full_like(kernel[:, :1], torch.inf)
    for _ in range(options.max_iter - 1):
        u, before = scale_patches(v), u
        after = scale_prompts(u)
        change = after - v if capped else u - before
        moves = change.abs().mean(dim=(1, 4), keepdim=True) >= options.threshold * unit
        v = torch.where(moves, after, v)  # at rest, every further pass repeats the same u
    u = scale_patches(v)
    v = scale_prompts(u)
    return kernel.mul_(u).mul_(v)
