"""Zero-shot scores of a mini-CLIP on glyphs: those of the log, and those of its card."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pfedmma_dist.clip.cache import CHUNK
from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FINAL, FrozenCLIP
from pfedmma_dist.data.glyphs import glyphs

TEMPLATE = "a photo of a {}."
DIFFICULTY = 0.4
SEEDS = (1, 2, 3)
GAPS = (0.0, 1.0)
PER_CLASS = 36
"""Images per class, seed and gap of the card: six of each domain."""


@dataclass(frozen=True)
class Exam:
    """Images of all classes, as many of each."""

    pixels: np.ndarray  # [N, S, S, 3] uint8
    labels: np.ndarray  # [N] positions in CLASSES
    domains: np.ndarray  # [N]

    @classmethod
    def draw(cls, seed: int, split: str, per_class: int, gap: float) -> "Exam":
        """Draw images as the product does: the domains take turns."""
        labels, indices = np.divmod(np.arange(len(glyphs.CLASSES) * per_class), per_class)
        domains = indices % len(glyphs.DOMAINS)
        combos = glyphs.CLASSES[labels]
        pixels, _ = glyphs.draw(seed, split, combos, domains, indices, DIFFICULTY, gap)
        return cls(pixels, labels, domains)

    def answers(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Return the class [N] that each image is taken for, among the 50 base or 50 novel ones.

        images, texts: unit vectors [N, D] of the images and [100, D] of the class names.
        """
        logits = images @ texts.T
        is_base = np.arange(len(texts)) < glyphs.NUM_BASE
        logits[is_base != self.is_base[:, None]] = -np.inf
        return logits.argmax(axis=1)

    @property
    def is_base(self) -> np.ndarray:
        """Return whether each image is of a base class, [N] bool."""
        return self.labels < glyphs.NUM_BASE


def quick_scores(exam: Exam, answers: np.ndarray) -> dict[str, float]:
    """Return percentages of right classes, base and novel, and of right patterns and shapes."""
    right = answers == exam.labels
    given, true = glyphs.CLASSES[answers], glyphs.CLASSES[exam.labels]
    num = len(glyphs.SHAPES)
    return {
        "base": percent(right[exam.is_base]),
        "novel": percent(right[~exam.is_base]),
        "pattern": percent(given // num == true // num),
        "shape": percent(given % num == true % num),
    }


def card_scores(clip: FrozenCLIP, per_class: int = PER_CLASS) -> dict[str, Any]:
    """Return mean and deviation over seeds of each gap's zero-shot scores, in percent."""
    texts = class_text(clip, glyphs.CLASS_NAMES, TEMPLATE).plain.numpy()
    return {
        "template": TEMPLATE,
        "difficulty": DIFFICULTY,
        "seeds": SEEDS,
        "images_per_class_and_seed": per_class,
        "ways": glyphs.NUM_BASE,
        "percent": {
            f"style gap {gap:g}": _over_seeds(
                [_scores(clip, Exam.draw(seed, "test", per_class, gap), texts) for seed in SEEDS]
            )
            for gap in GAPS
        },
    }


def percent(right: np.ndarray) -> float:
    """Return 100 times the mean."""
    return 100.0 * float(np.mean(right))


def _scores(clip: FrozenCLIP, exam: Exam, texts: np.ndarray) -> dict[str, dict[str, float]]:
    mean, std = torch.tensor(clip.mean), torch.tensor(clip.std)
    chunks = torch.from_numpy(exam.pixels).split(CHUNK)
    pixels = (((chunk / 255 - mean) / std).permute(0, 3, 1, 2) for chunk in chunks)
    images = torch.cat([clip.freeze(chunk, (FINAL,))[0] for chunk in pixels]).numpy()
    right = exam.answers(images, texts) == exam.labels
    shown = ~np.isin(glyphs.CLASSES, glyphs.HELD_OUT)[exam.labels]
    groups = {"all": np.ones_like(right), "seen": shown, "unseen": ~shown}
    groups |= {name: exam.domains == d for d, name in enumerate(glyphs.DOMAINS)}
    halves = {"base": exam.is_base, "novel": ~exam.is_base}
    return {
        half: {name: percent(right[mine & rows]) for name, rows in groups.items()}
        for half, mine in halves.items()
    }


def _over_seeds(scores: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    return {
        half: {
            name: {
                "mean": round(float(np.mean([score[half][name] for score in scores])), 2),
                "std": round(float(np.std([score[half][name] for score in scores], ddof=1)), 2),
            }
            for name in scores[0][half]
        }
        for half in scores[0]
    }
