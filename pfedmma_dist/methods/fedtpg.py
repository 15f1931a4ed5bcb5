"""FedTPG (Qiu et al., ICLR 2024): a net that reads class names and writes the context, averaged.

With E the unit text vectors of the bare class names [C, D], all of the class set at hand, and n
learned queries Q [n, W],

    O = MultiHead(LN(Q); LN(E), LN(E))                     4 heads, no residual
    h, g = Linear(LN(O))                                   W -> 8 W, two halves
    context = O + Linear(h * GELU(g))                      4 W -> W

is the context of every class, which the text tower then reads as CoOp's. So a class set that nobody
has trained on has a context of its own. At n = 4 and W = D = 512 a client trains, sends and
receives 4,206,080 numbers; a cohort holds as many rows as it has clients, with gradient and
momentum, so set federation.cohort_size=1 or 2.

In its paper each client has classes of its own, from which alone it takes context and softmax, and
the mean of a round counts every client once. Here E is of all classes of the set, the softmax is
over a client's own with federation.softmax=own, and clients weigh as many images as they have.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.gated import block, check_heads, gate, headed, joined, linear, normed
from pfedmma_dist.methods.method import Method, at_least_one
from pfedmma_dist.params import ParamSpec, normal

NAMES_ALONE = ("{}",)
"""The template of a bare class name."""


@dataclass(kw_only=True)
class FedTPGOptions:
    """Options of FedTPG."""

    num_context: int = 4
    """Context vectors before the class name; 4 (paper)."""
    heads: int = 4
    """Heads of the attention over the class names; 4 (released code)."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_context", "heads")


class FedTPG(Method):
    """FedTPG: a text context that a net writes for the class names at hand, averaged by FedAvg."""

    name = "fedtpg"
    Options = FedTPGOptions

    def __init__(self, options: FedTPGOptions, dims: Dims) -> None:
        self.heads, width = options.heads, dims.text_width
        check_heads(options.heads, width)
        asked = (options.num_context, width)
        self.specs = (
            ParamSpec("asked", asked, normal(0.02), shared=True),
            *block(width, dims.embed_dim),
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        """Write the context of these names and run the prompts through the text tower."""
        return text.with_context(self.context(params, text.ensemble(NAMES_ALONE)))

    def representation(
        self, params: dict[str, Tensor], classes: Tensor, images: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Return the class vectors [G, 1, C, D]."""
        return classes[:, None]

    def context(self, params: dict[str, Tensor], names: Tensor) -> Tensor:
        """Return the context [G, n, W] for the unit vectors of class names [C, D]."""
        asked = normed(params, "norm_asked", params["asked"])
        read = normed(params, "norm_names", names.expand(len(asked), -1, -1))
        query = headed(params, "query", asked, self.heads)
        key, value = (headed(params, which, read, self.heads) for which in ("key", "value"))
        share = (query @ key.mT / query.shape[3] ** 0.5).softmax(dim=3)
        found = joined(params, share @ value)  # [G, n, W]
        return found + linear(params, "down", gate(params, found))
