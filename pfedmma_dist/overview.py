"""Overview: what a data set and its partition consist of, as tables."""

from collections.abc import Iterator

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.quantities.scores import LOCAL, VAL
from pfedmma_dist.run.record import ClientTable

ENDS = ("Clients", "Least", "Median", "Most", "All")
"""Columns that tell how something is spread over clients."""


def image_table(images: Images) -> Table:
    """Count the images of both splits, and of every domain's, by class."""
    table = _table(("", "Images", "Classes", "Smallest class", "Largest class"))
    for name, rows in _parts(images):
        counts = np.bincount(images.labels[rows], minlength=len(images.class_names))
        own = np.flatnonzero(counts)
        table.add_row(name, f"{len(rows):,}", f"{len(own):,}", *_extremes(images, counts, own))
    return table


def owner_table(images: Images) -> Table:
    """Count the images of natural clients."""
    table = _table(("of each client", *ENDS))
    for name, rows in images.parts.items():
        assert images.owners is not None
        owned = np.bincount(images.owners[rows], minlength=len(images.owner_names))
        table.add_row(f"{name} images", *_ends(owned))
    return table


def clients_of(task: Task) -> ClientTable:
    """Count what every client trains on."""
    return ClientTable.count(
        len(task.class_sets[task.train_classes].names),
        task.num_clients,
        task.train.owners(),
        task.labels(task.train_classes, task.train.members),
        task.domains,
    )


def client_table(task: Task, clients: ClientTable) -> Table:
    """Count what the clients of a partition hold."""
    own: dict[str, np.ndarray] = {}
    for scope in task.scopes:
        if not scope.common:  # of several data sets there is one of each
            own[scope.name] = own.get(scope.name, 0) + scope.apart.sizes()
    table = _table(("of each client", *ENDS))
    table.add_row("training images", *_ends(clients.sizes))
    table.add_row("own test images", *_ends(own[LOCAL]))
    if VAL in own:
        table.add_row("own validation images", *_ends(own[VAL]))
    table.add_row("classes", *_ends(clients.num_classes)[:-1])
    for name, members in task.domains.items():
        table.add_row(f"training images, {escape(name)}", *_ends(clients.sizes[members]))
    return table


def _extremes(images: Images, counts: np.ndarray, own: np.ndarray) -> tuple[str, ...]:
    """Return the cells of the smallest and the largest of the classes `own`."""
    if len(own) == 0:
        return ()
    least, most = own[counts[own].argmin()], own[counts[own].argmax()]
    if counts[least] == counts[most]:
        return (f"all {counts[most]:,}",)
    return tuple(f"{escape(images.class_names[n])} {counts[n]:,}" for n in (least, most))


def _ends(counts: np.ndarray) -> tuple[str, ...]:
    """Return the cells below ENDS."""
    if len(counts) == 0:
        return ("0", *(["–"] * 4))
    least, median, most = counts.min(), np.median(counts), counts.max()
    return tuple(f"{n:,.10g}" for n in (len(counts), least, median, most, counts.sum()))


def _parts(images: Images) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the rows of every line of the image table."""
    yield from images.parts.items()
    for domain, name in enumerate(images.domain_names):
        assert images.domains is not None
        for split, rows in images.parts.items():
            yield f"{escape(name)}, {split}", rows[images.domains[rows] == domain]


def _table(headings: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for index, heading in enumerate(headings):
        words = index == 0 or heading.endswith("class")
        table.add_column(heading, justify="left" if words else "right", overflow="fold")
    return table
