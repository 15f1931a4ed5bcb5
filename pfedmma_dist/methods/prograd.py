"""ProGrad (Zhu et al., ICCV 2023), averaged by FedAvg: steps that zero-shot CLIP does not mind.

One context of n vectors is trained by cross-entropy. Of its gradient a, what points against the
gradient b of the distillation of zero-shot CLIP (prompts of data.template),

    KD = - T^2 * mean over images of  sum over classes of  p0_c log p_c
         with p and p0 the softmax of the logits over T, ours and zero-shot CLIP's
    a <- a - strength * min(<a, b>, 0) / |b|^2 * b          for each client and trained tensor

is taken out; where the two agree, a stays as it is, and b is no part of a step. At n = 16 and width
512 a client trains, sends and receives 8,192 numbers. A context that starts as the template's own
words begins where KD is least: b is rounding noise there.

FLiP's "ProGrad" adds KD to the loss and projects nothing.
"""

from dataclasses import dataclass

from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.prompts import OnePrompt, check_words
from pfedmma_dist.methods.share import Share
from pfedmma_dist.methods.step import Step, among


@dataclass(kw_only=True)
class ProGradOptions:
    """Options of ProGrad."""

    num_context: int = 16
    """Context vectors before the class name; 16 (paper)."""
    ctx_init: str | None = None
    """Words that the context starts as, each of one token, in place of num_context draws from
    N(0, 0.02^2); "a photo of a" in the released scripts."""
    temperature: float = 1.0
    """T of both softmaxes of the distillation; 1 (paper)."""
    strength: float = 1.0
    """Lambda: how much of what points against the distillation is taken out; 1 (paper), 0 nothing
    (PromptFL)."""
    share: Share = Share.all
    """`all` averages the context; `none` trains each client's alone (local ProGrad)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context")
        check_words(self.ctx_init)
        if not self.temperature > 0:
            raise ValueError(f"method.temperature: {self.temperature}; set more than 0, such as 1")
        if not self.strength >= 0:
            raise ValueError(f"method.strength: {self.strength}; set 0 or more, such as 1")


class ProGrad(OnePrompt):
    """ProGrad: a learned context, whose steps yield to zero-shot CLIP's answers."""

    name = "prograd"
    Options = ProGradOptions

    def __init__(self, options: ProGradOptions, dims: Dims) -> None:
        super().__init__(options, dims, options.ctx_init)
        self.yields = options.strength

    def against(self, params: dict[str, Tensor], classes: Tensor, step: Step) -> Tensor:
        """Return the distillation [G] of zero-shot CLIP."""
        heat = self.options.temperature

        def softened(logits: Tensor) -> Tensor:  # what is masked may have left the finite numbers
            return among(step.own, logits / heat).log_softmax(dim=2)

        taught, said = softened(step.zero_shot()).exp(), softened(step.logits)
        return -(heat**2) * step.mean((taught * said).sum(dim=2))
