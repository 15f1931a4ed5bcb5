"""ProDA (Lu et al., CVPR 2022), averaged by FedAvg: a distribution of prompts.

K contexts of n vectors, with the class name behind, amid or in front of them. With t_kc the unit
class vector of prompt k, m_c their mean over k and S_cc' = 1 / (K + 1) sum_k (t_kc - m_c)
(t_kc' - m_c')', the loss of an image x of class y is an upper bound of the cross-entropy expected
over the Gaussian of these means and covariances (section 3.3),

    CE(scale <x, m_c> + scale^2 / 2  sum_d x_d^2 (S_cc + S_yy - 2 S_cy)_dd)
    + weight * mean over pairs of prompts, without a name in them, of |cosine|

of the K prompts drawn for a step; the pairs are of all. Steps draw from one permutation of the
prompts until too few are left in it. Scored with the mean of all, which is not normalised again. At
the defaults and width 512 a client trains, sends and receives 32 * 16 * 512 = 262,144 numbers.

The paper's code was never released. FLiP's copy puts every name behind its context and takes one
prompt of one, where the second and third term are 0: CoOp. Without MOON: a step sees a draw of the
prompts and not what the term would compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.carry import sent
from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.method import Method, at_least_one, cosine_logits, encode
from pfedmma_dist.methods.share import Share
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import ParamSpec, normal
from pfedmma_dist.rng import Key


@dataclass(kw_only=True)
class ProDAOptions:
    """Options of ProDA."""

    num_context: int = 16
    """Context vectors of each prompt; 16 (paper)."""
    num_front: int = 8
    """Prompts with the class name in front of their context; 8 (paper)."""
    num_middle: int = 8
    """Prompts with the class name amid their context; 8 (paper)."""
    num_end: int = 16
    """Prompts with the class name behind their context, as CoOp's; 16 (paper)."""
    num_drawn: int = 4
    """Prompts that a training step runs; 4 (paper)."""
    weight: float = 1.0
    """Weight of the cosines between prompts without a name; 1 (FLiP)."""
    share: Share = Share.all
    """`all` averages the prompts; `none` trains each client's alone (local ProDA)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context", "num_drawn")
        for name in ("num_front", "num_middle", "num_end", "weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"method.{name}: {getattr(self, name)}; set 0 or more")
        if self.num_drawn > self.num_prompts:
            raise ValueError(
                f"method.num_drawn: {self.num_drawn} of the {self.num_prompts} prompts of "
                "num_front, num_middle and num_end; set as many or fewer"
            )

    @property
    def num_prompts(self) -> int:
        """K."""
        return self.num_front + self.num_middle + self.num_end


class ProDA(Method):
    """ProDA: many prompts, of which each class is a Gaussian, averaged by FedAvg."""

    name = "proda"
    Options = ProDAOptions

    def __init__(self, options: ProDAOptions, dims: Dims) -> None:
        self.options, num_context = options, options.num_context
        counts = options.num_front, options.num_middle, options.num_end
        self.before = np.repeat([0, num_context // 2, num_context], counts)  # vectors, [K]
        shape = (options.num_prompts, num_context, dims.text_width)
        shared = options.share is Share.all
        self.specs = (ParamSpec("prompts", shape, normal(0.02), shared=shared),)

    def draw(self, prepared: Any, keys: Sequence[Key]) -> np.ndarray | None:
        """Return which prompts a step of each client runs [G, num_drawn]; None: all."""
        count, every = self.options.num_drawn, self.options.num_prompts
        if count == every:
            return None
        drawn = []
        for key in keys:
            turn = key.step % (every // count)
            permuted = replace(key, step=key.step - turn).generator("prompts").permutation(every)
            drawn.append(permuted[turn * count :][:count])
        return np.stack(drawn)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Run the prompts, in scores all of them, through the text tower: [G, K, C, D]."""
        prompts = params["prompts"]
        every = np.tile(np.arange(len(self.before)), (len(prompts), 1))
        drawn = every if prepared is None else prepared
        before, vectors, places = self.before[drawn], [], []
        for count in np.unique(before).tolist():  # prompts with the name at one place at a time
            found = np.nonzero(before == count)
            client, which = (sent(x, prompts.device) for x in (found[0], drawn[found]))
            chosen = prompts[client, which]
            vectors.append(text.with_context(chosen, count))
            places.append(np.ravel_multi_index(found, before.shape))
        order = sent(np.argsort(np.concatenate(places)), prompts.device)
        return torch.cat(vectors)[order].unflatten(0, before.shape)

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Compare the images with the mean of the prompts: [G, B, C]."""
        return cosine_logits(encode(clip, images, self.images), classes.mean(dim=1), clip.scale)

    def penalty(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return what the spread adds to the cross-entropy, and the cosines [G]."""
        clip = step.text.clip
        images = encode(clip, step.images, self.images)
        spread = clip.scale**2 / 2 * variance(images, classes, step.labels)
        bound = step.cross_entropy(step.logits + spread) - step.cross_entropy(step.logits)
        prompts = params["prompts"]
        nameless = step.text.without_name(prompts.flatten(0, 1)).unflatten(0, prompts.shape[:2])
        cosines = (nameless @ nameless.mT).abs().triu(1).sum(dim=(1, 2))
        pairs = max(1, prompts.shape[1] * (prompts.shape[1] - 1) // 2)
        return bound + self.options.weight * cosines / pairs


def variance(
    images: Tensor,  # [G, B, D] unit vectors
    classes: Tensor,  # [G, K, C, D] class vectors of each prompt
    labels: Tensor,  # [G, B]
) -> Tensor:
    """Return sum_d x_d^2 (S_cc + S_yy - 2 S_cy)_dd of each image and class [G, B, C]: 0 for its
    own class."""
    apart = classes - classes.mean(dim=1, keepdim=True)
    own = torch.take_along_dim(apart, labels[:, None, :, None], dim=2)  # [G, K, B, D]
    square = images.square()
    of_class = square @ apart.square().sum(dim=1).mT  # [G, B, C]
    of_own = (square * own.square().sum(dim=1)).sum(dim=2, keepdim=True)
    both = ((square[:, None] * own) @ apart.mT).sum(dim=1)
    return (of_class + of_own - 2 * both) / (classes.shape[1] + 1)
