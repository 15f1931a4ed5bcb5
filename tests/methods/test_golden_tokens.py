"""ProDA and TCP against vectors recorded from published code: prompts at other places."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from test_golden import FORMS, LABELS, NAMES, GoldenFeatures, batch_of, check, in_turn, rows_from
from tiny import golden

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.choices import Optimiser
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.proda import ProDA, ProDAOptions
from pfedmma_dist.methods.tcp import TCP, TCPOptions
from pfedmma_dist.params import Layout
from pfedmma_dist.rng import Key

TCP_KEYS = {
    "context": "prompt_learner.ctx",
    "net.down": "prompt_learner.meta_net.linear1.weight",
    "net.down.bias": "prompt_learner.meta_net.linear1.bias",
    "net.up": "prompt_learner.meta_net.linear2.weight",
    "net.up.bias": "prompt_learner.meta_net.linear2.bias",
}


def context_key(spec: str) -> str:
    return "prompt_learner.ctx"


def proda(clip: FrozenCLIP, positions: np.ndarray, num_drawn: int | None = None) -> ProDA:
    """Return the method with the names at recorded places: 0 front, 1 middle, 2 end."""
    front, middle, end = np.bincount(positions, minlength=3).tolist()
    counts = {"num_front": front, "num_middle": middle, "num_end": end}
    return ProDA(ProDAOptions(num_drawn=num_drawn or len(positions), **counts), clip.dims)


@in_turn("name", ["proda_K1_released", "proda_K8_ends", "proda_K8_positions"])
def test_proda_equals_its_formulas_in_the_published_loss(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    arrays = golden(name)
    method = proda(golden_clip, arrays["positions"])
    check(method, golden_clip, arrays, context_key, num_clients)


@dataclass(frozen=True)
class Recorded(Key):
    """The key of a step whose permutations were recorded, one for every two steps."""

    def generator(self, purpose: str) -> "Recorded":
        return self

    def permutation(self, count: int) -> np.ndarray:
        assert self.step % 2 == 0 and count == 8
        return golden("proda_K8_draw4")["permutations"][self.step // 2]


@FORMS
def test_proda_with_recorded_draws_equals_the_published_steps(
    golden_clip: FrozenCLIP, num_clients: int
) -> None:
    arrays = golden("proda_K8_draw4")
    method = proda(golden_clip, arrays["positions"], 4)
    layout, text = Layout(method.specs), class_text(golden_clip, NAMES, "a photo of a {}.")
    theta = rows_from(layout, arrays, "init", context_key, num_clients)
    trainer = LocalTrainer(
        method, layout, text, GoldenFeatures(golden_clip), LABELS.__getitem__, OptimConfig()
    )
    batch = batch_of(num_clients)
    steps = [replace(batch, keys=(Recorded(1, 0, 0, index),) * num_clients) for index in range(3)]
    near = {"atol": 1e-5, "rtol": 1e-4}
    _, grad = trainer.gradient(theta, None, steps[0])
    expected = rows_from(layout, arrays, "grad", context_key, num_clients)
    torch.testing.assert_close(grad, expected, **near)
    for count in (1, 3):
        result = trainer.train(theta, theta[:, :0], None, steps[:count])
        expected = rows_from(layout, arrays, f"step{count}", context_key, num_clients)
        torch.testing.assert_close(result.theta, expected, atol=1e-6, rtol=0)
        mean = float(arrays["losses"][:count].mean())
        np.testing.assert_allclose(result.loss.numpy(), mean, atol=2e-5)


@FORMS
def test_tcp_equals_the_published_code(golden_clip: FrozenCLIP, num_clients: int) -> None:
    arrays = golden("tcp")
    method = TCP(TCPOptions(blocks=4 - int(arrays["block"])), golden_clip.dims)
    check(method, golden_clip, arrays, TCP_KEYS.__getitem__, num_clients)
    layout, text = Layout(method.specs), class_text(golden_clip, NAMES, "a photo of a {}.")
    theta = rows_from(layout, arrays, "init", TCP_KEYS.__getitem__, num_clients)
    for own in method.tokens(layout.views(theta), text.plain):
        expected = torch.from_numpy(arrays["class_tokens"])
        torch.testing.assert_close(own, expected, atol=2e-5, rtol=0)
    arrays = golden("tcp_adam")
    optim = OptimConfig(
        name=Optimiser.adam, lr=float(arrays["lr"]), eps=float(arrays["eps"]),
        weight_decay=float(arrays["weight_decay"]),
    )  # fmt: skip
    features = GoldenFeatures(golden_clip)
    trainer = LocalTrainer(method, layout, text, features, LABELS.__getitem__, optim)
    for count in (1, 3):
        result = trainer.train(theta, theta[:, :0], None, [batch_of(num_clients)] * count)
        expected = rows_from(layout, arrays, f"step{count}", TCP_KEYS.__getitem__, num_clients)
        torch.testing.assert_close(result.theta, expected, atol=5e-6, rtol=0)
