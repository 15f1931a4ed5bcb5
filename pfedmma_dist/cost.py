"""Count what methods train and send: `python -m pfedmma_dist.cost [FILE.yaml] [key=value]`.

Numbers follow from the methods' parameter lists and exchanges at the sizes of clip.model; no
weights, no data. The method of the configuration has its own options, the others their defaults.
A second number under a download is the prompt to start from, where a paper counts it apart.
"""

import logging
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from pfedmma_dist import command
from pfedmma_dist.arguments import resolve_method
from pfedmma_dist.clip.load import dims
from pfedmma_dist.config import Config
from pfedmma_dist.exchange import BYTES, Cost
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.run.table import size
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return command.run(sys.argv[1:] if argv is None else argv, report)


def report(cfg: Config, world: World) -> int:
    """Print the cost table of every method at the sizes of one model."""
    if not world.first:
        return 0
    sizes = dims(cfg.clip.model)
    table = Table(
        title=f"per client and round, {cfg.clip.model}", title_justify="left", box=box.SIMPLE_HEAD
    )
    for heading in ("Method", "Trained", "Upload", "Download", "Upload", "Download"):
        table.add_column(heading, justify="left" if heading == "Method" else "right")
    for name, kind in METHODS.items():
        chosen = name == cfg.method["name"]
        options = resolve_method(cfg.method, METHODS)[1] if chosen else kind.Options()
        try:
            trained, cost = count(kind(options, sizes))
        except ValueError as error:
            log.warning("%s is left out: %s", name, error)
            continue
        up, down = size(BYTES * cost.up), size(BYTES * cost.down)
        received = f"{cost.down:,}" + (f"\n+ {cost.start:,}" if cost.start else "")
        table.add_row(name, f"{trained:,}", f"{cost.up:,}", received, up, down)
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    return 0


def count(method: Method) -> tuple[int, Cost]:
    """Return (numbers a client trains, numbers that cross the network per client and round)."""
    layout = Layout(method.specs)
    return layout.num_trained, method.exchange(layout, layout.template(0), 0).cost()


if __name__ == "__main__":
    command.leave(main())
