"""MOON equals the published code's rounds and a softmax written out."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from setting import STEPS, Setting
from tiny import golden, tiny_federation
from torch import Tensor

from pfedmma_dist.config.choices import CorrectionName
from pfedmma_dist.config.learning import CorrectionConfig
from pfedmma_dist.federation.corrections.correction import Start
from pfedmma_dist.federation.corrections.moon import Moon
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.params import Layout, ParamSpec, zeros
from test_corrections import TwoLayers, play


class Represented(TwoLayers):
    """The recorded network, whose representation is its hidden layer."""

    def representation(
        self, params: dict[str, Tensor], classes: Any, images: Tensor, clip: Any
    ) -> Tensor:
        return torch.tanh(images @ params["base"].mT + params["base.bias"][:, None])[:, :, None]


def test_moon_equals_the_published_rounds() -> None:
    method = Represented()
    layout, arrays = Layout(method.specs), golden("moon_pfllib")
    correction = Moon(method, layout, float(arrays["mu"]), float(arrays["tau"]))
    arrays, rounds = play("moon_pfllib", correction, layout, method)
    for index, ours in enumerate(rounds, 1):
        for key, value in (("y", ours.y), ("x", ours.x)):
            np.testing.assert_allclose(value, arrays[f"round{index}/{key}"], atol=2e-6)


@pytest.mark.parametrize("name", ["promptfl", "pfedmma"])  # vectors of classes, and of images
def test_term_and_its_gradient_equal_a_softmax_written_out(name: str) -> None:
    setting, batch = Setting(name, {}), STEPS[0]
    method, layout = setting.method, setting.layout
    correction = Moon(method, layout, 0.7, 0.5)
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal((2, *setting.theta.shape)))
    downloaded, last = (setting.theta + 0.3 * own for own in noise)
    last[:, : layout.num_private] = downloaded[:, : layout.num_private]  # where it was left
    memory = torch.cat([last[:, layout.num_private :], torch.ones(3, 1)], dim=1)
    term = correction.term(Start(downloaded, memory, torch.ones(3)), None, setting.text)

    def written_out(row: Tensor) -> Tensor:
        images = setting.features.rows(method.images, (batch.rows.reshape(-1), None))
        images = images.unflatten(0, batch.rows.shape)
        z, near, far = (
            method.representation(
                layout.views(own), method.classes(layout.views(own), None, setting.text), images,
                setting.clip,
            ) for own in (row, downloaded, last)
        )  # fmt: skip
        terms = []
        for g in range(3):
            own = batch.weight[g] > 0 if z.shape[1] > 1 else np.ones(1, bool)
            cos = [
                (z[g, own] * o[g, own]).sum(-1) / z[g, own].norm(dim=-1) / o[g, own].norm(dim=-1)
                for o in (near, far)
            ]
            positive, negative = (torch.exp(c / 0.5) for c in cos)
            terms.append(0.7 * -torch.log(positive / (positive + negative)).mean())
        return torch.stack(terms)

    found = []
    for loss in (lambda row: setting.trainer.losses(row, None, batch, [term]), written_out):
        row = setting.theta.clone().requires_grad_()
        plain = setting.trainer.losses(row, None, batch) if loss is not written_out else 0.0
        value = loss(row) - plain
        found.append((value, torch.autograd.grad(value.sum(), row)[0]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert (found[0][1] != 0).any(dim=1).all()


def test_first_round_of_a_client_is_that_of_fedavg_and_the_second_is_not() -> None:
    moon = CorrectionConfig(name=CorrectionName.moon, mu=5.0)
    plain, made = tiny_federation(PFedMMA), tiny_federation(PFedMMA, correction=moon)
    losses = [[one.round(index).loss for index in range(2)] for one in (plain, made)]
    assert losses[1][0] - losses[0][0] == pytest.approx(5 * np.log(2), rel=1e-4)
    assert not torch.equal(plain.exchange.shared, made.exchange.shared)


def test_method_that_does_not_say_what_it_moves_is_refused() -> None:
    class Silent(Method):
        """Shares a number, and says no more."""

        name = "silent"
        Options = SimpleNamespace

        def __init__(self, options: Any, dims: Any) -> None:
            self.specs = (ParamSpec("number", (1,), zeros, shared=True),)

    with pytest.raises(ValueError, match=r"^correction\.name: moon .* silent .*representation"):
        tiny_federation(Silent, correction=CorrectionConfig(name=CorrectionName.moon))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_that_shares_says_what_it_moves(name: str) -> None:
    setting, batch = Setting(name, {}), STEPS[0]
    method, params = setting.method, setting.layout.views(setting.theta)
    assert method.represents == (setting.layout.num_shared > 0)
    if not method.represents:
        return
    images = setting.features.rows(method.images, (batch.rows.reshape(-1), None))
    images = images.unflatten(0, batch.rows.shape)
    classes = method.classes(params, setting.prepared(np.arange(3)), setting.text)
    vectors = method.representation(params, classes, images, setting.clip)
    assert vectors.dim() == 4
    assert vectors.shape[0] == 3
    assert vectors.shape[1] in (1, batch.rows.shape[1])
    others = method.representation(
        setting.layout.views(setting.theta + 1.0 * torch.ones(3, 1)),
        method.classes(
            setting.layout.views(setting.theta + 1.0), setting.prepared(np.arange(3)), setting.text
        ),
        images, setting.clip,
    )  # fmt: skip
    assert (vectors != others).flatten(1).any(dim=1).all()
