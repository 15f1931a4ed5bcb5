"""ProDA: which prompts a step draws, where the names stand, and what their spread adds."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from setting import CLIENTS, LABELS, STEPS, Setting

from pfedmma_dist.methods.proda import ProDAOptions, variance
from pfedmma_dist.rng import Key

FEW = {"num_context": 4, "num_front": 1, "num_middle": 2, "num_end": 2, "num_drawn": 2}


def test_steps_use_up_a_permutation_of_the_prompts_and_clients_differ() -> None:
    method = Setting("proda", FEW).method
    drawn = [method.draw(None, [Key(1, 0, client, step) for client in (0, 1)]) for step in range(8)]
    assert {own.shape for own in drawn} == {(2, 2)}
    passes = np.stack([np.concatenate(drawn[at : at + 2], axis=1) for at in range(0, 8, 2)])
    assert all(len(set(own)) == 4 for own in passes.reshape(-1, 4).tolist())  # one of 5 is left
    assert not np.array_equal(passes[:, 0], passes[:, 1])
    assert not np.array_equal(passes[0], passes[1])


def test_nothing_is_drawn_where_a_step_runs_all() -> None:
    assert Setting("proda", FEW | {"num_drawn": 5}).method.draw(None, []) is None


def test_drawn_prompts_have_the_names_at_their_own_places() -> None:
    setting = Setting("proda", FEW)
    params, drawn = setting.layout.views(setting.theta), np.array([[4, 0], [1, 3], [2, 1]])
    found = setting.method.classes(params, drawn, setting.text)
    for client, own in enumerate(drawn):
        for place, prompt in enumerate(own):
            context = params["prompts"][client, prompt][None]
            before = [0, 2, 2, 4, 4][prompt]
            wanted = setting.text.with_context(context, before)[0]
            torch.testing.assert_close(found[client, place], wanted, rtol=0, atol=1e-12)


def test_variance_is_that_of_differences_to_the_own_class() -> None:
    generator = torch.Generator().manual_seed(0)
    images, classes = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 3, 5), (2, 4, 6, 5))
    )
    labels = torch.tensor([[0, 5, 2], [1, 1, 3]])
    found = variance(images, classes, labels)
    apart = classes - classes.mean(dim=1, keepdim=True)
    for g, b in np.ndindex(2, 3):
        against = apart[g] - apart[g, :, labels[g, b], None]  # [K, C, D]
        wanted = (images[g, b] ** 2 * against**2).sum(dim=(0, 2)) / 5
        torch.testing.assert_close(found[g, b], wanted)
        assert abs(float(found[g, b, labels[g, b]])) < 1e-12


def test_one_prompt_of_one_is_promptfl() -> None:
    one = {"num_front": 0, "num_middle": 0, "num_end": 1, "num_drawn": 1}
    ours, theirs = Setting("proda", one), Setting("promptfl", {})
    losses = [s.losses(ours.theta, STEPS[0]) for s in (ours, theirs)]
    torch.testing.assert_close(*losses, rtol=0, atol=1e-10)


def test_spread_adds_the_bound_written_out_to_the_loss() -> None:
    setting, batch = Setting("proda", FEW | {"num_drawn": 5, "weight": 0.5}), STEPS[0]
    prompts = setting.layout.views(setting.theta)["prompts"]
    losses, scale = setting.losses(setting.theta, batch), setting.clip.scale
    classes = setting.method.classes({"prompts": prompts}, None, setting.text)
    nameless = [setting.text.without_name(own) for own in prompts]
    for g in CLIENTS:
        rows = batch.rows[g][batch.weight[g] > 0]
        x = setting.features.rows(setting.method.images, (rows, None)).to(setting.dtype)
        y, mean = torch.from_numpy(LABELS[rows]), classes[g].mean(dim=0)
        spread = variance(x[None], classes[g : g + 1], y[None])[0]
        loss = F.cross_entropy(scale * x @ mean.T + scale**2 / 2 * spread, y)
        cosines = (nameless[g] @ nameless[g].T).abs()
        pairs = [float(cosines[a, b]) for a in range(5) for b in range(a)]
        wanted = float(loss) + 0.5 * sum(pairs) / 10
        assert float(losses[g]) == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_drawn": 33}, "num_drawn: 33 of the 32 prompts"),
        ({"num_front": -1}, "num_front: -1"),
        ({"weight": -1.0}, "weight: -1"),
        ({"num_context": 0}, "num_context: 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=f"method.{told}"):
        ProDAOptions(**options)
