"""Fair: means of a round in which clients that fare badly weigh more.

q-FFL, by q-FedAvg (Li et al., ICLR 2020, algorithm 2), with F_k the loss of client k, p_k its share
of the round's images, w what clients start from, w_k what one sends and lr its learning rate:

    w - sum p_k F_k^q (w - w_k) / sum p_k h_k       h_k = F_k^q + q F_k^(q - 1) |w - w_k|^2 / lr

which at q = 0 is the mean. AFL (Mohri et al., ICML 2019) weighs clients by lambda on the simplex,
whatever their images, and lets lambda climb towards those that lose:

    sum lambda_k w_k / sum lambda_k        then lambda_k += rate F_k, and lambda back to the simplex

over the clients of the round. F_k is the mean loss over the steps of the round; the papers take it
at w, which would be one more pass over the images.
"""

from dataclasses import replace

import torch
from torch import Tensor

from pfedmma_dist.exchange.uplink import Parcel, Stage
from pfedmma_dist.world import from_fixed, to_fixed


class QFair(Stage):
    """q-FedAvg."""

    num_counts = 1

    def __init__(self, q: float, lr: float) -> None:
        """q: 0 is the mean, more is fairer. lr: of local training."""
        self.q, self.lr = q, lr

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        """Return rows moved by F^q of their way, and the sum of p h."""
        loss = parcel.loss.double().clamp(min=1e-10)  # 0^(q - 1) has no value below q = 1
        start, way = parcel.start.double(), parcel.rows.double() - parcel.start.double()
        power = loss**self.q
        slope = power + self.q * loss ** (self.q - 1) * way.square().sum(dim=1) / self.lr
        rows = (start + power[:, None] * way).float()
        return replace(parcel, rows=rows), to_fixed(parcel.weight * slope).sum()[None]

    def close(self, mean: Tensor, counts: Tensor, before: Tensor, round_index: int) -> Tensor:
        """Return where the sum of weighted ways leads, divided by that of p h."""
        return before + (mean - before) / from_fixed(counts)


class Agnostic(Stage):
    """AFL: the server's lambda, one per client."""

    def __init__(self, num_clients: int, rate: float) -> None:
        """num_clients: K, all that there are. rate: of lambda's steps."""
        self.num_counts, self.rate = num_clients + 1, rate
        self.share = torch.full((num_clients,), 1 / num_clients, dtype=torch.float64)

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        """Return rows that weigh lambda, each one's loss, and the sum of lambda."""
        clients = torch.from_numpy(parcel.clients)
        weight, counts = self.share[clients], super().send(parcel)[1]
        counts[clients] = to_fixed(parcel.loss.double())
        counts[-1] = to_fixed(weight).sum()
        return replace(parcel, weight=weight), counts

    def close(self, mean: Tensor, counts: Tensor, before: Tensor, round_index: int) -> Tensor:
        """Return the mean by lambda, and let lambda climb; where all that took part weigh nothing
        the shared part stays."""
        losses, total = from_fixed(counts[:-1]), from_fixed(counts[-1])
        self.share = on_simplex(self.share + self.rate * losses)
        return mean / total if total > 0 else before

    def state(self) -> dict[str, Tensor]:
        """Return lambda [K]."""
        return {"agnostic_share": self.share}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take it back."""
        super().load(state)
        self.share = state["agnostic_share"].clone()


def on_simplex(x: Tensor) -> Tensor:
    """Return the nearest numbers [K] float64 that are 0 or more and add up to 1 (Duchi et al., ICML
    2008, figure 1)."""
    falling = x.sort(descending=True).values
    excess = (falling.cumsum(dim=0) - 1) / torch.arange(1, len(x) + 1, dtype=torch.float64)
    return (x - excess[int((falling > excess).sum()) - 1]).clamp(min=0)
