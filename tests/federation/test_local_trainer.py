"""Local training equals one client after another under torch's own SGD."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import batches
from torch import Tensor
from toy import NO_TEXT, Linear, Table

from pfedmma_dist.config.keys import FederationConfig
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.corrections.proximal import Proximal
from pfedmma_dist.federation.finite import check_finite
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer
from pfedmma_dist.params import Layout

CLASSES, WIDTH, NUM_IMAGES = 3, 5, 24
METHOD = Linear(CLASSES, WIDTH)
LAYOUT = Layout(METHOD.specs)
NUMBERS = torch.from_numpy(np.random.default_rng(0).standard_normal((NUM_IMAGES, WIDTH)))
LABELS = np.arange(NUM_IMAGES) % CLASSES
OWN = [np.arange(10), np.arange(10, 13), np.arange(13, 20)]
CLIENTS = np.arange(3)
CFG = FederationConfig(batch_size=4, local_epochs=3, drop_last=False)
OPTIM = OptimConfig(lr=2**-5, momentum=0.9, weight_decay=2**-6)


def rows_of_theta(num_clients: int = 3) -> Tensor:
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.standard_normal((num_clients, LAYOUT.num_trained)))


def steps_of(clients: np.ndarray = CLIENTS) -> list[Batch]:
    return list(batches([OWN[client] for client in clients], clients, CFG, 1, 0, 1))


def train(
    theta: Tensor, steps: list[Batch], optim: OptimConfig = OPTIM, proximal: float = 0.0
) -> LocalResult:
    trainer = LocalTrainer(
        METHOD,
        LAYOUT,
        NO_TEXT,
        Table(NUMBERS),
        LABELS.__getitem__,
        optim,
        [Proximal(LAYOUT, proximal)] if proximal else [],
    )
    return trainer.train(theta, theta[:, :0], None, steps)


def train_slowly(
    row: Tensor, steps: list[Batch], g: int, proximal: float = 0.0
) -> tuple[Tensor, float, int]:
    """Run one client with torch.optim.SGD on parameters of its own: (row, mean loss, images).

    The proximal term, on the bias that is shared, is part of the loss that autograd sees.
    """
    weight = row[: CLASSES * WIDTH].view(CLASSES, WIDTH).clone().requires_grad_()
    bias = row[CLASSES * WIDTH :].clone().requires_grad_()
    optimizer = torch.optim.SGD(
        [{"params": [weight]}, {"params": [bias], "lr": 0.5 * OPTIM.lr}],
        lr=OPTIM.lr,
        momentum=OPTIM.momentum,
        weight_decay=OPTIM.weight_decay,
    )
    losses, num_images = [], 0
    for batch in steps:
        if not batch.active[g]:
            break
        rows = batch.rows[g][batch.weight[g] > 0]
        logits = NUMBERS[rows] @ weight.T + bias
        loss = F.cross_entropy(logits, torch.from_numpy(LABELS[rows]))
        loss = loss + 0.25 * weight.square().sum()
        loss = loss + proximal / 2 * (bias - row[CLASSES * WIDTH :]).square().sum()
        optimizer.zero_grad()
        loss.backward()
        weight.grad *= 4.0
        optimizer.step()
        losses.append(loss.item())
        num_images += len(rows)
    row = torch.cat([weight.detach().flatten(), bias.detach()])
    return row, float(np.mean(losses)), num_images


@pytest.mark.parametrize("proximal", [0.0, 2.0])
def test_cohort_equals_a_slow_loop_over_its_clients(proximal: float) -> None:
    theta, steps = rows_of_theta(), steps_of()
    result = train(theta, steps, proximal=proximal)
    slow = [train_slowly(row, steps, g, proximal) for g, row in enumerate(theta)]
    for g, (row, loss, _) in enumerate(slow):
        torch.testing.assert_close(result.theta[g], row, rtol=0, atol=1e-12)
        assert result.loss[g].item() == pytest.approx(loss, rel=1e-6)
    assert result.num_samples == sum(num_images for _, _, num_images in slow) == 3 * 20


def test_proximal_term_draws_the_shared_part_alone_back_to_its_start() -> None:
    theta, steps = rows_of_theta(), steps_of() * 10
    free, held = (train(theta, steps, proximal=mu).theta - theta for mu in (0.0, 8.0))
    own, shared = slice(CLASSES * WIDTH), slice(CLASSES * WIDTH, None)
    assert (held[:, shared].norm(dim=1) < 0.5 * free[:, shared].norm(dim=1)).all()
    assert (held[:, own].norm(dim=1) > 0.9 * free[:, own].norm(dim=1)).all()


def test_first_step_is_at_no_distance_and_the_second_is() -> None:
    theta, steps = rows_of_theta(), steps_of()
    free, held = ([train(theta, steps[:n], proximal=mu) for n in (1, 2)] for mu in (0.0, 2.0))
    assert torch.equal(free[0].theta, held[0].theta)
    assert torch.equal(free[0].loss, held[0].loss)
    distance = (free[0].theta - theta)[:, CLASSES * WIDTH :].square().sum(dim=1)
    torch.testing.assert_close(held[1].loss - free[1].loss, (2.0 / 2 * distance / 2).float())


def test_proximal_gradient_is_not_scaled_with_the_models() -> None:
    """As weight decay: `grad_scale` is about a gradient's way through the model."""
    specs = tuple(replace(spec, shared=True) for spec in METHOD.specs)
    method, layout = Linear(CLASSES, WIDTH), Layout(specs)
    theta, steps = rows_of_theta(), steps_of()[:2]
    first = train(theta, steps[:1]).theta
    free, held = (
        LocalTrainer(
            method, layout, NO_TEXT, Table(NUMBERS), LABELS.__getitem__, OPTIM,
            [Proximal(layout, mu)],
        ).train(theta, theta[:, :0], None, steps).theta
        for mu in (0.0, 2.0)
    )  # fmt: skip
    lr = OPTIM.lr * layout.spread("lr_scale")
    torch.testing.assert_close(free - held, lr * 2.0 * (first - theta))


