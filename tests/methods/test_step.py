"""What a penalty sees, and several kinds of image features at once, against a slow loop."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from distilled import Distilled
from setting import CLIENTS, OPTIM, STEPS
from tiny import CLASSES, NUM_BASE, NoiseFeatures, tiny_clip, tiny_federation
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FINAL, PATCHES
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import Layout

LABELS = np.array([0, 1] * 5 + [2] * 3 + [1, 3] * 3)
OWN = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]], bool)
"""The classes of the three clients' images."""


class Lesson:
    """The distilled method on one form of the tiny CLIP, and rows of three clients."""

    def __init__(self, own: np.ndarray | None = None, *, plain: bool = False) -> None:
        self.clip = tiny_clip(torch.float64, plain=plain)
        self.method = Distilled(Distilled.Options(), self.clip.dims)
        self.layout = Layout(self.method.specs)
        self.text = class_text(self.clip, CLASSES[:NUM_BASE], "a photo of a {}.")
        self.features = NoiseFeatures(self.clip)
        noise = np.random.default_rng(2).standard_normal((3, self.layout.num_trained))
        self.theta = 0.2 * torch.from_numpy(noise)
        columns_of = None if own is None else own.__getitem__
        self.trainer = LocalTrainer(
            self.method, self.layout, self.text, self.features, LABELS.__getitem__, OPTIM,
            columns_of=columns_of,
        )  # fmt: skip

    def slow_loss(self, row: Tensor, g: int, own: np.ndarray | None) -> Tensor:
        """Return the loss of one client on the first step, image by image, padding left out and
        the classes of others cut away."""
        columns = np.arange(NUM_BASE) if own is None else np.flatnonzero(own[g])
        text = class_text(self.clip, tuple(CLASSES[c] for c in columns), "a photo of a {}.")
        vectors = text.with_context(row.view(1, 2, -1))[0]
        batch, losses = STEPS[0], []
        for image in batch.rows[g][batch.weight[g] > 0]:
            pixels = self.features.pixels[image : image + 1]
            patches, final = (
                self.clip.encode_image(x, kind)[0]
                for x, kind in zip(
                    self.clip.freeze(pixels, (PATCHES, FINAL)), (PATCHES, FINAL), strict=True
                )
            )
            logits = self.clip.scale * vectors @ F.normalize(final + patches.mean(dim=0), dim=0)
            teacher = (self.clip.scale * text.plain @ final).softmax(dim=0)
            label = columns.tolist().index(LABELS[image])
            said = logits.log_softmax(dim=0)
            losses.append(-said[label] - 0.7 * (teacher * said).sum())
        return torch.stack(losses).mean()


@pytest.mark.parametrize("own", [None, OWN], ids=["all classes", "own classes"])
def test_distillation_equals_a_slow_loop_over_images_and_the_softmax_of_their_classes(
    own: np.ndarray | None,
) -> None:
    lesson = Lesson(own)
    assert (STEPS[0].weight == 0).any()
    loss, grad = lesson.trainer.gradient(lesson.theta, None, STEPS[0])
    for g in CLIENTS:
        row = lesson.theta[g].clone().requires_grad_()
        slow = lesson.slow_loss(row, g, own)
        torch.testing.assert_close(loss[g], slow.detach(), rtol=0, atol=1e-10)
        torch.testing.assert_close(grad[g], torch.autograd.grad(slow, row)[0], rtol=0, atol=1e-9)


def test_plain_form_gives_several_kinds_the_same_loss_and_gradient() -> None:
    fast, slow = (
        lesson.trainer.gradient(lesson.theta, None, STEPS[0])
        for lesson in (Lesson(OWN), Lesson(OWN, plain=True))
    )
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_scores_read_all_kinds() -> None:
    federation = tiny_federation(Distilled)
    federation.round(0)
    percent = federation.evaluate(full=True).percent["base"]
    task, clip = federation.task, federation.clip
    [scope] = [scope for scope in task.scopes if scope.name == "base"]
    features = federation.sources.test.rows(federation.method.images, (scope.rows, None))
    theta, _ = federation.start(np.arange(6), training=False)
    for client, row in enumerate(theta):
        params = federation.layout.views(row[None])
        classes = federation.method.classes(params, None, federation.texts["base"])
        images = tuple(x[None] for x in features)
        logits = federation.method.logits(params, classes, images, clip)[0]
        right = logits.argmax(dim=1).numpy() == task.labels("base", scope.rows)
        assert percent[client] == pytest.approx(100 * right.mean())


def test_zero_shot_logits_need_final_features_by_name() -> None:
    nothing = torch.zeros(1, 1)
    step = Step(None, PATCHES, nothing, nothing, nothing, nothing)
    with pytest.raises(TypeError, match="zero-shot logits need FINAL among the images"):
        step.zero_shot()
