"""The pFedMMA paper's own figures (ICLR 2026), to stand beside one's own where they belong.

Only what is known beyond doubt together with its method: figures that are not in configs/reproduce
were not found in a form that says whose they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pfedmma_dist.results.cells import Cell, Row, Table
from pfedmma_dist.results.expected import Status, published_figures

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


def figures() -> list[Published]:
    """Return the paper's rows, of the figures in configs/reproduce that have a place."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for expected, figure in published_figures():
        if not figure.method or figure.data is None or figure.status is Status.cannot:
            continue  # of which row or set it is is not known, or nothing can be held to it
        place = (
            (figure.method, COST, "")
            if figure.data == COST
            else (figure.method, expected.experiment, figure.data)
        )
        found.setdefault(place, {})[figure.column] = figure.value
    return [Published(*place, values) for place, values in found.items()]


CODE = "Remarks on the paper's figures are on the released code, which is taken to have made them"
PEEKED = "are of the round that is best on the test images"
LEAKED = "momentum passes from client to client in the released code"
REMARKS: Mapping[str, tuple[str, ...]] = {
    "base_to_novel": (
        CODE,
        "(paper) CLIP: no known defect reaches it",
        f"(paper) PromptFL, FedPGP, pFedMMA: figures {PEEKED}, and {LEAKED}",
        "(paper) PromptFL: the released loop leaves client 5 out of every round and of the scores, "
        "and swings the learning rate from client to client",
        "(paper) pFedMMA: released scoring on one GPU keeps the class vectors of the first client "
        "that is scored, so every other client's figures are read with its text adapters; the "
        "released configuration has 8 adapted blocks with biases, the cost table 3 without",
    ),
    "label_shift": (
        CODE,
        "(paper) CLIP: no known defect reaches it; it is a mean over clients with unequal tests",
        f"The paper's other rows, not shown here, {PEEKED}, and {LEAKED}; in 50 rounds of a tenth "
        "of 100 clients pFedMMA, FedPGP and FedOTP train 590 client-rounds, as all clients train "
        "in the first, and others 500",
    ),
    "feature_shift": (
        "The paper's DomainNet and Office-Caltech10 rows are not shown: the released code pairs "
        "89 to 94 % of the images with another image's label, in training and in tests (its "
        "zero-shot CLIP has 10.11 % of 10 classes, chance), so nothing here can be held to them",
    ),
}
"""Experiment -> which of the paper's figures are touched by which defect of the released code
(docs/differences.md), for who reads them beside one's own."""


def remarks(table: Table) -> tuple[str, ...]:
    """Return what to know of the paper's figures for a table."""
    return REMARKS.get(table.task, ())


def published(table: Table) -> tuple[Row, ...]:
    """Return the paper's rows for a table."""
    keys = {column.key for column in table.columns}
    return tuple(
        Row(
            (f"{row.name} (paper)", *[""] * (len(table.heads) - 1)),
            tuple(Cell(row.values.get(column.key)) for column in table.columns),
            is_published=True,
        )
        for row in figures()
        if (row.task, row.data) == (table.task, table.data) and keys & row.values.keys()
    )
