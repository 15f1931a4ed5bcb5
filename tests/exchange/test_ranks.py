"""A rank per client: what is beyond it stays zero, costs nothing and reaches no other client."""

import numpy as np
import pytest
import torch
from tiny import on_ranks, same_state, tiny_federation
from torch import Tensor

from pfedmma_dist.clip.load import dims
from pfedmma_dist.config.choices import CorrectionName, Optimiser, ServerRule
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig, ServerConfig
from pfedmma_dist.exchange.ranks import DealtRanks
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.methods.lora_options import FactorShare, LoRAOptions, Train
from pfedmma_dist.methods.merging import RULES, Merge
from pfedmma_dist.methods.singular import nearest_factors
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

RANKS = [2, 1, 3]
PER_DIRECTION = 2 * 4 * 64  # A and B of queries and values of a block of both towers, 64 wide
KEPT = OptimConfig(name=Optimiser.adamw, lr=0.02, weight_decay=0.1, keep_state=True)


def rounds(count: int, merge: Merge, world: World | None = None, **keys: object) -> Federation:
    options = LoRAOptions(blocks=1, ranks=RANKS, merge=merge)
    federation = tiny_federation(LoRA, world, options, **{"fraction": 0.5, "optim": KEPT, **keys})
    for index in range(count):
        federation.round(index)
    return federation


@pytest.mark.parametrize("merge", [Merge.product, Merge.norm, Merge.svd])
def test_two_ranks_and_a_restart_keep_all_bits(merge: Merge) -> None:
    whole, first, second = rounds(3, merge), rounds(1, merge), rounds(0, merge)
    second.load(*first.state(), 1)
    for index in (1, 2):
        second.round(index)
    same_state(second, whole)
    for two in on_ranks(2, lambda world: rounds(3, merge, world)):
        same_state(two, whole)


@pytest.mark.parametrize("merge", [Merge.none, Merge.product, Merge.norm, Merge.svd])
def test_what_is_beyond_a_clients_rank_is_zero_in_numbers_optimiser_and_scores(
    merge: Merge, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation, sent = rounds(0, merge, fraction=1.0), {}
    upload = federation.exchange.upload

    def seen(clients: np.ndarray, rows: Tensor, weight: Tensor) -> None:
        sent.update(zip(clients.tolist(), rows, strict=True))
        upload(clients, rows, weight)

    monkeypatch.setattr(federation.exchange, "upload", seen)
    for index in range(2):
        federation.round(index)
    everybody = np.arange(6)
    scored, _ = federation.start(everybody, training=False)
    memory = federation.memory(everybody).view(6, 3, -1)  # Adam's two means and its counts
    for k in range(6):
        rank = RANKS[k % 3]
        for row in (sent[k], scored[k], *memory[k]):
            for name, x in federation.layout.views(row[None]).items():
                own, beyond = (x[0] if name[0] == "A" else x[0].T).split([rank, 3 - rank])
                assert not beyond.any()
                assert row is not sent[k] or (own != 0).any(dim=1).all()


def test_traffic_is_that_of_the_clients_of_a_round() -> None:
    federation = rounds(0, Merge.svd)
    means = []
    for index in range(4):
        chosen = federation.participants(index)
        means.append(np.mean([RANKS[k % 3] * PER_DIRECTION for k in chosen]))
        cost = federation.cost(index)
        assert cost.up == cost.down == round(means[-1])
    assert len(set(means)) > 1
    assert federation.cost().up == federation.num_trained == 2 * PER_DIRECTION
    dense = rounds(0, Merge.product).cost()
    assert (dense.up, dense.down) == (2 * PER_DIRECTION, 4 * 64 * 64)


def test_ranks_are_dealt_in_turn() -> None:
    dealt = DealtRanks((2, 1), torch.tensor([0, 0, 0, 1]))
    assert dealt.of(np.array([0, 3, 4])).tolist() == [2, 1, 2]
    cut = dealt.cut(torch.ones(4), np.array([0, 1]))
    assert cut.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert dealt.mean_size(np.array([1, 3])) == 3
    assert dealt.mean_size(np.array([0, 1, 2])) == 4  # of 11 / 3


def test_directions_of_the_mean_product_are_nearest_to_it_at_every_rank() -> None:
    rng = np.random.default_rng(1)
    up, down = (torch.from_numpy(rng.standard_normal(shape)) for shape in ((7, 5), (5, 9)))
    up[:, 4], down[4] = 0.0, 0.0  # beyond a client's rank
    values = np.linalg.svd((up @ down).numpy(), compute_uv=False)
    left, right = nearest_factors(up, down, 5)
    for rank in range(1, 5):
        rest = (up @ down - left[:, :rank] @ right[:rank]).numpy()
        np.testing.assert_allclose(
            np.linalg.norm(rest), np.linalg.norm(values[rank:]), rtol=0, atol=1e-12
        )
    assert left[:, 4].abs().max() < 1e-12
    torch.testing.assert_close(right @ right.T, torch.eye(5).double(), rtol=0, atol=1e-12)
    assert all(row[row.abs().argmax()] > 0 for row in right)


def test_products_that_are_all_zero_leave_the_weights_of_images() -> None:
    layout = rounds(0, Merge.norm).layout
    rows, weight = torch.zeros(2, layout.num_shared).double(), torch.tensor([0.25, 0.75]).double()
    for name, part in layout.views(rows).items():  # views: they move the rows
        if name.startswith("A."):
            part[0], part[1] = 1.0, 2.0
    kept = layout.views(RULES[Merge.norm](layout)(rows, weight)[None])
    assert kept["A.0.image.q"].unique().tolist() == [1.75]


def test_cost_table_has_the_mean_rank() -> None:
    method = LoRA(LoRAOptions(ranks=[4, 8, 12], merge=Merge.norm), dims("ViT-B-16"))
    layout = Layout(method.specs)
    cost = method.exchange(layout, layout.template(0), 0).cost()
    assert (method.num_trained(layout), cost.up, cost.down) == (122_880,) * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranks": []}, r"method\.ranks: \[\]; write some of 1 and more"),
        ({"ranks": [4, 0]}, r"method\.ranks: \[4, 0\]; write some of 1 and more"),
        ({"ranks": [1, 4], "rank": 2}, r"method\.rank: 2, and .* set method\.rank=4"),
        ({"ranks": [1, 4], "train": Train.B}, r"method\.ranks: \[1, 4\], ranks of clients are"),
        (
            {"ranks": [1, 4], "share": FactorShare.none},
            r"method\.ranks: \[1, 4\], ranks of clients are",
        ),
        ({"ranks": [1, 4], "merge": Merge.residual}, r"method\.merge: residual adds up with means"),
        ({"rank": 513, "merge": Merge.svd}, r"method\.rank: 513; the narrower tower has width 512"),
    ],
    ids=str,
)
def test_ranks_that_fit_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoRA(LoRAOptions(**options), dims("ViT-B-16"))


def test_servers_and_corrections_of_the_plain_mean_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^server\.name: low-rank factors that .* rank per client"
    ):
        rounds(0, Merge.none, server=ServerConfig(name=ServerRule.median))
    with pytest.raises(ValueError, match=r"^correction\.name: feddyn is about the mean of all"):
        rounds(0, Merge.svd, correction=CorrectionConfig(name=CorrectionName.feddyn))
