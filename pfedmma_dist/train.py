"""Train a federation: `torchrun --nproc_per_node=N -m pfedmma_dist.train [FILE.yaml] [key=value]`.

The room where everything meets. Exit codes: 0 finished, 2 something to mend, 75 stopped by a signal
after saving (the same command again goes on from there), 1 another rank was lost, 128 + N ended at
once by signal N. A stop signal that cannot be obeyed after saving, as another rank does not come,
ends with 75 too, at the last checkpoint.
"""

import logging
import sys

from pfedmma_dist import glance
from pfedmma_dist.config.command_line import to_yaml, with_default

if __name__ == "__main__":  # a slip is told before the seconds that the rest takes to import
    glance.leave_early(sys.argv[1:], with_default)

from pfedmma_dist import command
from pfedmma_dist.build import assemble, attach_features
from pfedmma_dist.config.identity import identity, run_folder
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.tuned import untuned
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.images.several import by_set
from pfedmma_dist.data.sets.look import account
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation.cadence import cadence
from pfedmma_dist.federation.disclosure import forewarned, privacy_lines
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.idle import idle
from pfedmma_dist.methods import METHODS
from pfedmma_dist.ownership import Owner
from pfedmma_dist.quantities.sampled import sample_lines
from pfedmma_dist.rounds import Rounds
from pfedmma_dist.run import result, selection
from pfedmma_dist.run.environment import environment
from pfedmma_dist.run.files import write_json, write_text_atomically, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import begin_log, configure_logging, drop_log
from pfedmma_dist.run.pictures import draw_missing
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.signals import STOPPED, StopSignal
from pfedmma_dist.run.table import show
from pfedmma_dist.run.together import together
from pfedmma_dist.start import settle
from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


PATIENCE = 20.0
"""Seconds that a start takes at most to look at all files, also those that are left out."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return command.run(with_default(sys.argv[1:] if argv is None else argv), train)


def train(cfg: Config, world: World) -> int:
    """Train the run of a configuration, or go on with it."""
    folder = RunFolder(run_folder(cfg, METHODS))
    with StopSignal() as stop:
        world.asked_to_stop = stop.asked
        try:
            folder.claim(world)
            return _train(cfg, folder, world, stop)
        finally:
            folder.release()


def _train(cfg: Config, folder: RunFolder, world: World, stop: StopSignal) -> int:
    console = configure_logging(world, folder)
    world.tell()
    settle(cfg, folder, world)
    finished = together(world, lambda: result.read(folder), ValueError)
    if finished is None:
        log.info(
            "%s on %s: %d rank(s) on %s with %d thread(s), into %s",
            cfg.method["name"], cfg.data.name, world.size, world.device.type, cfg.run.threads,
            folder.path,
        )  # fmt: skip
        words = untuned(cfg, METHODS, SOURCES)
        if words and world.first:
            log.warning("%s", words)
        federation = assemble(cfg, world)
        if world.first:
            for words in idle(cfg, federation.method, federation.layout):
                log.warning("%s", words)
            for words in forewarned(federation):
                log.warning("%s", words)
            for images in by_set(federation.task.images):
                _account(images)
        _decide(federation)
        sizes = federation.sizes
        log.info("%d clients with %d to %d training images", len(sizes), sizes.min(), sizes.max())
        owner = Owner(federation, folder)
        together(world, owner.check_newest, ValueError)
        together(world, lambda: _begin(cfg, owner, world), ValueError)
        rounds = cfg.federation.rounds if federation.layout.num_trained else 0
        with Progress(world, console, rounds) as progress:
            try:
                caches = attach_features(federation, progress.step)
            except ValueError:  # they have no room, say: nothing to keep, after all
                drop_log()
                folder.stay(False)
                raise
            run = Rounds(federation, owner, rounds, progress, stop)
            try:
                facts = [{"place": cache.place, "bytes": cache.num_bytes} for cache in caches]
                if not (run.go_on() and run.finish(facts)):
                    paused = not stop() and cfg.run.pause_after is not None
                    log.info(
                        "stopped by %s and saved after round %d of %d; the same command%s goes on",
                        "run.pause_after" if paused else "a signal", run.done, rounds,
                        " without it" if paused else "",
                    )  # fmt: skip
                    return STOPPED
            except Stopped as stopped:
                saved = f"goes on after round {run.saved}, the last that was saved"
                again = saved if run.saved else "begins anew, as nothing was saved yet"
                raise Stopped(f"{stopped}; the same command {again}") from stopped
        finished = result.read(folder)
    else:
        together(world, lambda: _keep(folder, world), ValueError)
        log.info("%s holds a finished run; this is its result", folder.path)
        if world.first:
            draw_missing(folder, identity(cfg), to_yaml(cfg))
    if world.first:
        assert finished is not None
        for path, what in result.altered(folder, finished).items():
            log.warning("%s %s; restore it from a copy if it is wanted", path, what)
        title = f"{cfg.method['name']} on {cfg.data.name}, seed {cfg.seed}"
        show(title, result.rows(folder, finished))
        sys.stdout.writelines(f"{line}\n" for line in sample_lines(finished.get("scored")))
        sys.stdout.writelines(f"{line}\n" for line in privacy_lines(finished))
        for line in selection.lines(finished["selection"]) if finished.get("selection") else ():
            sys.stdout.write(f"{line}\n")
        sys.stdout.write(f"run folder   {folder.path}\n")
        sys.stdout.write(f"TensorBoard  tensorboard --logdir {folder.path.parent}\n")
    return 0


def _account(images: Images) -> None:
    """Say how many files below the image folder are read, and which are left out and why."""
    found = account(images, seconds=PATIENCE)
    if found is not None:
        log.log(logging.INFO if found.is_quiet else logging.WARNING, "%s", found.line())


def _decide(federation: Federation) -> None:
    """Fill the open keys whose value follows from the task."""
    due = federation.cfg.evaluate
    if due.every is None:
        found = cadence(federation)
        due.every = found.every
        if found.words:
            log.info("%s", found.words)


def _begin(cfg: Config, owner: Owner, world: World) -> None:
    """Write what the run is and what it runs on, now that nothing speaks against it."""
    folder = owner.folder
    _keep(folder, world)
    if world.first:
        with writing(folder.path):
            owner.write_images()
            write_text_atomically(folder.config, to_yaml(cfg))
            write_json(folder.environment, environment(world))


def _keep(folder: RunFolder, world: World) -> None:
    """Let the folder stay, and log into it."""
    if world.first:
        folder.create()
        with writing(folder.path):
            begin_log()


if __name__ == "__main__":
    command.leave(main())
