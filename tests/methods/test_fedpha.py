"""FedPHA: what is left of a client's prompt, and the terms of its loss."""

import pytest
import torch
from setting import STEPS, Setting

from pfedmma_dist.methods.fedpha import FedPHAOptions, Remainder, remainder

DIRECTIONS = torch.eye(6, dtype=torch.float64)
COMMON = torch.stack([3 * DIRECTIONS[1], 2 * DIRECTIONS[0], 1 * DIRECTIONS[4]])[None]
"""A prompt of three vectors, whose main direction is that of coordinate 1, then 0, then 4."""


@pytest.mark.parametrize(
    ("kind", "kept"), [(Remainder.as_paper, [0, 2, 3, 4, 5]), (Remainder.as_released, [0, 4])]
)
def test_main_direction_of_the_common_prompt_is_taken_out(kind: Remainder, kept: list[int]) -> None:
    own = torch.arange(1.0, 19.0, dtype=torch.float64).view(1, 3, 6)
    found = remainder(own, COMMON, FedPHAOptions(ratio=0.5, remainder=kind))  # int(1.5) is 1
    expected = torch.zeros_like(own)
    expected[..., kept] = own[..., kept]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_released_remainder_of_a_random_prompt_is_almost_nothing() -> None:
    own, common = torch.randn(2, 1, 16, 512, generator=torch.Generator().manual_seed(0))
    kept = {
        kind: float(remainder(own, common, FedPHAOptions(remainder=kind)).norm() / own.norm()) ** 2
        for kind in Remainder
    }
    assert kept[Remainder.as_released] == pytest.approx(13 / 512, abs=0.01)
    assert kept[Remainder.as_paper] == pytest.approx(1 - 3 / 512, abs=0.01)


def test_loss_is_its_four_terms_written_out() -> None:
    setting, batch = Setting("fedpha", {"alpha": 0.9}), STEPS[0]
    params = setting.layout.views(setting.theta)
    kept = remainder(params["own"], params["common"], setting.method.options)
    contexts = params["own"], params["common"], kept
    own, common, near = (setting.text.with_context(x) for x in contexts)
    found = setting.losses(setting.theta, batch)
    for client in range(3):
        rows = batch.rows[client][batch.weight[client] > 0]
        final = setting.features.rows(setting.method.images, (rows, None))
        labels = torch.from_numpy(rows % len(setting.text.names))
        terms = [
            torch.nn.functional.cross_entropy(setting.clip.scale * final @ vectors.T, labels)
            for vectors in (own[client], common[client])
        ]
        far = [float((a - b).norm()) for a, b in zip(own[client], common[client], strict=True)]
        push = sum(max(0.0, 0.9 - distance) for distance in far) / len(far)
        pull = (own[client] - near[client]).square().mean()
        torch.testing.assert_close(found[client], sum(terms) + pull + push, rtol=0, atol=1e-10)


def test_scores_read_the_own_prompt_alone() -> None:
    setting, rows = Setting("fedpha", {}), STEPS[0].rows
    moved = setting.theta.clone()
    setting.layout.views(moved)["common"].add_(1.0)
    assert torch.equal(setting.logits(moved, rows), setting.logits(setting.theta, rows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "method.alpha: -1.0; set a distance, 0 or more"),
        ({"ratio": 1.2}, "method.ratio: 1.2; set a share from 0 to 1"),
        ({"num_context": 0}, "method.num_context: 0; set 1 or more"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedPHAOptions(**options)
