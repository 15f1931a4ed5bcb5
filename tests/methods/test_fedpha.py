"""FedPHA: what is left of a client's prompt, and the terms of its loss."""

import numpy as np
import pytest
import torch
from setting import STEPS, Setting
from tiny import SIZES, tiny_federation

from pfedmma_dist.config.choices import Optimiser
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.fedpha import FedPHA, FedPHAOptions, Remainder, remainder
from pfedmma_dist.methods.share import CommonShare

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


@pytest.mark.parametrize(("length", "main"), [(4, 0), (5, 1), (10, 2), (16, 3), (20, 4)])
def test_share_of_main_directions_is_rounded_down_and_no_further(length: int, main: int) -> None:
    """In floating point 10 (1 - 0.8) is 1.9999999999999996."""
    own, common = torch.randn(2, 1, length, 64, generator=torch.Generator().manual_seed(1)).double()
    taken = own - remainder(own, common, FedPHAOptions())
    values = torch.linalg.svdvals(taken[0])
    assert int((values > 1e-6).sum()) == main


def test_released_remainder_of_a_random_prompt_is_almost_nothing() -> None:
    own, common = torch.randn(2, 1, 16, 512, generator=torch.Generator().manual_seed(0))
    kept = {
        kind: float(remainder(own, common, FedPHAOptions(remainder=kind)).norm() / own.norm()) ** 2
        for kind in Remainder
    }
    assert kept[Remainder.as_released] == pytest.approx(13 / 512, abs=0.01)
    assert kept[Remainder.as_paper] == pytest.approx(1 - 3 / 512, abs=0.01)


def written_out(setting: Setting, common: torch.Tensor, own: torch.Tensor, g: int) -> torch.Tensor:
    """Return the loss of a client [] with a prompt of as many vectors [n, W] as it has."""
    kept = remainder(own[None], common[None], setting.method.options)[0]
    far, near, left = (setting.text.with_context(x[None])[0] for x in (common, own, kept))
    rows = STEPS[0].rows[g][STEPS[0].weight[g] > 0]
    final = setting.features.rows(setting.method.images, (rows, None))
    labels = torch.from_numpy(rows % len(setting.text.names))
    terms = [
        torch.nn.functional.cross_entropy(setting.clip.scale * final @ vectors.T, labels)
        for vectors in (near, far)
    ]
    push = (0.9 - (near - far).square().sum(dim=1).sqrt()).clamp(min=0).mean()
    return sum(terms) + (near - left).square().mean() + push


@pytest.mark.parametrize("lengths", [None, [5, 2, 3], [2, 4, 1]], ids=str)
def test_loss_and_gradient_are_those_of_its_four_terms_at_each_length(
    lengths: list[int] | None,
) -> None:
    setting = Setting("fedpha", {"alpha": 0.9, "num_context": 4, "own_lengths": lengths})
    theta = setting.theta.clone()
    if lengths:  # what is behind a prompt's end is read by nobody, whatever it is
        setting.layout.views(theta)["own_length"].copy_(torch.tensor(lengths)[:, None])
    params, grads = map(setting.layout.views, (theta, setting.gradient(theta, STEPS[0])))
    found = setting.losses(theta, STEPS[0])
    classes = setting.method.classes(params, None, setting.text)
    for g, length in enumerate(lengths or [4] * 3):
        common = params["common"][g].clone().requires_grad_()
        own = params["own"][g, :length].clone().requires_grad_()
        loss = written_out(setting, common, own, g)
        torch.testing.assert_close(found[g], loss.detach(), rtol=0, atol=1e-10)
        expected = torch.autograd.grad(loss, (common, own))
        torch.testing.assert_close(grads["common"][g], expected[0], rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(grads["own"][g, :length], expected[1], rtol=1e-7, atol=1e-10)
        assert not grads["own"][g, length:].any()
        vectors = setting.text.with_context(own.detach()[None])[0]
        torch.testing.assert_close(classes[g], vectors, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "optim",
    [
        OptimConfig(lr=0.1, weight_decay=0.1, keep_state=True),
        OptimConfig(name=Optimiser.adamw, lr=0.01, weight_decay=0.1, keep_state=True),
    ],
    ids=["sgd", "adamw"],
)
def test_clients_have_their_lengths_in_turn_and_nothing_behind_them(optim: OptimConfig) -> None:
    options = FedPHAOptions(num_context=3, own_lengths=[4, 1, 2])
    federation = tiny_federation(FedPHA, options=options, optim=optim, fraction=0.5)
    everybody = np.arange(len(SIZES))
    starts = federation.layout.views(federation.start(everybody, training=False)[0])["own"].clone()
    for index in range(2):
        federation.round(index)
    found = federation.layout.views(federation.start(everybody, training=False)[0])
    trained = federation.clients.have_trained(everybody)
    assert trained.any() and not trained.all()
    for client, length in enumerate([4, 1, 2, 4, 1, 2]):
        assert found["own_length"][client].tolist() == [length]
        assert not found["own"][client, length:].any()
        moved = (found["own"][client] != starts[client]).any(dim=1)
        assert moved[:length].tolist() == [bool(trained[client])] * length


def test_lengths_are_given_as_a_list() -> None:
    def configured(word: str) -> list[int]:
        words = ["method.name=fedpha", f"method.own_lengths={word}"]
        return read(words, methods=METHODS, sources=SOURCES).method["own_lengths"]

    assert configured("[16,8]") == [16, 8]
    for word in ("16", "[a]", "[1.5]"):
        with pytest.raises(ValueError, match="a list of whole numbers, or null; for example"):
            configured(word)


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
        ({"own_lengths": []}, r"method.own_lengths: \[\]; list lengths of 1 or more"),
        ({"own_lengths": [4, 0]}, r"method.own_lengths: \[4, 0\]; list lengths of 1 or more"),
        (
            {"own_lengths": [4, 2], "share": CommonShare.all},
            r"method.own_lengths: \[4, 2\] have no average, and method.share is all; set",
        ),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedPHAOptions(**options)


def test_longest_prompt_is_tried_before_any_image_is_read() -> None:
    def rehearse(longest: int) -> None:
        options = FedPHAOptions(num_context=3, own_lengths=[2, longest])
        tiny_federation(FedPHA, options=options).rehearse()

    rehearse(8)
    with pytest.raises(RuntimeError):  # of the tiny tokenizer, which has 24 places
        rehearse(30)
