"""Count what methods train and send: `python -m pfedmma_dist.cost [FILE.yaml] [key=value]`.

Numbers follow from the methods' parameter lists and exchanges at the sizes of clip.model; no
weights, no data. The method of the configuration has its own options, the others their defaults.
A second number under a download is the prompt to start from, where a paper counts it apart.

--measure also trains a few rounds of each on this machine and adds seconds per round, peak memory
and GFLOP per client and step; without a file and without data.name in the embedded world. Weights
may be random (clip.pretrained=null); with clip.cache=disk methods share encoded images.

--privacy prints instead how much louder than the noise of client-level differential privacy each
method's clients can be, for federations of several sizes at epsilon 8; with privacy.name=central
and privacy.target_epsilon at that epsilon, and for the configuration's own clients and rounds too.
"""

import logging
import sys
from dataclasses import replace
from functools import partial

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from pfedmma_dist import glance

if __name__ == "__main__" and "--measure" not in sys.argv:  # before imports of seconds
    glance.leave_early(sys.argv[1:], own=("--privacy",))

from pfedmma_dist import command
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.model import Dims
from pfedmma_dist.config.command_line import resolve_method, with_default
from pfedmma_dist.config.keys import Config
from pfedmma_dist.ending import ended
from pfedmma_dist.exchange import Cost
from pfedmma_dist.federation.corrections.registry import corrections_of
from pfedmma_dist.federation.stages import uplink_of
from pfedmma_dist.loudness import loudness
from pfedmma_dist.measure import measure
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.quantities.units import duration, size
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

MEASURE = "--measure"
PRIVACY = "--privacy"
HEADINGS = ("Method", "Trained", "Upload", "Download", "Upload", "Download")
MEASURED = ("Round", "Peak", "GFLOP\n/ step")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if PRIVACY in words:
        return command.run([word for word in words if word != PRIVACY], private)
    rest = [word for word in words if word != MEASURE]
    if rest == words:
        return command.run(words, report)
    return command.run(with_default(rest), partial(report, measured=True))


def report(cfg: Config, world: World, *, measured: bool = False) -> int:
    """Print the cost table of every method at the sizes of one model."""
    if measured and world.size > 1:
        raise ValueError(f"{MEASURE}: {world.size} ranks would measure each other; start one")
    if not world.first:
        return 0
    sizes = dims(cfg.clip.model)
    table = Table(
        title=f"per client and round, {cfg.clip.model}", title_justify="left", box=box.SIMPLE_HEAD
    )
    for heading in HEADINGS + (MEASURED if measured else ()):
        table.add_column(heading, justify="left" if heading == "Method" else "right")
    for name in METHODS:
        try:
            trained, cost = count(_method(name, cfg, sizes), cfg)
        except ValueError as error:
            log.warning("%s is left out: %s", name, error)
            continue
        up, down = size(cost.bytes_up), size(cost.bytes_down)
        received = f"{cost.down:,}" + (f"\n+ {cost.start:,}" if cost.start else "")
        table.add_row(
            name, f"{trained:,}", f"{cost.up:,}{' once' * cost.once}", received, up, down,
            *(_rounds(name, cfg) if measured and trained else ()),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    return 0


def private(cfg: Config, world: World) -> int:
    """Print how much louder than noise the clients of every method can be."""
    if world.first:
        sizes, methods = dims(cfg.clip.model), {}
        for name in METHODS:
            try:
                methods[name] = _method(name, cfg, sizes)
            except ValueError as error:
                log.warning("%s is left out: %s", name, error)
        table, words = loudness(cfg, methods)
        console = Console(width=None if sys.stdout.isatty() else 100)
        console.print(table)
        console.print(words)
    return 0


def _method(name: str, cfg: Config, sizes: Dims) -> Method:
    """Return a method with its options of the configuration, or its defaults."""
    chosen = name == cfg.method["name"]
    options = resolve_method(cfg.method, METHODS)[1] if chosen else METHODS[name].Options()
    return METHODS[name](options, sizes)


def count(method: Method, cfg: Config) -> tuple[int, Cost]:
    """Return (numbers a client trains, numbers that cross the network per client and round).

    ValueError where a configured correction, or stage of the uplink, does not fit the method.
    """
    layout = Layout(method.specs)
    exchange = method.exchange(layout, layout.template(0), 0)
    num_clients = cfg.data.num_clients or 0
    if cfg.exchange.secure and not num_clients:
        raise ValueError(
            "data.num_clients: null, and secure sums cost by the number of clients; set one"
        )
    in_round = max(int(cfg.federation.fraction * num_clients), 1)
    uplink = uplink_of(cfg, exchange, layout, num_clients or 1, np.zeros(0, np.int64))
    cost = uplink.cost(exchange.cost(), in_round)
    corrections = corrections_of(cfg, method, layout)
    trained = method.num_trained(layout) + corrections.num_trained
    return trained, cost.beside(corrections.num_sent)


def _rounds(name: str, cfg: Config) -> tuple[str, ...]:
    """Return the measured columns of a method."""
    method = cfg.method if name == cfg.method["name"] else {"name": name}
    log.info("training a few rounds of %s", name)
    found = measure(replace(cfg, method=method))
    return duration(found.seconds), f"{found.mib:,.0f} MiB", f"{found.flop / 1e9:,.3g}"


if __name__ == "__main__":
    command.leave(ended(main))
