"""Write the plan of a run: `python -m pfedmma_dist.plan RUN [key=value ...]`.

Who trained in which round, in which order, on which images in which batches, as lines of JSON in
RUN/plan.jsonl. federation.plan=FILE trains by them, in this program to the same bits, and any other
program can read them. A run draws all of it by its seed, so that its plan is made when it is asked
for: no run pays for it, and runs of older versions have one, too.
"""

import sys
from collections.abc import Iterator

import numpy as np

from pfedmma_dist import command
from pfedmma_dist.config.choices import Asynchrony
from pfedmma_dist.config.keys import Config
from pfedmma_dist.ending import ended
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.plan_file import Named, Visit, text_of
from pfedmma_dist.run.files import write_text_atomically, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.trained import restored
from pfedmma_dist.world import World

FILE = "plan.jsonl"


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    return command.of_run(words, __doc__, "plan RUN [key=value ...]", write)


def write(cfg: Config, folder: RunFolder, world: World) -> int:
    """Write the plan of all rounds of a run."""
    if world.size > 1:
        raise TogetherError(f"{world.size} ranks would each write the same; start one")
    configure_logging(world, None)
    federation, _ = restored(cfg, folder, world)
    rounds, path = cfg.federation.rounds, folder.path / FILE
    found = [visit for index in range(rounds) for visit in visits(federation, index)]
    text = "".join(
        text_of(
            rounds, federation.task.num_clients, len(federation.task.images),
            named(federation, found), found,
        )
    )  # fmt: skip
    with writing(path):
        write_text_atomically(path, text)
    sys.stdout.write(f"{len(found):,} visits in {rounds:,} rounds, written to {path}\n")
    return 0


def visits(federation: Federation, round_index: int) -> Iterator[Visit]:
    """Yield the visits of a round in their order; ValueError where some of them do not count."""
    chosen, epochs = federation.participants(round_index), federation.cfg.federation.local_epochs
    waits = federation.cfg.system.asynchrony is Asynchrony.none
    if len(federation.arrived(round_index)) != len(chosen) or not waits:
        raise ValueError(
            f"system.fleet: {federation.cfg.system.fleet.value} loses uploads, or lets clients "
            "start from older numbers, and a plan has no word for that; there is none of this run"
        )
    order = federation.visited(round_index) if federation.clock is None else chosen
    for client in order.tolist():
        yield Visit(0, round_index, client, federation.steps_of(client, epochs, round_index))


def named(federation: Federation, found: list[Visit]) -> Iterator[Named]:
    """Yield the images of these visits, ascending."""
    images = federation.task.images
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *(visit.rows for visit in found)]))
    for row, name in zip(rows.tolist(), images.store.labels(rows), strict=True):
        yield Named(0, row, name, images.class_names[images.labels[row]])


if __name__ == "__main__":
    command.leave(ended(main))
