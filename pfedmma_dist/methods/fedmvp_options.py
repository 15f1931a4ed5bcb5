"""Options of FedMVP."""

from dataclasses import dataclass

from pfedmma_dist.config.meaning import key
from pfedmma_dist.methods.method import at_least_one


@dataclass(kw_only=True)
class FedMVPOptions:
    """Options of FedMVP."""

    attributes: str | None = key(None, is_file=True)
    """A .json object of class name, as in a prompt, -> list of texts, equally many of each; null
    takes data.template's prompt alone. Its content may not change while a run goes on."""
    num_tokens: int = 4
    """Tokens that the patches are pooled to; 4 (released code)."""
    heads: int = 4
    """Heads of the attention; 4 (released code)."""
    consistency: float = 10.0
    """Weight of the distance to the untouched image; 10 (released code)."""
    rank: int = 8
    """Of the terms that are trained in place of the block; 8 (released code)."""
    low_rank_from: int | None = 50
    """Round, counted from 0, from which on they are; null: never, without any such numbers. In the
    released code a client's own flag, once its loss is below 0.5; 50, half of the paper's rounds,
    is ours."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_tokens", "heads", "rank")
        if not self.consistency >= 0:
            raise ValueError(f"method.consistency: {self.consistency}; set a weight of 0 or more")
        if self.low_rank_from is not None and self.low_rank_from < 0:
            raise ValueError(
                f"method.low_rank_from: {self.low_rank_from}; set a round of 0 or later, or null"
            )
