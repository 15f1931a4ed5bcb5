"""Batches of captioned glyphs, drawn by a process of their own beside the trainer.

A batch is a function of (recipe, step), so a run that is resumed sees the batches it would have
seen. Its classes are drawn without replacement: no image has another one's caption, and so no
negative of the contrast is a false one.
"""

import multiprocessing
import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import torch

from pfedmma_dist import rng
from pfedmma_dist.clip.load import tokenizer
from pfedmma_dist.clip.model import Tokenizer
from pfedmma_dist.clip.tokens import restricted
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.pretraining.captions import captions, vocabulary
from pfedmma_dist.pretraining.recipe import Recipe

AHEAD = 16
"""Batches drawn in advance."""
PATIENCE = 2.0
"""Seconds between looks whether the other process still lives."""

ALL = np.arange(len(glyphs.PATTERNS) * len(glyphs.SHAPES))
SEEN = np.setdiff1d(ALL, glyphs.HELD_OUT)
"""The combinations that pretraining shows."""


@dataclass(frozen=True)
class Batch:
    """Images with their captions."""

    pixels: np.ndarray  # [B, S, S, 3] uint8
    combos: np.ndarray  # [B]
    ids: np.ndarray  # [B, L] places in the vocabulary's token ids


def words_of(model: Path) -> tuple[np.ndarray, Tokenizer]:
    """Return the token ids [n] of the vocabulary, ascending, and texts to places among them."""
    words = tokenizer(str(model))
    ids = words(vocabulary()).unique()
    return ids.numpy(), restricted(words, ids, "pretraining")


def draw_batch(recipe: Recipe, step: int, tokenize: Tokenizer) -> Batch:
    """Draw the batch of a step. tokenize: gives places in the vocabulary's token ids."""
    generator = rng.generator(recipe.seed, "pretrain batch", step)
    combos = generator.choice(SEEN, recipe.batch, replace=False)
    domains = generator.choice(len(glyphs.DOMAINS), recipe.batch, p=recipe.domain_shares)
    indices = np.arange(step * recipe.batch, (step + 1) * recipe.batch)
    pixels, colours = glyphs.draw(
        recipe.seed, "pretrain", combos, domains, indices, recipe.difficulty_at(step)
    )
    texts = captions(generator, combos, colours, domains)
    return Batch(pixels, combos, tokenize(texts).numpy())


@contextmanager
def drawing(recipe: Recipe, start: int, model: Path) -> Iterator[Iterator[Batch]]:
    """Yield the batches from a step on, drawn in another process that ends with the context."""
    context = multiprocessing.get_context("spawn")
    waiting = context.Queue(AHEAD)
    painter = context.Process(target=_paint, args=(recipe, start, model, waiting), daemon=True)
    painter.start()

    def batches() -> Iterator[Batch]:
        for _ in range(start, recipe.steps):
            while True:
                try:
                    yield waiting.get(timeout=PATIENCE)
                    break
                except queue.Empty:
                    if not painter.is_alive():
                        raise RuntimeError("the process that draws the images has died") from None

    try:
        yield batches()
    finally:
        painter.terminate()
        painter.join()


def _paint(recipe: Recipe, start: int, model: Path, waiting: "Queue[Batch]") -> None:
    """Fill the queue until all is drawn or the trainer is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to answer
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    waiting.cancel_join_thread()
    tokenize = words_of(model)[1]
    for step in range(start, recipe.steps):
        batch = draw_batch(recipe, step, tokenize)
        while True:
            try:
                waiting.put(batch, timeout=PATIENCE)
                break
            except queue.Full:
                if not parent.is_alive():
                    return
    parent.join()
