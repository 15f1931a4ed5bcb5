"""The tables of a data set and of its partition count what is there."""

from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table
from tiny import CLASSES, SIZES, tiny_task

from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.overview import client_table, image_table, owner_table
from pfedmma_dist.run.record import ClientTable


def cells(table: Table) -> list[list[str]]:
    """Return the rows of a table."""
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


LABELS = np.array([0, 0, 0, 1, 1, 2, 0, 1, 2])
IMAGES = Images(
    Files(None, ("",) * 9), LABELS, ("ant", "bee", "cat"), np.arange(6), np.arange(6, 9)
)


def test_both_splits_are_counted_by_class() -> None:
    assert cells(image_table(IMAGES)) == [
        ["training", "6", "3", "cat 1", "ant 3"],
        ["test", "3", "3", "all 1", ""],
    ]


def test_domains_have_rows_of_their_own_and_empty_ones_are_told() -> None:
    domains = np.array([0, 0, 1, 1, 1, 1, 0, 0, 0])
    images = replace(IMAGES, domains=domains, domain_names=("photo", "sketch"))
    assert cells(image_table(images))[2:] == [
        ["photo, training", "2", "1", "all 2", ""],
        ["photo, test", "3", "3", "all 1", ""],
        ["sketch, training", "4", "3", "ant 1", "bee 2"],
        ["sketch, test", "0", "0", "", ""],
    ]


def test_natural_clients_are_counted() -> None:
    owners = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    images = replace(IMAGES, owners=owners, owner_names=("a", "b", "c"))
    assert cells(owner_table(images)) == [
        ["training images", "3", "0", "2", "4", "6"],
        ["test images", "3", "0", "0", "3", "3"],
    ]


def test_clients_of_a_partition_are_counted_by_domain_too() -> None:
    task = replace(
        tiny_task(), client_domains=np.array([0, 0, 0, 1, 1, 1]), domain_names=("photo", "sketch")
    )
    clients = ClientTable.count(
        4,
        task.num_clients,
        task.train.owners(),
        task.images.labels[task.train.members],
        task.domains,
    )
    assert SIZES == (9, 4, 2, 7, 1, 5)
    assert len(CLASSES) == 6
    training, tested, classes, photo, sketch = cells(client_table(task, clients))
    assert training == ["training images", "6", "1", "4.5", "9", "28"]
    assert tested[1:3] == ["6", "4"]
    assert classes[1:] == ["6", "1", "4", "4", ""]
    assert photo == ["training images, photo", "3", "2", "4", "9", "15"]
    assert sketch == ["training images, sketch", "3", "1", "5", "7", "13"]


def printed(table: Table) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def test_table_fits_a_terminal_with_long_names() -> None:
    names = tuple(f"{animal} of a very long and very wide kind" for animal in ("ant", "bee", "cat"))
    lines = printed(image_table(replace(IMAGES, class_names=names)))
    assert all(len(line) <= 80 for line in lines)


def test_names_in_brackets_are_printed_as_they_are() -> None:
    images = replace(
        IMAGES,
        class_names=("[red]", "b", "[/c]"),
        domains=np.zeros(9, np.int64),
        domain_names=("[bold]",),
    )
    lines = printed(image_table(images))
    assert any("[/c] 1" in line and "[red] 3" in line for line in lines)
    assert any("[bold], test" in line for line in lines)