def test_client_alone_trains_as_in_a_cohort() -> None:
    theta = rows_of_theta()
    together = train(theta, steps_of()).theta
    for client in CLIENTS:
        own = slice(client, client + 1)
        alone = train(theta[own], steps_of(CLIENTS[own])).theta
        torch.testing.assert_close(together[own], alone, rtol=0, atol=1e-12)


def test_start_is_left_alone() -> None:
    theta = rows_of_theta()
    before = theta.clone()
    train(theta, steps_of())
    assert torch.equal(theta, before)


def test_momentum_does_not_live_on() -> None:
    theta, steps = rows_of_theta(), steps_of()
    first = train(theta, steps[:1])
    train(theta, steps)  # leaves nothing behind
    assert torch.equal(train(theta, steps[:1]).theta, first.theta)
    still = replace(OPTIM, momentum=0.0)
    assert torch.equal(train(theta, steps[:1], still).theta, first.theta)
    assert not torch.equal(train(theta, steps, still).theta, train(theta, steps).theta)


def test_gradient_scale_leaves_the_decay_alone() -> None:
    theta, step = rows_of_theta(), steps_of()[:1]
    decays = [train(theta, step, replace(OPTIM, weight_decay=d)).theta for d in (0.0, 0.5)]
    lr = OPTIM.lr * LAYOUT.spread("lr_scale")
    torch.testing.assert_close(decays[0] - decays[1], lr * 0.5 * theta)


def test_content_of_padding_reaches_no_bit() -> None:
    theta, steps = rows_of_theta(), steps_of()
    assert any((batch.weight == 0).any() for batch in steps)
    other = [
        replace(batch, rows=np.where(batch.weight > 0, batch.rows, NUM_IMAGES - 1))
        for batch in steps
    ]
    a, b = train(theta, steps), train(theta, other)
    assert torch.equal(a.theta, b.theta)
    assert torch.equal(a.loss, b.loss)


def test_finished_client_keeps_its_bits() -> None:
    theta, steps = rows_of_theta(), steps_of()
    last = max(index for index, batch in enumerate(steps) if batch.active[1])
    assert last < len(steps) - 1
    short, whole = train(theta, steps[: last + 1]), train(theta, steps)
    assert torch.equal(short.theta[1], whole.theta[1])
    assert torch.equal(short.loss[1], whole.loss[1])
    assert not torch.equal(short.theta[0], whole.theta[0])


def test_finished_client_reaches_no_bit_of_the_others() -> None:
    theta, steps = rows_of_theta(), steps_of()
    other = [replace(batch, rows=np.where(batch.active[:, None], batch.rows, 0)) for batch in steps]
    assert torch.equal(train(theta, steps).theta, train(theta, other).theta)


def test_client_is_blind_to_its_neighbour() -> None:
    theta, steps = rows_of_theta(), steps_of()
    moved = theta.clone()
    moved[0] += 1
    before, after = train(theta, steps).theta, train(moved, steps).theta
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1:], after[1:])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 4e4])
@pytest.mark.parametrize("where", ["theta", "loss"])
def test_number_that_cannot_be_averaged_names_client_and_round(where: str, value: float) -> None:
    result = LocalResult(torch.zeros(3, 2), torch.zeros(3), 0, *[torch.zeros(3, 0)] * 2)
    getattr(result, where)[1] = value
    with pytest.raises(ValueError, match=r"optim.lr: 0.03125 .* client 7 in round 12 .* lower"):
        check_finite(result, np.array([4, 7, 9]), "in round 12", OPTIM)


def test_sound_numbers_pass() -> None:
    result = LocalResult(torch.ones(2, 1), torch.ones(2), 0, *[torch.ones(2, 0)] * 2)
    check_finite(result, np.array([4, 7]), "in round 0", OPTIM)


def test_training_that_blows_up_is_found() -> None:
    theta, optim = rows_of_theta(), replace(OPTIM, lr=1e30)
    result = train(theta, steps_of(), optim)
    with pytest.raises(ValueError, match="client 0 in round 3"):
        check_finite(result, CLIENTS, "in round 3", optim)
