"""PLOT (Chen et al., ICLR 2023), averaged by FedAvg: N prompts share the patches of an image.

It is balanced optimal transport between N prompts, 1 / N each, and M patches, 1 / M each, as FedOTP
has it in `sinkhorn`, and all prompts are common (method.num_own=0):

    logit = scale * sum over m, k of T[m, k] <v_m, t_k>

with T [M, N] the entropic plan of an image and a class, a constant for the gradient. At N = 4,
n = 16 and width 512 a client trains, sends and receives 32,768 numbers.

The paper's tower is a ResNet-50; here, as in FedOTP, patches are those of a ViT. The released code
stops all problems of a batch together, and adds the logits of mean vectors on ImageNet alone; here
a problem stops for itself (see FedOTP), and nothing is added.
"""

from dataclasses import dataclass

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.methods.fedotp import FedOTP, FedOTPOptions, Transport
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.share import CommonShare, Share


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
