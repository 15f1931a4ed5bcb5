"""Score a run again: `python -m pfedmma_dist.evaluate RUN [--search|--cross] [key=value ...]`.

Takes the newest checkpoint of a finished or stopped run, or under evaluate.select=best_val the best
of its rounds so far, and scores every client on all test sets, with other prompts or batch sizes
where keys say so. The run itself is left as it is; the scores go to
RUN/evaluations/<hash of the configuration>.json.

With a data.name of another set, every client is scored on all test images of that set, among all
its classes, beside zero-shot CLIP and the shared part alone; the scores go to
RUN/evaluations/<data.name>-<hash>.json. Nothing of that set is dealt, so it may have any classes.
The run's own data must still be there, for who holds which numbers follows from it. --cross does
the same on the run's own set, and by domain where there are several, or on one of the same name.

--search first chooses the options that a method leaves to validation images, as Tip-Adapter's alpha
and beta are, on those of data.validation, and scores with what it chose. --help, -h: this text.
"""

import math
import sys
from dataclasses import asdict
from typing import Any

from pfedmma_dist import glance

if __name__ == "__main__":  # before imports of seconds
    glance.leave_with(lambda: __doc__)

from pfedmma_dist import command
from pfedmma_dist.build import attach_features, zero_shot
from pfedmma_dist.config.identity import digest, flat
from pfedmma_dist.config.keys import Config
from pfedmma_dist.cross import is_elsewhere, score_elsewhere
from pfedmma_dist.ending import ended
from pfedmma_dist.federation.evaluate import Sitting
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.grouping import sample_of
from pfedmma_dist.federation.released.best_on_test import rule_of
from pfedmma_dist.federation.search import Choice, choose, search, searched
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.searched import Searched
from pfedmma_dist.quantities.sampled import sample_lines
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.run import selection
from pfedmma_dist.run.files import write_json, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import MethodResult
from pfedmma_dist.run.table import show
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.trained import restored
from pfedmma_dist.world import World

SEARCH = "--search"
ACROSS = "--cross"


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    others = [word for word in words if word not in (SEARCH, ACROSS)]

    def action(cfg: Config, folder: RunFolder, world: World) -> int:
        if ACROSS not in words and not is_elsewhere(cfg, folder):
            return evaluate(cfg, folder, world, SEARCH in words)
        if SEARCH in words:
            raise TogetherError(
                f"{SEARCH}: options are chosen on validation images of the run's own data; leave "
                f"it out with {ACROSS} or another data.name"
            )
        return score_elsewhere(cfg, folder, world, others[1:])

    usage = f"evaluate RUN [{SEARCH}|{ACROSS}] [key=value ...]"
    return command.of_run(others, __doc__, usage, action)


def evaluate(cfg: Config, folder: RunFolder, world: World, searches: bool = False) -> int:
    """Score the newest checkpoint of a run; with options searched first, where it searches."""
    console = configure_logging(world, None)
    world.tell()
    if searches:
        _refuse_search(cfg)
    federation, done = restored(cfg, folder, world)
    with Progress(world, console, done) as progress:
        tunes = bool(cfg.evaluate.finetune_epochs or len(federation.unseen))
        attach_features(federation, progress.step, training=tunes)
        choice = _searched(federation, progress) if searches else None
        reference = zero_shot(federation)
        scores = federation.evaluate(True, Sitting(bar=progress.part))
    domains = federation.task.domains
    results = [
        MethodResult.of("zero-shot CLIP", summary(reference.beside(scores), domains)),
        MethodResult.of(
            cfg.method["name"],
            summary(scores.percent, domains),
            federation.num_trained,
            federation.cost(),
        ),
    ]
    rule = rule_of(cfg)
    if world.first:
        path = folder.evaluations / f"{digest(cfg, METHODS)}.json"
        facts: dict[str, Any] = {"rounds": done, "select": rule, "config": flat(cfg)}
        facts |= {"search": asdict(choice)} if choice else {}
        sample = sample_of(federation)
        if sample is not None:
            facts["scored"] = sample.facts(scores.percent)
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            rows = [asdict(row) for row in results]
            write_json(path, {**facts, "results": rows, "clients": scores.percent})
        show(f"{folder.path} after round {done}", results)
        sys.stdout.writelines(f"{line}\n" for line in sample_lines(facts.get("scored")))
        if done:
            sys.stdout.write(f"scored  round {done}, {selection.CHOICES[rule]}\n")
        for line in choice.words if choice else ():
            sys.stdout.write(f"searched  {line}\n")
        sys.stdout.write(f"scores of each client  {path}\n")
    return 0


def _refuse_search(cfg: Config) -> None:
    """Refuse a search of a method without such options, and one without validation images."""
    name = cfg.method["name"]
    known = [other for other, kind in METHODS.items() if issubclass(kind, Searched)]
    if name not in known:
        raise TogetherError(
            f"method.name: {name} has no option that {SEARCH} could choose; {', '.join(known)} have"
        )
    if not cfg.data.validation:
        raise TogetherError(
            f"data.validation: 0 holds no image apart, and {SEARCH} never looks at test images; "
            "train a run with data.validation=0.2, say, and search that"
        )


def _searched(federation: Federation, progress: Progress) -> Choice:
    """Choose options on validation images, and let the federation score with them."""
    assert isinstance(federation.method, Searched)
    tried = federation.method.grid
    points = math.prod(len(values) for values in tried.values())
    with progress.step(
        f"searching {points:,} points: clients", len(searched(federation))
    ) as advance:
        choice = search(federation, tried, advance)
    if not choice.num_images:
        raise TogetherError(
            "data.validation: none of the clients that train has a validation image, and "
            f"{SEARCH} never looks at test images; train a run of which some have"
        )
    choose(federation, choice)
    federation.cfg.method.update(choice.values)
    return choice


if __name__ == "__main__":
    command.leave(ended(main))
