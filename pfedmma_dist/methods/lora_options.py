"""Options of LoRA: where its terms stand, how wide they are, what of them is trained and sent."""

from dataclasses import dataclass
from enum import Enum

from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.inside import check_projections
from pfedmma_dist.methods.merging import Merge
from pfedmma_dist.methods.method import at_least_one


class FactorShare(Enum):
    """Which of the two matrices cross the network."""

    all = ("A", "B")
    A = ("A",)
    none = ()


class Train(Enum):
    """Which of the two matrices are trained."""

    both = "both"
    B = "B"
    alternate = "alternate"


class Form(Enum):
    """What stands in place of a frozen matrix."""

    added = "added"
    decomposed = "decomposed"


class Scaling(Enum):
    """What alpha is divided by."""

    r = 1.0
    sqrt_r = 0.5


@dataclass(kw_only=True)
class LoRAOptions:
    """Options of LoRA."""

    blocks: int = 3
    """Top blocks of both towers with low-rank terms; 3 as pFedMMA's adapters, 12 (CLIP-LoRA)."""
    rank: int = 8
    """Width r of a term; 8 is customary (Alpaca-LoRA, FedSA-LoRA), 2 (CLIP-LoRA)."""
    ranks: list[int] | None = key(None, since=1)
    """A rank per client in place of `rank`: client k has ranks[k mod n], of a list of n."""
    alpha: float = 16.0
    """The term is scaled by alpha / rank; 16 is customary with rank 8, 1 (CLIP-LoRA)."""
    projections: str = "qv"
    """Which matrices of the attention have a term: letters of q, k, v and o (queries, keys, values,
    output); q and v (LoRA), q, k and v (CLIP-LoRA)."""
    share: FactorShare = FactorShare.all
    """What is averaged: `all` that is trained (FedIT), `A` (FedSA-LoRA), `none` nothing (local
    LoRA)."""
    train: Train = key(Train.both, since=1)
    """`both` A and B; `B` alone, A staying as it was drawn for all clients (FFA-LoRA); or
    `alternate`: B in odd rounds, A in even ones, while the other rests (RoLoRA)."""
    scaling: Scaling = key(Scaling.r, since=1)
    """Scale of a term: `r` alpha / rank (LoRA), `sqrt_r` alpha / sqrt(rank) (CLIP-LoRA)."""
    form: Form = key(Form.added, since=1)
    """What stands in place of W: `added`, W + s B A; `decomposed`, m (W + s B A) / |W + s B A|,
    with a trained length m for each output (DoRA)."""
    dropout: float = key(0.0, since=1)
    """Share of a term's inputs that a step of training does without; 0.25 (CLIP-LoRA)."""
    merge: Merge = key(Merge.none, since=1)
    """What a round makes of A and B: `none`, their means; `residual`, and what their product lacks
    of the mean product is added to the frozen matrices (FedEx-LoRA); `product`, all of the mean
    product is added, and they start anew (FLoRA); `norm`, means weighted by |B A| (HetLoRA); `svd`,
    the factors nearest to the mean product (FlexLoRA)."""

    def __post_init__(self) -> None:
        at_least_one(self, "blocks", "rank")
        if self.train is not Train.both and self.share is FactorShare.A:
            raise ValueError(
                f"method.share: A is averaged, and with method.train={self.train.value} it is "
                f"{'never trained' if self.train is Train.B else 'so in every other round alone'}; "
                "set method.share=all, or method.train=both"
            )
        if self.merge is not Merge.none and not self._is_whole:
            raise ValueError(
                f"method.merge: {self.merge.value} is about A and B that are both trained and "
                "averaged; set method.train=both and method.share=all, or method.merge=none"
            )
        self._check_ranks()
        plain = (Train.both, Merge.none, None, 0.0)
        if self.form is not Form.added and (
            (self.train, self.merge, self.ranks, self.dropout) != plain
        ):
            raise ValueError(
                f"method.form: {self.form.value} is about A and B that are trained together, and "
                "neither merged, nor dropped, nor of a rank per client; set method.train=both, "
                "method.merge=none, method.dropout=0 and method.ranks=null, or method.form=added"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"method.dropout: {self.dropout}; set 0 or more, below 1")
        if not self.alpha > 0:
            raise ValueError(f"method.alpha: {self.alpha}; set a positive scale, such as 16")
        check_projections(self.projections)

    @property
    def all_ranks(self) -> tuple[int, ...]:
        """Return the ranks that are dealt over clients, one if all have the same."""
        return tuple(self.ranks or [self.rank])

    @property
    def _is_whole(self) -> bool:
        """Whether A and B are both trained and averaged."""
        return (self.train, self.share) == (Train.both, FactorShare.all)

    def _check_ranks(self) -> None:
        """Refuse ranks of clients that are none, or that fit nothing else."""
        if self.ranks is None:
            return
        if not self.ranks or min(self.ranks) < 1:
            raise ValueError(
                f"method.ranks: {self.ranks}; write some of 1 and more, as in [4,8,12]"
            )
        if self.rank not in (LoRAOptions.rank, max(self.ranks)):
            raise ValueError(
                f"method.rank: {self.rank}, and method.ranks, which stands in its place, has "
                f"{max(self.ranks)} as its largest; set method.rank={max(self.ranks)}"
            )
        if not self._is_whole:
            raise ValueError(
                f"method.ranks: {self.ranks}, ranks of clients are about A and B that are both "
                "trained and averaged; set method.train=both and method.share=all"
            )
        if self.merge is Merge.residual:
            raise ValueError(
                f"method.merge: residual adds up with means that no client with less than the "
                f"largest of method.ranks={self.ranks} has; set product, norm or svd"
            )
