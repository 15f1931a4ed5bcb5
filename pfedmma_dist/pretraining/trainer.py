"""One training run of a mini-CLIP: loss, optimiser, checkpoints."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pfedmma_dist.pretraining.batches import Batch
from pfedmma_dist.pretraining.recipe import Recipe
from pfedmma_dist.pretraining.towers import Towers


class Trainer:
    """The state of a run between two steps."""

    def __init__(self, recipe: Recipe, towers: Towers) -> None:
        self.recipe, self.towers = recipe, towers
        self.step, self.seconds = 0, 0.0
        matrices = [x for x in towers.weights.values() if x.ndim > 1]
        vectors = [x for x in towers.weights.values() if x.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            betas=recipe.betas,
            fused=True,
        )

    @property
    def images(self) -> int:
        """Number of images seen."""
        return self.step * self.recipe.batch

    def train(self, batch: Batch) -> float:
        """Take one step and return the loss: symmetric InfoNCE (CLIP, figure 3)."""
        recipe, towers = self.recipe, self.towers
        images = towers.encode_image(torch.from_numpy(batch.pixels))
        texts = towers.encode_text(torch.from_numpy(batch.ids))
        logits = towers.scale * images @ texts.t()
        own = torch.arange(len(logits))
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(list(towers.weights.values()), recipe.clip_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.lr_at(self.step)
        self.optimiser.step()
        with torch.no_grad():
            towers.weights["logit_scale"].clamp_(max=np.log(recipe.largest_scale))
        self.step += 1
        return loss.item()

    def save(self, path: Path) -> None:
        """Write what `load` needs to go on; a crash leaves the file as it was."""
        part = path.with_name(f"{path.name}.part")
        torch.save(
            {
                "recipe": asdict(self.recipe),
                "step": self.step,
                "seconds": self.seconds,
                "weights": {name: x.detach() for name, x in self.towers.weights.items()},
                "optimiser": self.optimiser.state_dict(),
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Take back what `save` wrote; raise ValueError where it is of another recipe."""
        saved = torch.load(path, weights_only=True)
        if saved["recipe"] != asdict(self.recipe):
            raise ValueError(
                f"--out: {path.parent} holds a run of another recipe ({saved['recipe']}); start "
                "with the same arguments to go on, or choose another folder"
            )
        with torch.no_grad():
            for name, x in self.towers.weights.items():
                x.copy_(saved["weights"][name])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.seconds = saved["step"], saved["seconds"]


def train(
    trainer: Trainer, batches: Iterator[Batch], every: int, stop: Callable[[], bool]
) -> Iterator[float]:
    """Train on all batches, or until `stop` says so.

    Yields the mean loss since the last time, every `every` steps and after the last.
    """
    losses, last = [], time.perf_counter()
    for batch in batches:
        losses.append(trainer.train(batch))
        now = time.perf_counter()
        trainer.seconds, last = trainer.seconds + now - last, now
        if trainer.step % every == 0 or trainer.step == trainer.recipe.steps:
            yield float(np.mean(losses))
            losses.clear()
        if stop():
            return
