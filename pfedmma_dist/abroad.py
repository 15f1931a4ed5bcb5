"""Abroad: a trained federation, scored on the test images of a data set that nobody need know.

All classes of that set compete on all of its test images, for every client: the cross-data-set
protocol of prompt learning (CoCoOp, Zhou et al., CVPR 2022, section 4.2). Of that set nothing is
dealt to anybody, so it may have any number of classes and images.
"""

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pfedmma_dist.build import refuse_unreadable, without_unreadable
from pfedmma_dist.clip.alike import refuse_alike
from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.room import towers, within_room
from pfedmma_dist.config.choices import Order
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets import registry
from pfedmma_dist.data.tasks.sample import thinned
from pfedmma_dist.data.tasks.task import ClassSet, Scope, Task
from pfedmma_dist.federation.evaluate import Scores, Sitting, Start, nothing
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.grouping import groups, those_to_score, together
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions
from pfedmma_dist.quantities.elsewhere import CROSS, cross_scope
from pfedmma_dist.run import together as ranks
from pfedmma_dist.world import World


@dataclass(frozen=True)
class Abroad:
    """A federation at home, where its state was made, and on the set that it is scored on."""

    home: Federation
    there: Federation  # the same clients with another task; without features at first

    @property
    def is_trained(self) -> bool:
        """Whether the classes there are those of the training softmax, in its order."""
        return self.there.texts[CROSS].is_trained

    @property
    def is_uniform(self) -> bool:
        """Whether all clients are scored with the same numbers."""
        return self.home.uniform and not Examiner(self.home).tunes

    @property
    def why_not_shared(self) -> str:
        """Say why there is no model that is shared and nobody's own; nothing where there is."""
        home = self.home
        if home.uniform:
            return "all clients hold the same numbers"
        if not home.layout.num_shared:
            return "nothing is shared"
        return "" if home.exchange.uniform else "clients are handed different numbers"

    def exam(self, sitting: Sitting) -> Scores:
        """Score every client that trains with its own numbers. Collective."""
        home, examiner = self.home, Examiner(self.home)
        downloaded = not examiner.tunes
        own = groups(home, home.seen, uniform=self.is_uniform, downloaded=downloaded)
        examiner_there = Examiner(self.there)
        classifier = examiner_there.classifier(home.method, list(self.there.task.scopes))
        return self._honest(examiner_there.graded(classifier, examiner.start, own, sitting))

    def exam_shared(self, sitting: Sitting) -> Scores:
        """Score what a client would hold that never trained: the shared part, and a private one
        that is still the template. Collective."""
        return self._alike(Examiner(self.home).newcomers, sitting)

    def reference(self) -> Scores:
        """Score the untouched CLIP. Collective."""
        return self._alike(nothing, None, ZeroShot(ZeroShotOptions(), self.home.clip.dims))

    def _alike(self, start: Start, sitting: Sitting | None, method: Method | None = None) -> Scores:
        """Score all clients with the same numbers."""
        own, examiner = together(self.home, those_to_score(self.home)), Examiner(self.there)
        scopes = list(self.there.task.scopes)
        classifier = examiner.classifier(method or self.home.method, scopes)
        return self._honest(examiner.graded(classifier, start, own, sitting))

    def _honest(self, found: Scores) -> Scores:
        """Return the same scores without the attackers'."""
        for values in found.percent.values():
            values[self.home.attackers] = np.nan
        return found


def listed(cfg: Config, world: World) -> Images:
    """Return the images of the set that cfg.data names, none of them opened. Collective."""
    world.entering("reading data")
    folder = Path(cfg.clip.cache_folder).expanduser()

    def read() -> Images:
        _refuse_names_in_disorder(cfg)
        images = registry.read(cfg.data, cfg.seed, folder)
        if not len(images.test):
            raise ValueError(f"data.root: {images.place} has no test image to score on")
        refuse_alike(cfg.clip.model, images.class_names, cfg.data.template, images.place)
        return images

    return ranks.together(world, read, ValueError, OSError)


def abroad(home: Federation, cfg: Config, images: Images, world: World) -> Abroad:
    """Return a trained federation on another data set. Collective.

    cfg: resolved, that of the run but for its data section. images: of the set, listed.
    """
    world.entering("reading images")
    images = (
        without_unreadable(images, world)
        if cfg.data.skip_corrupt
        else refuse_unreadable(images, images.test, world)
    )
    there = copy(home)
    there.cfg, there.sources = cfg, None
    there.task = thinned(task_abroad(home.task, images), cfg.evaluate.base_novel_images, cfg.seed)
    trained = home.task.class_sets[home.task.train_classes].names
    is_trained = images.class_names == trained
    text = class_text(home.clip, images.class_names, cfg.data.template, is_trained)
    there.texts = {CROSS: text}

    def rehearsed() -> None:
        with within_room(home.clip.device, "the class names", lambda: [towers(home.clip)]):
            there.rehearse()

    ranks.together(world, rehearsed, ValueError)
    return Abroad(home, there)


def task_abroad(home: Task, images: Images) -> Task:
    """Return a task of the same clients, all of whom are scored on all test images of another set,
    and where that has domains, on those of each."""
    everything = ClassSet.of(CROSS, images, np.arange(len(images.class_names)))
    scopes = [Scope(CROSS, CROSS, images.test, full=True)]
    for domain, name in enumerate(images.domain_names):
        assert images.domains is not None
        rows = images.test[images.domains[images.test] == domain]
        if len(rows):
            scopes.append(Scope(cross_scope(name), CROSS, rows, full=True))
    return replace(home, images=images, class_sets={CROSS: everything}, scopes=tuple(scopes))


def _refuse_names_in_disorder(cfg: Config) -> None:
    """Refuse a control of the run's own classes."""
    if cfg.control.names is not Order.as_given:
        raise ValueError(
            f"control.names: {cfg.control.names.value} is a control of the run's own classes; set "
            f"control.names={Order.as_given.value} to score on all classes of a set"
        )
