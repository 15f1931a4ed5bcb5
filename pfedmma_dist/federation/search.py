"""Search: options of a trained method chosen on the clients' own validation images.

All points of a grid are scored, and the one is taken whose accuracy, mean over clients, is highest:
one choice for all clients. Test images are not looked at. Own validation images are of a client's
own classes, so what is chosen is good for Local, and may not be for Base.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.searched import Grid, Searched
from pfedmma_dist.quantities.scores import VAL

UNITS = 2**32
"""Parts of an accuracy that are counted, so that no sum depends on its order."""


@dataclass(frozen=True)
class Choice:
    """What a search has found."""

    values: Mapping[str, float]  # option -> the value chosen
    percent: float  # accuracy on validation images there, mean over clients
    before: float  # the same with the options of the run
    tried: Mapping[str, tuple[int, float, float]]  # option -> how many values, first, last
    ties: int  # points of the grid that are as good
    num_images: int  # validation images
    num_clients: int  # clients that have any

    @property
    def words(self) -> list[str]:
        """Say what was chosen, from what, and on what."""
        chosen = ", ".join(f"{name} {value:g}" for name, value in self.values.items())
        grid = " x ".join(
            f"{count} values of {name} from {first:g} to {last:g}"
            for name, (count, first, last) in self.tried.items()
        )
        told = [
            f"{chosen}: {self.percent:.2f} % on validation images ({self.before:.2f} % as trained)",
            f"one choice for all, on {self.num_images:,} validation images of {self.num_clients:,} "
            "clients, no test image among them",
            f"{grid}; {self.ties:,} points are as good, of which this is the first",
        ]
        ends = [
            f"{name} {value:g} is the last that was tried"
            for name, value in self.values.items()
            if value == self.tried[name][2] and self.tried[name][0] > 1
        ]
        return [*told, *ends]


def search(
    federation: Federation, grid: Grid, advance: Callable[[int], None] = lambda count: None
) -> Choice:
    """Score every point of the grid on validation images, and return the best. Collective.

    Of several the first is taken. advance: told of clients as they are done.
    """
    method = federation.method
    assert isinstance(method, Searched)
    own = {name: (getattr(method.options, name),) for name in grid}
    points = list(product(*grid.values()))
    total = torch.zeros(len(points) + 3, dtype=torch.int64)
    for cohort in federation.cohorts(searched(federation)):
        for client in cohort.clients:
            total += _counted(federation, int(client), [grid, own])
            advance(1)
    total = federation.world.exact_sum(total)
    num_images, num_clients = (int(count) for count in total[-2:])
    percent = (100 * total[:-2].double() / UNITS / max(num_clients, 1)).numpy()
    found, before = np.round(percent[:-1], 6), float(percent[-1])
    best = int(found.argmax())
    return Choice(
        values=dict(zip(grid, points[best], strict=True)),
        percent=float(percent[best]),
        before=before,
        tried={name: (len(values), values[0], values[-1]) for name, values in grid.items()},
        ties=int((found == found[best]).sum()),
        num_images=num_images,
        num_clients=num_clients,
    )


def searched(federation: Federation) -> np.ndarray:
    """Return the clients whose validation images are asked: those that train and are scored."""
    return np.intersect1d(federation.seen, federation.scored)


def choose(federation: Federation, choice: Choice) -> None:
    """Let the method score with what was chosen."""
    assert isinstance(federation.method, Searched)
    federation.method.options = replace(federation.method.options, **choice.values)


def _counted(federation: Federation, client: int, grids: list[Grid]) -> Tensor:
    """Return the accuracy of a client in UNITS at each point of the grids, then how many validation
    images it has, then whether it has any: [points + 2] int64."""
    rows = federation.task.scope_of(VAL, client).rows_of(client)
    if not len(rows):
        num_points = sum(math.prod(map(len, grid.values())) for grid in grids)
        return torch.zeros(num_points + 2, dtype=torch.int64)
    right = _right(federation, np.array([client]), rows, grids)
    return torch.cat([right * UNITS // len(rows), torch.tensor([len(rows), 1])])


@torch.no_grad()
def _right(
    federation: Federation, client: np.ndarray, rows: np.ndarray, grids: list[Grid]
) -> Tensor:
    """Return how many images of these rows a client [1] has right at each point [points] int64."""
    method, text = federation.method, federation.text_of(client)
    assert isinstance(method, Searched)
    theta, extra = Examiner(federation).start(client)
    params, found = federation.layout.views(theta), []
    classes = method.classes(params, method.prepare(extra, text), text)
    assert federation.sources is not None
    size = federation.cfg.evaluate.batch_size
    for part in np.split(rows, range(size, len(rows), size)):
        views = part, np.zeros(len(part), np.int64)
        images = mapped(federation.sources.test.rows(method.images, views), lambda x: x[None])
        labels = torch.from_numpy(federation.label_of(part)).to(theta.device)
        hits = [
            (logits.argmax(dim=2) == labels).sum()
            for grid in grids
            for logits in method.over(params, classes, images, text.clip, grid)
        ]
        found.append(torch.stack(hits))
    return torch.stack(found).sum(dim=0).cpu()
