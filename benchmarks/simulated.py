"""Tell what a round takes on simulated clients, at ViT-B/16 and without training anything.

    python benchmarks/simulated.py pfedmma promptfl fedclip     # those methods, or some usual ones

Ten clients of 80 images each (the embedded world's division, whose images are only counted), 50
classes, batches of 32: operations and bytes of a client and round, and the seconds of a round in
which the server waits for all, the median of 20, by fleet. Weights are random; nothing is encoded.
"""

import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

from pfedmma_dist.build import assemble
from pfedmma_dist.config.choices import Fleet
from pfedmma_dist.config.command_line import read, resolve_method
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.exchange import BYTES
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.quantities.units import seconds, size
from pfedmma_dist.start import resolve
from pfedmma_dist.world import World

USUAL = ("pfedmma", "fedsb", "promptfl", "fedotp", "lora", "fedclip", "fedtpg")
FLEETS = (Fleet.even, Fleet.phones, Fleet.laptops, Fleet.silos)
ROUNDS = 20
GLYPHS = Path(__file__).parents[1] / "configs" / "data" / "glyphs_base_to_novel.yaml"


def main(names: list[str]) -> None:
    """Print the table."""
    words = [
        str(GLYPHS), "method.name=zero_shot", "clip.model=ViT-B-16", "clip.pretrained=null",
        "run.threads=1",
    ]  # fmt: skip
    cfg, world = read(words, methods=METHODS, sources=SOURCES), World.connect("cpu")
    resolve(cfg, world)
    usual = assemble(cfg, world)
    print("| | GFLOP | up | " + " | ".join(fleet.value for fleet in FLEETS) + " |")
    print("|---|" + "---:|" * (2 + len(FLEETS)))
    for name in names:
        options = resolve_method({"name": name}, METHODS)[1]
        dims, sizes = usual.clip.dims, usual.task.train.sizes()
        classes = len(usual.task.class_sets[usual.task.train_classes].names)
        method = METHODS[name].build(
            options, dims, classes, int(sizes.max()), cfg.federation.rounds
        )
        given, cells = None, []
        for fleet in FLEETS:
            system = SystemConfig(fleet=fleet, flops_per_image=given)
            found = Federation(
                replace(cfg, method={"name": name}, system=system),
                usual.task, method, usual.clip, world,
            )  # fmt: skip
            if given is None:  # counted once: the images of a step are as many in all rounds
                gflop, up = found.clock.flops[0] / 1e9, BYTES * found.cost().up
                images = found.steps[0] * cfg.federation.batch_size
                given = float(found.clock.flops[0] / images)
            laps = [found.clock.lap(index) for index in range(ROUNDS)]
            cells.append(seconds(median(lap.took for lap in laps)))
        row = (f"`{name}`", f"{gflop:,.0f}", size(up), *cells)
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(USUAL))
