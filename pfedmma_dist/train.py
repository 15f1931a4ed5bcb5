"""Train a federation: `torchrun --nproc_per_node=N -m pfedmma_dist.train [FILE.yaml] [key=value]`.

The room where everything meets. Exit codes: 0 finished, 2 something to mend, 75 stopped by a signal
after saving (the same command again goes on from there), 1 another rank was lost, 128 + N ended at
once by signal N. A stop signal that cannot be obeyed after saving, as another rank does not come,
ends with 75 too, at the last checkpoint.
"""

import logging
import sys

from pfedmma_dist import glance
from pfedmma_dist.config.command_line import with_default

if __name__ == "__main__":  # a slip is told before the seconds that the rest takes to import
    glance.leave_early(sys.argv[1:], with_default)

from pfedmma_dist import command
from pfedmma_dist.adoption import refuse_moved
from pfedmma_dist.config.identity import run_folder
from pfedmma_dist.config.keys import Config
from pfedmma_dist.ending import ended
from pfedmma_dist.federation.disclosure import privacy_lines
from pfedmma_dist.methods import METHODS
from pfedmma_dist.quantities.sampled import sample_lines
from pfedmma_dist.run import result, selection
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.signals import STOPPED, StopSignal
from pfedmma_dist.run.table import show
from pfedmma_dist.simulation.training import Training
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = with_default(sys.argv[1:] if argv is None else argv)

    def start(cfg: Config, world: World) -> int:
        refuse_moved(words, run_folder(cfg, METHODS))
        return train(cfg, world)

    return command.run(words, start)


def train(cfg: Config, world: World) -> int:
    """Train the run of a configuration, or go on with it."""
    with StopSignal() as stop:
        training = Training(cfg, world, stop)
        try:
            training.open(configure_logging)
            if training.result is None:
                with training.progress:
                    for _ in training.rounds():
                        pass
            if training.result is None:
                return STOPPED
            if world.first:
                _show(training)
            return 0
        finally:
            training.close()


def _show(training: Training) -> None:
    """Print the result of a finished run."""
    cfg, folder, finished = training.cfg, training.folder, training.result
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


if __name__ == "__main__":
    command.leave(ended(main))
