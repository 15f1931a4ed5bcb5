"""Columns: which scores of the runs are worth one, and what they are called."""

from collections.abc import Iterable, Mapping
from typing import Any

from pfedmma_dist.results.cells import Column
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.run.summary import DOMAIN, OWN, heading

MEAN = "_mean"
OWN_MEAN = f"{OWN}{MEAN}"
ALL_THREE = "hm"
"""The harmonic mean of the paper's tables."""


def score_keys(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the scores to show of those that there are: the scopes' means, the harmonic mean."""
    found = dict.fromkeys(key for row in results for key in row["scores"])
    means = [key for key in found if key.endswith(MEAN)]
    return [*means, ALL_THREE] if ALL_THREE in found else means


def title(key: str) -> str:
    """Return what a person calls a score: local_mean -> Local, domain_photo_mean -> Photo."""
    return key.upper() if key == ALL_THREE else heading(key.removesuffix(MEAN).removeprefix(DOMAIN))


def score_columns(runs: Iterable[Outcome]) -> list[Column]:
    """Return the columns of the runs' scores; domains stand before what is over all of them."""
    keys = score_keys(run.final for run in runs if run.final) or [OWN_MEAN]
    domains = [key for key in keys if key.startswith(DOMAIN)]
    titles = {OWN_MEAN: "All"} if domains else {}
    ordered = [*domains, *(key for key in keys if key not in domains)]
    return [Column(key, titles.get(key) or title(key)) for key in ordered]
