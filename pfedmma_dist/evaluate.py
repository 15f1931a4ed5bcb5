"""Score a run again: `python -m pfedmma_dist.evaluate RUN [key=value ...]`.

Takes the newest checkpoint of a finished or stopped run and scores every client on all test sets,
with other data, prompts or batch sizes where keys say so. The run itself is left as it is; the
scores go to RUN/evaluations/<hash of the configuration>.json.
"""

import logging
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pfedmma_dist import command
from pfedmma_dist.build import assemble, attach_features, zero_shot
from pfedmma_dist.config.identity import defaults, differences, digest, flat
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import shown
from pfedmma_dist.methods import METHODS
from pfedmma_dist.ownership import Owner
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.run import checkpoint
from pfedmma_dist.run.files import write_json, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.manifest import Manifest
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import MethodResult
from pfedmma_dist.run.table import show
from pfedmma_dist.run.together import TogetherError, together
from pfedmma_dist.start import check_config, resolve
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

TRAINED = ("seed", "method.", "federation.", "optim.", "data.num_clients")
"""Beginnings of the keys that made the state; others may say what it is scored on."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0].startswith("-") or not (Path(words[0]) / "config.yaml").is_file():
        given = words[0] if words else "RUN"
        inside = Path(given).parent  # a file of the run's, as one completes it
        meant = f" (did you mean {inside}?)" if (inside / "config.yaml").is_file() else ""
        sys.stderr.write(
            f"error: {given}: give a run folder, one with a config.yaml{meant}; "
            "usage: python -m pfedmma_dist.evaluate RUN [key=value ...]\n"
        )
        return command.MEND
    folder = RunFolder(words[0])
    return command.run(
        [str(folder.config), *words[1:]], lambda cfg, world: evaluate(cfg, folder, world)
    )


def evaluate(cfg: Config, folder: RunFolder, world: World) -> int:
    """Score the newest checkpoint of a run."""
    console = configure_logging(world, None)
    world.tell()
    together(world, lambda: check_config(folder), ValueError)
    resolve(cfg, world)
    federation = assemble(cfg, world)
    owner = Owner(federation, folder)
    loaded = checkpoint.load(
        folder.checkpoints,
        world,
        federation.hosted,
        federation.layout.fingerprint(),
        cfg.federation.num_shards,
        partial(_check, owner),
        lambda found: federation.load(found.shards, found.server, found.round_index),
    )
    if loaded is None and federation.layout.num_trained:
        finished = folder.result.exists()
        words = (
            "has lost its checkpoints; restore them from a copy"
            if finished
            else ("holds no checkpoint yet; let it train first")
        )
        raise ValueError(f"run.folder: {folder.path} {words}")
    done = 0 if loaded is None else loaded.round_index
    with Progress(world, console, done) as progress:
        attach_features(federation, progress.step, training=False)
        reference, scores = zero_shot(federation), federation.evaluate(full=True)
    domains = federation.task.domains
    results = [
        MethodResult.of("zero-shot CLIP", summary(reference.percent, domains)),
        MethodResult.of(
            cfg.method["name"],
            summary(scores.percent, domains),
            federation.method.num_trained(federation.layout),
            federation.cost(),
        ),
    ]
    if world.first:
        path = folder.path / "evaluations" / f"{digest(cfg, METHODS)}.json"
        facts = {"rounds": done, "config": flat(cfg), "results": [asdict(row) for row in results]}
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            write_json(path, {**facts, "clients": scores.percent})
        show(f"{folder.path} after round {done}", results)
        sys.stdout.write(f"scores of each client  {path}\n")
    return 0


def _check(owner: Owner, path: Path, record: Manifest) -> None:
    """Refuse keys that have made the state; say what is scored on something else."""
    if record.format == 0:
        return
    saved, wanted = record.meta["configuration"], owner.facts["configuration"]
    usual = defaults(wanted["method.name"], METHODS)
    for key, was, now in differences(saved, wanted, usual):
        if key.startswith(TRAINED):
            raise TogetherError(
                f"{key}: {path} was trained with {shown(was)}, and {shown(now)} is asked for; "
                "leave it as it was, or train a run of that"
            )
    for words in owner.differences(record.meta):
        log.warning("scored on something else than it was trained on: %s", words)


if __name__ == "__main__":
    command.leave(main())
