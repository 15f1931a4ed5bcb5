"""Pretrain the mini-CLIP on captioned glyphs: `python -m pfedmma_dist.pretrain --out FOLDER`.

One thread trains, one process beside it draws the images. Ctrl-C saves and stops (exit code 75);
the same command goes on. FOLDER then holds mini_clip.safetensors and its card, for
pfedmma_dist/assets. `--score FILE` scores weights that are there and renews the card beside them.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from pfedmma_dist.ending import ended
from pfedmma_dist.pretraining.recipe import Recipe
from pfedmma_dist.pretraining.words import parser

if __name__ == "__main__":  # what the words decide is told before imports of seconds
    parser(__doc__).parse_args()

import torch

from pfedmma_dist import command
from pfedmma_dist.clip.cache import CHUNK
from pfedmma_dist.clip.model import Tokenizer
from pfedmma_dist.data.glyphs.glyphs import CLASS_NAMES
from pfedmma_dist.pretraining.batches import drawing, words_of
from pfedmma_dist.pretraining.card import MODEL, publish, score_again
from pfedmma_dist.pretraining.score import TEMPLATE, Exam, quick_scores
from pfedmma_dist.pretraining.towers import Towers
from pfedmma_dist.pretraining.trainer import Trainer, train
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.signals import STOPPED, StopSignal
from pfedmma_dist.spelling import spelled
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

EVERY = 500
"""Steps between two lines of the log and between two checkpoints."""
PER_CLASS = 8
"""Validation images per class."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = parser(__doc__).parse_args(argv)
    configure_logging(World.alone(), None)
    torch.set_num_threads(1)
    try:
        if args.score is not None:
            score_again(args.score)
            return 0
        if args.images < Recipe.batch or args.seed < 0:
            raise ValueError(
                f"--images {args.images} --seed {args.seed}: give at least one batch of "
                f"{Recipe.batch} images and a seed of 0 or more"
            )
        return pretrain(Recipe(images=args.images, seed=args.seed), args.out)
    except ValueError as error:
        sys.stderr.write(f"error: {spelled(str(error))}\n")
        return command.MEND


def pretrain(recipe: Recipe, out: Path, model: Path = MODEL) -> int:
    """Train a mini-CLIP into a folder, or go on with it."""
    ids, tokenize = words_of(model)
    trainer = Trainer(recipe, Towers.start(model, ids, recipe.seed))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--out {out}: cannot be made ({error.strerror}); give a folder that you may write to"
        ) from error
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        log.info("going on after %d of %d images", trainer.images, recipe.images)
    report = _reporter(trainer, tokenize)
    with StopSignal() as stop, drawing(recipe, trainer.step, model) as batches:
        stop.wait_for_round()
        for loss in train(trainer, batches, EVERY, stop):
            report(loss)
            trainer.save(checkpoint)
    if trainer.step < recipe.steps:
        trainer.save(checkpoint)
        log.info("saved after %d images; the same command goes on", trainer.images)
        return STOPPED
    log.info("wrote %s and its card", publish(trainer, ids, out, model))
    return 0


def _reporter(trainer: Trainer, tokenize: Tokenizer) -> Callable[[float], None]:
    """Return what logs one line about a loss and the scores of the moment."""
    exam = Exam.draw(trainer.recipe.seed, "validation", PER_CLASS, gap=0.0)
    prompts = tokenize([TEMPLATE.format(name) for name in CLASS_NAMES])
    start_images, start_seconds = trainer.images, trainer.seconds

    def report(loss: float) -> None:
        with torch.no_grad():
            texts = trainer.towers.encode_text(prompts).numpy()
            chunks = torch.from_numpy(exam.pixels).split(CHUNK)
            images = torch.cat([trainer.towers.encode_image(chunk) for chunk in chunks]).numpy()
        scores = quick_scores(exam, exam.answers(images, texts))
        speed = (trainer.images - start_images) / (trainer.seconds - start_seconds)
        words = ", ".join(f"{name} {value:.1f}" for name, value in scores.items())
        log.info("%d images, %.0f/s, loss %.3f, %s", trainer.images, speed, loss, words)

    return report


if __name__ == "__main__":
    command.leave(ended(main))
