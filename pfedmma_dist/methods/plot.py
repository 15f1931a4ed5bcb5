"""PLOT (Chen et al., ICLR 2023), averaged by FedAvg: N prompts share the patches of an image.

It is balanced optimal transport between N prompts, 1 / N each, and M patches, 1 / M each, as FedOTP
has it in `sinkhorn`, and all prompts are common (method.num_own=0):

    logit = scale * sum over m, k of T[m, k] <v_m, t_k>    (+ scale * <x, t> where `pooled`)

with T [M, N] the entropic plan of an image and a class, a constant for the gradient, x the unit
vector of the whole image and t the mean of a class's vectors under the N prompts, as the text tower
leaves them, brought to length 1. At N = 4, n = 16 and width 512 a client trains, sends and receives
32,768 numbers.

The paper's tower is a ResNet-50; here, as in FedOTP, patches are those of a ViT. The released code
stops all problems of a batch together; here a problem stops for itself (methods/transport.py). It
adds the second term on ImageNet alone, by the data set's name; here it is an option.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.model import FINAL, PATCHES, Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.fedotp import FedOTP, FedOTPOptions
from pfedmma_dist.methods.method import at_least_one, cosine_logits, encode
from pfedmma_dist.methods.prompts import all_prompts
from pfedmma_dist.methods.share import CommonShare, Share
from pfedmma_dist.methods.transport import Transport, transported


@dataclass(kw_only=True)
class PLOTOptions:
    """Options of PLOT."""

    num_context: int = 16
    """Context vectors of each prompt; 16 (released scripts)."""
    num_prompts: int = 4
    """Prompts; 4 (paper)."""
    eps: float = 0.1
    """Entropic regularisation, in units of cosine similarity; 0.1 (released code)."""
    max_iter: int = 100
    """Iterations, all of which are run; 100 (released code)."""
    threshold: float = 1e-2
    """Mean absolute change of u below which a problem keeps its plan; 1e-2 (released code), 0
    never."""
    share: Share = Share.all
    """`all` averages the prompts; `none` trains each client's alone (local PLOT)."""
    pooled: bool = key(False, since=1)
    """Add the logits of the whole image and the mean of the prompts (released code, on ImageNet
    alone)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_prompts")
        self.transport()

    def transport(self) -> FedOTPOptions:
        """Return what it is as FedOTP."""
        return FedOTPOptions(
            num_context=self.num_context,
            ot=Transport.sinkhorn,
            eps=self.eps,
            max_iter=self.max_iter,
            threshold=self.threshold,
            share=CommonShare.common if self.share is Share.all else CommonShare.none,
            num_common=self.num_prompts,
            num_own=0,
        )


class PLOT(FedOTP):
    """PLOT: several prompts, matched with the patches by optimal transport and averaged."""

    name = "plot"
    Options = PLOTOptions
    first_round_all = False

    def __init__(self, options: PLOTOptions, dims: Dims) -> None:
        super().__init__(options.transport(), dims)
        self.pooled = options.pooled
        self.images = (PATCHES, FINAL) if options.pooled else PATCHES

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Return the vectors of all prompts, and where pooled that of their mean behind them:
        [G, N or N + 1, C, D]."""
        if not self.pooled:
            return super().classes(params, prepared, text)
        vectors = all_prompts(params, text, unit=False)
        both = torch.cat([vectors, vectors.mean(dim=1, keepdim=True)], dim=1)
        return F.normalize(both, dim=-1)

    def logits(
        self, params: dict[str, Tensor], classes: Tensor, images: Any, clip: FrozenCLIP
    ) -> Tensor:
        """Transport the patches to the prompts, and where pooled add the whole image: [G, B, C]."""
        if not self.pooled:
            return super().logits(params, classes, images, clip)
        patches, whole = encode(clip, images[0], PATCHES), encode(clip, images[1], FINAL)
        matched = transported(classes[:, :-1], patches, clip.scale, self.options)
        return matched + cosine_logits(whole, classes[:, -1], clip.scale)
