"""Look over what numbers rest on: `python -m launch.verify --canary DATA [key=value ...]`.

Scores zero-shot CLIP on whatever of the eleven data sets lies below DATA, each with its own prompt,
and holds it beside the published accuracy of ViT-B/16: weights, activation, tokenizer, prompts,
splits and the order of classes are right, or nothing else is worth running. Where one is outside
its band, each likely cause is tried on 200 of its images. key=value words are those of training, as
clip.pretrained=FILE and run.device=cpu. Exit codes: 0, 1 where a set is outside, 2 something to
mend.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pfedmma_dist.canary.look import Sight, look
from pfedmma_dist.canary.published import SOURCE, ZERO_SHOT, Halves
from pfedmma_dist.canary.suspects import Verdict, judge
from pfedmma_dist.clip.load import load
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import CacheMode, Config
from pfedmma_dist.data.download.catalogue import ORIGINS
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets import coop, registry
from pfedmma_dist.ending import ended
from pfedmma_dist.methods import METHODS
from pfedmma_dist.quantities.units import duration
from pfedmma_dist.spelling import spelled
from pfedmma_dist.world import World, limit_threads

KINDS = {"ViT-B-16", "ViT-B-16-quickgelu"}
"""Names of the model that the published accuracies are of."""

EVERY = 20.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Canary:
    """One data set that lies there."""

    name: str
    images: Images
    template: str
    same_images: bool  # its split is the published one

    @property
    def published(self) -> Halves:
        return ZERO_SHOT[self.name]


def main(argv: list[str] | None = None) -> int:
    """Look over the sets and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.verify", description=__doc__)
    parser.add_argument("--canary", metavar="DATA", required=True, help="as data.root in runs")
    parser.add_argument("--sets", metavar="NAME,NAME", help=f"some of {', '.join(ZERO_SHOT)}")
    parser.add_argument("words", metavar="key=value", nargs="*", help="clip.pretrained=FILE")
    words = parser.parse_args(argv)
    try:
        cfg = read(
            [f"data.root={words.canary}", *words.words], methods=METHODS, sources=registry.SOURCES
        )
        canaries = found(cfg, _asked(words.sets))
        world = World.connect(cfg.run.device)
        try:
            limit_threads(cfg.run.threads, world)
            inside = [_sings(canary, cfg, world) for canary in canaries]  # each is looked at
            return 0 if all(inside) else 1
        finally:
            world.close()
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2


def found(cfg: Config, asked: list[str]) -> list[Canary]:
    """Return the sets of these that lie below data.root, and say which do not."""
    there, absent = [], []
    for name in asked:
        try:
            own = replace(cfg.data, name=name)
            images = registry.read(own, cfg.seed, Path(cfg.clip.cache_folder).expanduser())
        except ValueError as error:
            if _homes(name, Path(cfg.data.root).expanduser()):
                raise  # it is there, and something is wrong with it
            absent.append(name)
            print(f"absent   {name}: {spelled(str(error))}")
            continue
        source: Any = registry.SOURCES[name]  # with a prompt of its own, as all of CoOp's have
        there.append(Canary(name, images, source.template, is_published(name, images, cfg)))
    if not there:
        raise ValueError(
            f"--canary: none of {', '.join(absent)} lies below {cfg.data.root}; "
            "`python -m pfedmma_dist.prepare NAME` says how to get one"
        )
    return there


def _sings(canary: Canary, cfg: Config, world: World) -> bool:
    """Score one set, print its line, and say why it is outside where it is; return whether not."""
    clip = load(cfg.clip, cfg.seed, world.device)
    sight = look(clip, canary.images, canary.template, _Progress(canary))
    band = sight.band(canary.published, same_images=canary.same_images)
    pairs = list(zip(sight.accuracy, canary.published, band, strict=True))
    inside = all(abs(ours - theirs) <= wide for ours, theirs, wide in pairs)
    print(_line(canary, sight, pairs, inside))
    if cfg.clip.model not in KINDS or cfg.clip.pretrained is None:
        print("         no weights of ViT-B/16: this shows the way, and the numbers say nothing")
    if not inside:
        del clip
        verdict = judge(
            lambda: _clips(cfg, world), canary.images, canary.template,
            same_images=canary.same_images,
        )  # fmt: skip
        print(_told(verdict))
    return inside


def _clips(cfg: Config, world: World) -> Iterator[tuple[str, FrozenCLIP]]:
    """Yield the CLIP as it is, then with the other activation where its image tower is ours."""
    plain = replace(cfg.clip, cache=CacheMode.off)  # nothing is folded in the plain form
    clip = load(plain, cfg.seed, world.device)
    yield "", clip
    if clip.image is not None:
        [activation] = {tower.swap_activation() for tower in (clip.image, clip.text)}
        yield activation, clip


def _line(
    canary: Canary, sight: Sight, pairs: list[tuple[float, float, float]], inside: bool
) -> str:
    words = "; ".join(
        f"{half} {ours:.2f} (published {theirs:.2f} ± {wide:.2f}, {count:,} images)"
        for half, (ours, theirs, wide), count in zip(
            ("base", "novel"), pairs, sight.counts, strict=True
        )
    )
    split = "published split" if canary.same_images else "not the published split"
    return (
        f"{'inside ' if inside else 'OUTSIDE'}  {canary.name}: {words}\n"
        f"         {split}, {sight.split}; prompt {canary.template!r}"
    )


def _told(verdict: Verdict) -> str:
    name = verdict.suspect or "nothing that was tried"
    lines = [f"         likely cause: {name}; {verdict.words}"]
    for trial in verdict.trials:
        lines.append(f"         {trial.percent:6.1f} %  {trial.suspect or 'now'}: {trial.words}")
    return "\n".join(lines)


class _Progress:
    """Says how long a set will take once it is known, and how far it is."""

    def __init__(self, canary: Canary) -> None:
        self.name, self.total = canary.name, len(canary.images.test)
        self.done, self.began, self.told = 0, time.monotonic(), 0.0

    def __call__(self, count: int) -> None:
        self.done += count
        took = time.monotonic() - self.began
        left = took / self.done * (self.total - self.done)
        if self.done == count or took - self.told >= EVERY:
            self.told = took
            print(f"{self.name}: {self.done:,} of {self.total:,} images, {duration(left)} left",
                  file=sys.stderr)  # fmt: skip


def _asked(words: str | None) -> list[str]:
    asked = [name.strip() for name in (words or ",".join(ZERO_SHOT)).split(",") if name.strip()]
    for name in asked:
        if name not in ZERO_SHOT:
            raise ValueError(f"--sets: {name!r} is none of {', '.join(ZERO_SHOT)} ({SOURCE})")
    return asked


def _homes(name: str, root: Path) -> list[Path]:
    """Return the folders below data.root in which a set may lie, and that are there."""
    homes = coop.SETS[name].homes if name in coop.SETS else (name,)
    return [root / home for home in homes if (root / home).is_dir()]


def is_published(name: str, images: Images, cfg: Config) -> bool:
    """Whether the test images are those of the split that everybody uses."""
    sizes = ORIGINS[name].sizes
    if sizes is None or len(images.test) != sizes.test or len(images.class_names) != sizes.classes:
        return False
    if name not in coop.SETS:
        return True
    file = f"split_zhou_{coop.SETS[name].split}.json"
    return any((home / file).is_file() for home in _homes(name, Path(cfg.data.root).expanduser()))


if __name__ == "__main__":
    sys.exit(ended(main))
