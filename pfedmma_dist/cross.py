"""Cross: score a run's clients on another data set, say what was scored, and write it down."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pfedmma_dist.abroad import Abroad, abroad, listed
from pfedmma_dist.build import attach_features
from pfedmma_dist.config.command_line import from_yaml
from pfedmma_dist.config.identity import digest, flat
from pfedmma_dist.config.keys import Config, DataConfig
from pfedmma_dist.config.merge import origins
from pfedmma_dist.config.words import word_layer
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation.evaluate import Sitting
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.grouping import sample_of
from pfedmma_dist.methods import METHODS
from pfedmma_dist.quantities.elsewhere import CROSS, cross_scope
from pfedmma_dist.quantities.sampled import sample_lines
from pfedmma_dist.quantities.scores import SCOPE_MEAN, summary
from pfedmma_dist.quantities.scores import scores as quantities
from pfedmma_dist.results.evaluations import write_evaluation
from pfedmma_dist.run.files import writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import MethodResult
from pfedmma_dist.run.table import show
from pfedmma_dist.trained import restored
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

KEPT = ("name", "root", "template", "skip_corrupt")
"""Keys of the data section that another set takes over from the run's, where none is given."""

READ = (
    "name", "names", "root", "classes", "class_names", "list", "layout", "nested", "template",
    "statistics", "skip_corrupt", "difficulty", "style_gap", "train_per_class", "test_per_class",
)  # fmt: skip
"""Keys of the data section that a set is read by; the others deal it to clients."""

SECTION = "data."


def is_elsewhere(cfg: Config, folder: RunFolder) -> bool:
    """Whether a configuration asks for a data set of another name than the run's own."""
    return cfg.data.name != _own(folder).name


def score_elsewhere(cfg: Config, folder: RunFolder, world: World, words: Sequence[str]) -> int:
    """Score the newest checkpoint of a run on all test images of the set that cfg.data names, and
    return the exit code.

    words: what the command line gave beside the run.
    """
    console = configure_logging(world, None)
    world.tell()
    own, given = _own(folder), _given(words)
    is_own = (cfg.data.name, cfg.data.root) == (own.name, own.root)
    idle = [f"{SECTION}{key}" for key in given if key not in READ]
    if idle and world.first:
        log.warning("%s: no effect: a set that is scored on is dealt to nobody", ", ".join(idle))
    cfg = replace(cfg, data=_read_by(cfg.data, own if is_own else None, given))
    images = listed(cfg, world)  # before a state is loaded for them
    home, done = restored(replace(cfg, data=own), folder, world)
    pair = abroad(home, replace(home.cfg, data=cfg.data), images, world)
    with Progress(world, console, done) as progress:
        if Examiner(home).tunes:
            attach_features(home, progress.step, testing=False)
        attach_features(pair.there, progress.step, training=False)
        sitting = Sitting(bar=progress.part)
        scores = pair.exam(sitting)
        beside = pair.reference().beside(scores)
        why_not = pair.why_not_shared
        shared = None if why_not else pair.exam_shared(Sitting(bar=progress.part)).beside(scores)
    if not world.first:
        return 0
    results = [
        MethodResult.of("zero-shot CLIP", summary(beside)),
        MethodResult.of(cfg.method["name"], summary(scores.percent), home.num_trained, home.cost()),
    ]
    if shared is not None:
        results.append(MethodResult.of(f"{cfg.method['name']}, shared part alone", summary(shared)))
    scored = _facts(pair, own, is_own)
    facts: dict[str, Any] = {
        "rounds": done,
        "select": cfg.evaluate.select.value,
        "config": flat(cfg),
        CROSS: {**scored, "words": _lasting(words), "why_not_shared": why_not},
    }
    sample = sample_of(pair.there)
    if sample is not None:
        facts["scored"] = sample.facts(scores.percent)
    path = folder.evaluations / f"{cfg.data.name}-{digest(cfg, METHODS)}.json"
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        rows = [asdict(row) for row in results]
        write_evaluation(path, folder, {**facts, "results": rows, "clients": scores.percent})
    means = [replace(row, scores=_without_domains(row.scores)) for row in results]
    show(f"{folder.path} after round {done}, on {cfg.data.name}", means)
    sys.stdout.writelines(f"{line}\n" for line in _told(scored, results, why_not))
    sys.stdout.writelines(f"{line}\n" for line in sample_lines(facts.get("scored")))
    sys.stdout.write(f"scores of each client  {path}\n")
    return 0


def _own(folder: RunFolder) -> DataConfig:
    """Return the data section that the run was trained with."""
    return from_yaml(folder.config, methods=METHODS, sources=SOURCES).data


def _given(words: Sequence[str]) -> list[str]:
    """Return the keys of the data section that files and key=value words give."""
    found = origins(Config, [word_layer(word) for word in words])
    return [key.removeprefix(SECTION) for key in found if key.startswith(SECTION)]


def _lasting(words: Sequence[str]) -> list[str]:
    """Return the words that say more than where and with what this process works."""
    return [word for word in words if not word.startswith("run.")]


def _read_by(asked: DataConfig, own: DataConfig | None, given: Sequence[str]) -> DataConfig:
    """Return the data section of the set to score on.

    asked: the run's with what is given. own: the run's, where it is the same set; what reads
    another set are the defaults, but for KEPT and what is given.
    """
    taken = [key for key in READ if key in given or (own is None and key in KEPT)]
    values = {key: getattr(asked, key) for key in taken}
    return replace(own or DataConfig(), **values)


def _facts(pair: Abroad, own: DataConfig, is_own: bool) -> dict[str, Any]:
    """Return what is scored on what, for programs."""
    task, data = pair.there.task, pair.there.cfg.data
    sizes = {scope.name: len(scope.together) for scope in task.scopes}
    named = {name: sizes.get(cross_scope(name), 0) for name in task.images.domain_names}
    home: Federation = pair.home
    return {
        "data": data.name,
        "root": data.root,
        "own": is_own,
        "trained_on": own.name,
        "held_out": own.held_out,
        "template": data.template,
        "num_classes": len(task.images.class_names),
        "num_images": sizes[CROSS],
        "domains": {name: count for name, count in named.items() if count},
        "is_trained": pair.is_trained,
        "num_clients": len(home.seen),
        "is_uniform": pair.is_uniform,
        "client_domains": {name: own.tolist() for name, own in home.task.domains.items()},
    }


def _told(
    scored: Mapping[str, Any], results: Sequence[MethodResult], why_not_shared: str
) -> list[str]:
    """Return the words about what was scored."""
    whose = (
        "they are those of the training softmax, parts per class included"
        if scored["is_trained"]
        else "not those of the training softmax, so that parts per class are left out"
    )
    lines = [
        f"scored  all {scored['num_images']:,} test images of {scored['data']}, "
        f"each among all its {scored['num_classes']:,} classes, as {scored['template']!r}",
        f"classes  {whose}",
    ]
    for row in results if scored["domains"] else ():
        means = (
            f"{name} {row.scores[SCOPE_MEAN.named(cross_scope(name)).key]:.2f} %"
            for name in scored["domains"]
        )
        lines.append(f"by domain  {row.name}: {', '.join(means)}")
    if why_not_shared:
        lines.append(f"shared part alone  not scored: {why_not_shared}")
    return lines


def _without_domains(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores over all images alone."""
    kept = {quantity.key for quantity in quantities([CROSS])}
    return {key: value for key, value in scores.items() if key in kept}
