"""The linear probe against torch's own linear layer, and on classes that nobody trains on."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agreement import SECOND, near
from setting import LABELS, STEPS, Setting
from tiny import tiny_federation

from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.linear_probe import LinearProbe


@pytest.mark.parametrize("unit", [False, True])
def test_steps_are_those_of_a_linear_layer_that_starts_as_the_prompts(unit: bool) -> None:
    setting = Setting("linear_probe", {"unit": unit})
    optim = OptimConfig(lr=0.01, momentum=0.9, weight_decay=0.0)
    trainer = LocalTrainer(
        setting.method, setting.layout, setting.text, setting.features, LABELS.__getitem__, optim
    )
    start = torch.zeros_like(setting.theta)
    result = trainer.train(start, start[:, :0], None, STEPS[:1] * 3)

    batch, found = STEPS[0], []
    images = setting.features.rows(setting.method.images, (batch.rows.reshape(-1), None))
    images = images.unflatten(0, batch.rows.shape)
    for g, own in enumerate(batch.weight > 0):
        weight = setting.text.plain.clone().requires_grad_()
        steps = torch.optim.SGD([weight], lr=0.01, momentum=0.9)
        for _ in range(3):
            rows = F.normalize(weight, dim=1) if unit else weight
            logits = setting.clip.scale * F.linear(images[g, own], rows)
            steps.zero_grad()
            F.cross_entropy(logits, torch.from_numpy(LABELS[batch.rows[g, own]])).backward()
            steps.step()
        found.append((weight.detach() - setting.text.plain).flatten())
    near(setting.name, SECOND, "step 3", result.theta, torch.stack(found), atol=1e-12)


def test_classes_that_nobody_trains_on_stay_zero_shot() -> None:
    federation = tiny_federation(LinearProbe, optim=OptimConfig(lr=0.1))
    before = federation.evaluate(full=True).percent
    for index in range(3):
        federation.round(index)
    after = federation.evaluate(full=True).percent
    np.testing.assert_array_equal(after["novel"], before["novel"])
    assert (after["base"] != before["base"]).any()
