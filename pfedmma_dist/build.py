"""Put a federation together from a configuration: images, task, CLIP, method, frozen features."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pfedmma_dist.alike import refuse_other_lists
from pfedmma_dist.clip import cache
from pfedmma_dist.clip.alike import refuse_alike
from pfedmma_dist.clip.disk import check_folder
from pfedmma_dist.clip.kinds import listed
from pfedmma_dist.clip.load import check, dims, load
from pfedmma_dist.clip.model import FINAL, FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.names import HUB
from pfedmma_dist.clip.room import chunk, towers, within_room
from pfedmma_dist.clip.storage import GIB
from pfedmma_dist.config.choices import CacheMode, Select
from pfedmma_dist.config.command_line import resolve_method
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.private import refuse_idle
from pfedmma_dist.data.images.images import Images, Scaling, without
from pfedmma_dist.data.images.pixels import PixelLoader
from pfedmma_dist.data.sets import registry
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.divided import divide, method_of, refuse_several
from pfedmma_dist.federation.classify import rows_of
from pfedmma_dist.federation.cohort import check_ranks
from pfedmma_dist.federation.corrections.registry import corrections_of
from pfedmma_dist.federation.counting import check as check_counting
from pfedmma_dist.federation.evaluate import Scores, no_bar
from pfedmma_dist.federation.examiner import Examiner, check_finetuning
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.plan import plan_of
from pfedmma_dist.federation.released.misfits import check_released
from pfedmma_dist.federation.sources import Sources
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions
from pfedmma_dist.params import Layout
from pfedmma_dist.quantities.scores import VAL
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

NAMED = 5
"""Unreadable images that a message names."""


def assemble(cfg: Config, world: World) -> Federation:
    """Return the federation of a resolved configuration, still without features.

    What a user can mend on any rank becomes one TogetherError on all of them. What is cheap to
    refuse comes first: images are listed, weights are loaded and prompts tried before the first
    image is decoded. Collective.
    """
    world.entering("reading data")
    folder = Path(cfg.clip.cache_folder).expanduser()

    def listed() -> list[Images]:
        check_ranks(cfg.federation, world.size)
        check(cfg.clip)
        _refuse_misfits(cfg)
        check_folder(cfg.clip)
        return [registry.read(own, cfg.seed, folder) for own in registry.sets_of(cfg.data)]

    def told_apart() -> None:
        for own, of in zip(registry.sets_of(cfg.data), images, strict=True):
            refuse_alike(cfg.clip.model, of.class_names, own.template, of.place)

    images = together(world, listed, ValueError, OSError)
    together(world, told_apart, ValueError)
    refuse_other_lists(images, world)

    def divided() -> Task:
        task = divide(cfg, images)
        plan_of(cfg, task)  # refused before weights are read
        return task

    def loaded() -> FrozenCLIP:
        return load(cfg.clip, cfg.seed, world.device)

    def built() -> Federation:
        method = method_of(cfg, task, clip.dims)
        federation = Federation(cfg, task, method, clip, world)
        if method.counts:
            num_images = int(federation.sizes[federation.seen].sum())
            check_counting(method, federation.layout, federation.corrections, num_images)
        with within_room(clip.device, "the class names", lambda: [towers(clip)]):
            federation.rehearse()
        _refuse_blind_choice(federation)
        return federation

    if not cfg.data.skip_corrupt:  # else it depends on which images can be read
        task = together(world, divided, ValueError)
    world.entering("loading CLIP")
    clip = together(world, loaded, ValueError)
    if cfg.data.skip_corrupt:
        world.entering("reading images")
        images = [without_unreadable(own, world) for own in images]
        task = together(world, divided, ValueError)
    federation = together(world, built, ValueError)
    if not cfg.data.skip_corrupt:
        world.entering("reading images")
        inspected = refuse_unreadable(task.images, used_rows(task), world)
        federation.task = replace(task, images=inspected)
    return federation


def attach_features(
    federation: Federation,
    steps: cache.Steps = no_bar,
    *,
    training: bool = True,
    testing: bool = True,
) -> list[cache.FeatureCache]:
    """Give a federation its frozen features and return the caches that hold them. Collective.

    Test and training images have a cache each: the former serves every seed and every division.
    What is not asked for is encoded when it is read.
    """
    cfg, clip = federation.cfg, federation.clip
    images = federation.task.images
    scaling = images.scaling or Scaling(clip.mean, clip.std)
    pixels = PixelLoader(images, clip.dims.image_size, scaling.mean, scaling.std, cfg.seed)
    fresh = cache.FreshFeatures(clip, pixels)
    if cfg.clip.cache is CacheMode.off:
        federation.sources = Sources(train=fresh, test=fresh)
        return []
    budget, world = cfg.clip, federation.world
    world.entering("encoding")
    on_host = np.flatnonzero(np.isin(federation.host_of, world.host_ranks)).tolist()
    host_train, host_test = federation.feature_groups(on_host)
    train, test = federation.feature_groups(federation.hosted)

    def cached(
        groups: list[cache.Views], kinds: list[ImageFeatures], of: str
    ) -> cache.FeatureCache:
        key = f"{of} {images.identity(np.unique(cache.join(groups)[0]))}"
        key += f" {images.scaling}" if images.scaling else ""
        try:
            with within_room(clip.device, "encoding", lambda: [chunk(clip, kinds), towers(clip)]):
                found = cache.build(
                    clip, tuple(kinds), groups, pixels, world, budget, key, steps,
                    f"{cfg.data.name}, {'test' if groups is host_test else 'training'} images",
                )  # fmt: skip
        except OSError as error:
            raise ValueError(
                f"clip.cache_folder: cannot write the feature cache ({error}); make room there, "
                "point clip.cache_folder at another disk, or set clip.cache=off"
            ) from error
        return found

    read = list(listed(federation.method.images))
    kinds = list(dict.fromkeys([FINAL, *read]))  # FINAL for zero-shot CLIP
    in_train: cache.FeatureCache | None = None
    in_test: cache.FeatureCache | None = None
    if testing:
        in_test = cached(host_test, kinds, "centre crop")
        if in_test.place != "disk":
            left = budget.cache_memory - in_test.num_bytes / GIB
            budget = replace(budget, cache_memory=max(0, left))
    if training and cfg.data.views > 0:
        # numpy may change what its random streams draw
        drawn = f"augmented, seed {cfg.seed}, numpy {np.__version__}"
        of = "centre crop" if cfg.data.views == 1 else drawn
        in_train = cached(host_train, read, of)
    if in_train is not None:  # the first to find room on a GPU: they are read oftener
        in_train = in_train.to_device(cache.join(train), world.sharers)
    if in_test is not None:
        in_test = in_test.to_device(cache.join(test), world.sharers)
    federation.sources = Sources(
        train=fresh if in_train is None else in_train, test=fresh if in_test is None else in_test
    )
    return [each for each in (in_test, in_train) if each is not None]


def zero_shot(federation: Federation) -> Scores:
    """Score the untouched CLIP on every test set: the reference line of a run. Collective."""
    return Examiner(federation).reference(ZeroShot(ZeroShotOptions(), federation.clip.dims))


def _refuse_misfits(cfg: Config) -> None:
    """Refuse options that do not fit the CLIP, and corrections that do not fit the method, before
    data and weights are read; where the sizes of the CLIP come over the network, that waits."""
    refuse_idle(cfg.privacy)
    refuse_several(cfg)
    if cfg.clip.model.startswith(HUB):
        return
    name, options = resolve_method(cfg.method, METHODS)
    method = METHODS[name](options, dims(cfg.clip.model))
    layout = Layout(method.specs)
    corrections = corrections_of(cfg, method, layout)
    check_finetuning(cfg.evaluate, layout)
    check_released(cfg, method, layout)
    if method.counts:
        check_counting(method, layout, corrections)


def _refuse_blind_choice(federation: Federation) -> None:
    """Say so where a round is to be chosen by validation images, and no client that trains has
    one."""
    task, seen = federation.task, federation.seen
    sizes = [scope.apart.sizes(seen).sum() for scope in task.scopes if scope.name == VAL]
    if federation.cfg.evaluate.select is Select.best_val and not sum(sizes):
        raise ValueError(
            "evaluate.select: best_val needs validation images, and none of the "
            f"{len(seen)} clients that train has one; add some, or set evaluate.select=last"
        )


def used_rows(task: Task) -> np.ndarray:
    """Return all image rows that a task trains or scores on, ascending."""
    return np.union1d(task.train.members, rows_of(task.scopes, np.arange(task.num_clients)))


def refuse_unreadable(images: Images, rows: np.ndarray, world: World) -> Images:
    """Return the images, inspected; raise where one of these cannot be decoded, before any work."""
    inspected, bad, told = _inspected(images, rows, world)
    if len(bad):
        raise TogetherError(
            f"data.root: {len(bad)} of {len(rows)} images cannot be read: {told}; mend or remove "
            "them, or set data.skip_corrupt=true to leave them out"
        )
    return inspected


def without_unreadable(images: Images, world: World) -> Images:
    """Return the images without those that cannot be decoded, and say how many these were."""
    inspected, bad, told = _inspected(images, np.arange(len(images)), world)
    if len(bad):
        log.warning("data.skip_corrupt: left out %d of %d images: %s", len(bad), len(images), told)
    return without(inspected, bad)


def _inspected(images: Images, rows: np.ndarray, world: World) -> tuple[Images, np.ndarray, str]:
    """Return the images with digests of these rows, the unreadable of them, and a text about these.

    The ranks share the work.
    """
    mine = slice(world.rank, None, world.size)
    found = together(world, lambda: images.store.inspect(rows[mine]), OSError)
    table = torch.zeros(len(rows), 3, dtype=torch.int64)
    table[mine, :2] = torch.from_numpy(found.content)
    table[np.searchsorted(rows, [row for row, _ in found.unreadable]), 2] = 1
    total = world.exact_sum(table).numpy()
    content = np.zeros((len(images), 2), np.int64)
    content[rows] = total[:, :2]
    bad = rows[total[:, 2] > 0]
    named = [
        f"{images.store.name(row)}: {reason}"
        for row, reason in found.unreadable
        if row in bad[:NAMED]
    ]
    told = [text for text in world.gather_texts("; ".join(named)) if text]
    words = "; ".join([*told, "..."] if len(bad) > NAMED else told)
    return replace(images, content=content), bad, words
