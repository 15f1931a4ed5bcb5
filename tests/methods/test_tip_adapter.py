"""Tip-Adapter: a client's cache is of its own images, kept to itself, and moves as it should."""

from itertools import product

import numpy as np
import pytest
import torch
from setting import STEPS, Setting
from tiny import SIZES, same_state, tiny_federation

from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.methods import own_images
from pfedmma_dist.methods.tip_adapter import TipAdapter, TipAdapterF, TipAdapterOptions

EVERYBODY = np.arange(len(SIZES))
BOTH = (TipAdapter, TipAdapterF)


def kept(federation: object) -> dict[str, torch.Tensor]:
    return federation.layout.views(federation.clients.gather(EVERYBODY))


def test_votes_are_those_of_a_loop_over_keys() -> None:
    rng = np.random.default_rng(0)
    images, keys = (torch.from_numpy(rng.standard_normal(shape)) for shape in ((1, 3, 4), (5, 4)))
    labels = [2, 0, 2, 1, 2]
    params = {
        name: values[None]
        for name, values in own_images.filled(keys, torch.tensor(labels), 7).items()
    }
    found = own_images.votes(params, images, 1.5, 4)[0]
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for b, image in enumerate(images[0]):
        for key, label in zip(keys, labels, strict=True):
            expected[b, label] += torch.exp(-1.5 * (1 - image @ key))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_searched_point_has_the_logits_of_its_options_bit_for_bit() -> None:
    grid = {"beta": (0.5, 2.0), "alpha": (0.1, 1.0, 30.0)}
    setting, rows = Setting("tip_adapter", {}), STEPS[0].rows
    images = setting.features.rows(setting.method.images, (rows.reshape(-1), None))
    params = setting.layout.views(setting.theta)
    classes = setting.method.classes(params, None, setting.text)
    found = setting.method.over(
        params, classes, images.unflatten(0, rows.shape), setting.clip, grid
    )
    for (beta, alpha), logits in zip(product(*grid.values()), found, strict=True):
        setting.method.options = TipAdapterOptions(alpha=alpha, beta=beta)
        assert torch.equal(logits, setting.logits(setting.theta, rows))


def test_cache_holds_a_clients_own_training_images_and_nothing_else() -> None:
    federation = tiny_federation(TipAdapter)
    federation.round(0)
    found, task = kept(federation), federation.task
    for client in EVERYBODY:
        rows = task.train.rows(client)
        images = federation.sources.train.rows(federation.method.images, (rows, None))
        assert torch.equal(found["keys"][client, : len(rows)], images.float())
        labels = torch.from_numpy(task.labels("base", rows)) + 1
        assert torch.equal(found["values"][client, : len(rows)], labels.float())
        assert not found["keys"][client, len(rows) :].any()
        assert not found["values"][client, len(rows) :].any()


def test_keys_move_from_the_images_on_and_are_not_filled_again() -> None:
    optim = OptimConfig(lr=0.01)
    fixed, moving = tiny_federation(TipAdapter), tiny_federation(TipAdapterF, optim=optim)
    gaps = []
    for index in range(2):
        for federation in (fixed, moving):
            federation.round(index)
        ours, theirs = kept(moving), kept(fixed)
        assert torch.equal(ours["values"], theirs["values"])
        gaps.append((ours["keys"] - theirs["keys"]).abs().amax(dim=(1, 2)))
    assert (gaps[0] > 0).all()
    assert (gaps[1] > gaps[0]).all()


@pytest.mark.parametrize("kind", BOTH)
def test_nothing_is_sent_and_novel_classes_stay_zero_shot(kind: type) -> None:
    federation = tiny_federation(kind, options=TipAdapterOptions(alpha=20.0))
    cost = federation.cost()
    assert (cost.up, cost.down) == (0, 0)
    before = federation.evaluate(full=True).percent
    federation.round(0)
    after = federation.evaluate(full=True).percent
    np.testing.assert_array_equal(after["novel"], before["novel"])
    assert (after["local"] != before["local"]).any()


@pytest.mark.parametrize("kind", BOTH)
def test_resumed_client_keeps_its_cache(kind: type) -> None:
    through, first, second = (tiny_federation(kind, fraction=0.5) for _ in range(3))
    for index in range(4):
        through.round(index)
    for index in range(2):
        first.round(index)
    second.load(*first.state(), 2)
    for index in (2, 3):
        second.round(index)
    same_state(second, through)


def test_unseen_client_fills_its_cache_before_it_is_scored() -> None:
    federation = tiny_federation(TipAdapter, options=TipAdapterOptions(alpha=20.0), unseen=0.4)
    federation.round(0)
    found = federation.evaluate(full=True).percent
    names = [name for name in found if name.startswith("unseen")]
    joined, private = (found[name][federation.unseen] for name in names[:2])
    assert (joined != private).any()
    assert not federation.clients.have_trained(federation.unseen).any()


def test_keys_alone_are_counted_as_trained() -> None:
    fixed, moving = (Setting(kind.name, {}) for kind in BOTH)
    size = moving.method.num_images * moving.clip.dims.embed_dim
    assert moving.method.num_trained(moving.layout) == size
    assert fixed.method.num_trained(fixed.layout) == 0


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_weight_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"method.{name}: 0.0; set a positive number"):
        TipAdapterOptions(**{name: 0.0})
