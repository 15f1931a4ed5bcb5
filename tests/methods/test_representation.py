"""What a method says that training moves, and MOON's contrast of it written out."""

import numpy as np
import pytest
import torch
from setting import STEPS, Setting
from torch import Tensor

from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.federation.corrections.correction import Start
from pfedmma_dist.federation.corrections.moon import Moon
from pfedmma_dist.methods import METHODS


@pytest.mark.parametrize(
    "name",
    ["promptfl", "pfedmma", "ivlp", "fedmvp"],  # vectors of classes, of images, and with prompts
)
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
        read = setting.features.rows(method.images, (batch.rows.reshape(-1), None))
        images = mapped(read, lambda x: x.unflatten(0, batch.rows.shape))
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


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_says_it_moves_are_vectors_that_move(name: str) -> None:
    setting, batch = Setting(name, {}), STEPS[0]
    method, params = setting.method, setting.layout.views(setting.theta)
    assert not method.represents or setting.layout.num_shared > 0
    if not method.represents:
        return
    images = setting.features.rows(method.images, (batch.rows.reshape(-1), None))
    images = mapped(images, lambda x: x.unflatten(0, batch.rows.shape))
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
