"""Attack a run: `python -m pfedmma_dist.membership RUN [key=value ...]`.

Asks whether the shared part of the newest checkpoint, which every client is handed, tells which
images it was trained on, and with federation.unseen which clients: so one sees what privacy.*
protects. The run is left as it is; what was found goes to RUN/evaluations/membership.json.
"""

import math
import sys
from dataclasses import asdict

from pfedmma_dist import command
from pfedmma_dist.build import attach_features
from pfedmma_dist.config.keys import Config
from pfedmma_dist.ending import ended
from pfedmma_dist.federation.disclosure import epsilon_of
from pfedmma_dist.federation.inference import Guessed, attack
from pfedmma_dist.run.files import write_json, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.trained import restored
from pfedmma_dist.world import World

FILE = "membership.json"


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    return command.of_run(words, __doc__, "membership RUN [key=value ...]", membership)


def membership(cfg: Config, folder: RunFolder, world: World) -> int:
    """Attack the newest checkpoint of a run, and tell what was found."""
    if world.size > 1:
        raise TogetherError(f"{world.size} ranks would each attack alone; start one")
    console = configure_logging(world, None)
    federation, done = restored(cfg, folder, world)
    if not federation.layout.num_shared:
        raise TogetherError(
            f"method.name: {cfg.method['name']} shares nothing here, so there is nothing to attack"
        )
    with Progress(world, console, done) as progress:
        attach_features(federation, progress.step)
        found, epsilon = attack(federation, done), epsilon_of(federation, done)
    path = folder.evaluations / FILE
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        write_json(path, {"rounds": done, "epsilon": epsilon, **asdict(found)})
    what = {"images": "training images told from test images", "clients": "clients told apart"}
    for kind, words in what.items():
        sys.stdout.write(f"{words:<40}  {told(getattr(found, kind))}\n")
    if epsilon is not None and federation.protection is not None:
        most = guessed_at_most(epsilon, federation.protection.delta)
        sys.stdout.write(
            f"{'privacy':<40}  epsilon {epsilon:.3g}: nobody guesses right of more than "
            f"{100 * most:.1f} % of clients, half of them members\n"
        )
    sys.stdout.write(f"written to {path}\n")
    return 0


def told(found: Guessed | None) -> str:
    """Return the words about a guess."""
    if found is None:
        return "not known: it takes two clients of each kind (federation.unseen for the latter)"
    return (
        f"area {found.area:.3f} ± {found.margin:.3f} (0.5 is chance), of {found.members:,} members "
        f"and {found.others:,} others"
    )


def guessed_at_most(epsilon: float, delta: float) -> float:
    """Return the share of right guesses that (epsilon, delta) leaves to anybody about a client that
    is there or not, at even odds (Kairouz et al., ICML 2015)."""
    return (1 - (1 - delta) / (1 + math.exp(epsilon))) if epsilon < 700 else 1.0


if __name__ == "__main__":
    command.leave(ended(main))
