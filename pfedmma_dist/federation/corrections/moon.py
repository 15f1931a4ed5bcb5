"""MOON: a client's representations are drawn to the server's and driven off its own last ones."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.federation.corrections.correction import Closed, Correction, Start, Term
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import Layout


class Moon(Correction):
    """MOON (Li et al., CVPR 2021), model-contrastive learning.

        mu * mean of -log softmax([cos(z, z_x), cos(z, z_last)] / temperature)[0]

    z is what the method makes of images or classes with the row that trains (its `representation`),
    z_x the same with the row that the round began with, z_last with the one that the client's last
    round ended with; neither has a gradient. The mean is over the client's own images, or over
    classes. In a client's first round z_last is z_x, so that the term is mu log 2 and does not
    move it.
    """

    def __init__(self, method: Method, layout: Layout, mu: float, temperature: float) -> None:
        self.method, self.layout = method, layout
        self.mu, self.temperature = mu, temperature
        self.num_memory = layout.num_shared + 1  # private numbers are where they were left

    def term(self, start: Start, prepared: Any, text: ClassText) -> Term:
        """Return the contrast; the class side of rows that stand still is run once a round."""
        private = start.theta[:, : self.layout.num_private]
        last, began = start.memory.split([self.layout.num_shared, 1], dim=1)
        last = torch.where(began > 0, torch.cat([private, last], dim=1), start.theta)
        with torch.no_grad():
            rows = [self.layout.views(row) for row in (start.theta, last)]
            still = [(row, self.method.classes(row, prepared, text)) for row in rows]

        def contrast(params: dict[str, Tensor], classes: Any, step: Step) -> Tensor:
            images, clip = step.images, step.text.clip
            own = self.method.representation(params, classes, images, clip)  # [G, B or 1, n, D]
            with torch.no_grad():
                others = [self.method.representation(*one, images, clip) for one in still]
            alike = [F.cosine_similarity(own, other, dim=3) for other in others]
            excess = (alike[1] - alike[0]) / self.temperature  # softplus: -log softmax of two
            return self.mu * step.mean(F.softplus(excess).mean(dim=2).expand_as(step.weight))

        return contrast

    def close(self, theta: Tensor, start: Start, travelled: Tensor) -> Closed:
        """Keep the shared numbers as they are before they are averaged."""
        shared = theta[:, self.layout.num_private :]
        return Closed(torch.cat([shared, torch.ones_like(theta[:, :1])], dim=1), theta[:, :0])
