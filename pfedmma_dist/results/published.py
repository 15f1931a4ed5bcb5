"""The pFedMMA paper's own figures (ICLR 2026), to stand beside one's own where they belong.

Only what is known beyond doubt together with its method: figures that are not here were not found
in a form that says whose they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pfedmma_dist.results.cells import Cell, Row, Table

AVERAGE = "average"
"""In place of a data set: the mean over all of them, seven in the paper."""

COST = "cost"
"""In place of an experiment: the cost table, at ViT-B/16."""


@dataclass(frozen=True)
class Published:
    """One row of the paper."""

    name: str
    task: str
    data: str
    values: Mapping[str, float]  # key of a column -> value


FIGURES = (
    Published("CLIP", "base_to_novel", AVERAGE, {"local_mean": 76.36, "base_mean": 76.81}),
    Published(
        "PromptFL", "base_to_novel", AVERAGE,
        {"local_mean": 88.93, "base_mean": 88.95, "hm": 83.09, "hm_of_means": 83.90},
    ),
    Published("FedPGP", "base_to_novel", AVERAGE, {"hm": 79.09, "hm_of_means": 79.98}),
    Published("pFedMMA", "base_to_novel", AVERAGE, {"hm": 84.15, "hm_of_means": 84.55}),
    Published(
        "CLIP", "label_shift", "cifar100",
        {
            "local_mean_beta_0.1": 73.14,
            "local_mean_beta_0.5": 69.53,
            "local_mean_beta_1.0": 64.95,
        },
    ),
    Published("CLIP", COST, "", {"trained": 0, "up_numbers": 0, "down_numbers": 0}),
    Published("PromptFL", COST, "", {"trained": 8192, "up_numbers": 8192, "down_numbers": 8192}),
    Published("FedPGP", COST, "", {"trained": 12416, "up_numbers": 8192, "down_numbers": 8192}),
    Published("FedOTP", COST, "", {"trained": 16384, "up_numbers": 8192, "down_numbers": 8192}),
    Published("pFedMoAP", COST, "", {"trained": 74240, "up_numbers": 8192}),  # down: 74K, rounded
    Published("pFedMMA", COST, "", {"trained": 248832, "up_numbers": 3072, "down_numbers": 3072}),
)  # fmt: skip


def published(table: Table) -> tuple[Row, ...]:
    """Return the paper's rows for a table."""
    keys = {column.key for column in table.columns}
    return tuple(
        Row(
            (f"{row.name} (paper)", *[""] * (len(table.heads) - 1)),
            tuple(Cell(row.values.get(column.key)) for column in table.columns),
            is_published=True,
        )
        for row in FIGURES
        if (row.task, row.data) == (table.task, table.data) and keys & row.values.keys()
    )
