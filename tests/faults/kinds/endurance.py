"""A long run of many clients: what grows with its rounds."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pfedmma_dist.federation.federation import Federation
from tests.faults.base import Base
from tests.faults.place import Place, first_trace, last_line
from tests.faults.ranks import Hook
from tests.faults.trial import Ending, Kind, Trial, Verdict

CLIENTS, ROUNDS = 1000, 500
SETTLED = 100
"""The round after which nothing may grow any more: allocators and caches are warm."""

GROWTH = 1.02
"""Resident memory at the end over that of the settled round."""

CLIP = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 16, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3},
}


def make(lab: Path) -> None:
    """Write four classes of noise, an image of each part for each client, and a tiny model."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in range(4):
            folder = lab / "data" / part / f"class_{label}"
            folder.mkdir(parents=True)
            for index in range(CLIENTS // 4):
                pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    (lab / "clip.json").write_text(json.dumps(CLIP))


def watched(file: Path) -> Hook:
    """Return a hook that writes down what the rank holds as each round begins."""

    def hook(rank: int) -> None:
        original = Federation.round

        def round_watched(self: Federation, index: int, *words: object) -> object:
            with open(file, "a") as opened:
                opened.write(f"{json.dumps(held())}\n")
            return original(self, index, *words)

        Federation.round = round_watched

    return hook


def held() -> dict[str, int]:
    """Return resident KiB, open descriptors, maps and threads of this process."""
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "resident": resident * os.sysconf("SC_PAGE_SIZE") // 1024,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "maps": Path("/proc/self/maps").read_text().count("\n"),
        "threads": len(os.listdir("/proc/self/task")),
    }


def run(place: Place) -> Iterator[Verdict]:
    """Train, and compare what is held at the end with what was held early."""
    lab, log = place.path / "lab", place.path / "held.txt"
    make(lab)
    words = place.words(
        data__root=lab / "data", clip__model=lab / "clip.json", data__task="label_shift",
        data__partition="iid", data__num_clients=CLIENTS, federation__rounds=ROUNDS,
        federation__fraction=0.1, federation__first_round_all="false",
        federation__cohort_size=8, federation__num_shards=8, method__rank=4,
        evaluate__every=5, run__checkpoint_every=10,
    )  # fmt: skip
    ended = place.start(words, 1, watched(log)).wait(1700)
    name = f"{CLIENTS:,} clients, {ROUNDS} rounds"
    if first_trace(ended):
        yield Verdict(name, Ending.TRACEBACK, first_trace(ended))
        return
    if ended[0].code:
        yield Verdict(name, Ending.FAILED, f"exit code {ended[0].code}: {last_line(ended)}")
        return
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    early, late = lines[SETTLED], lines[-1]
    size = sum(file.stat().st_size for file in place.run.rglob("*") if file.is_file())
    events = sum(file.stat().st_size for file in place.run.glob("events*"))
    told = ", ".join(
        [f"rounds {SETTLED} to {ROUNDS - 1}: resident {early['resident']:,} to "
         f"{late['resident']:,} KiB ({100 * (late['resident'] / early['resident'] - 1):+.2f} %)",
         *(f"{what} {early[what]} to {late[what]}" for what in ("descriptors", "maps", "threads")),
         f"folder {size / 1024:,.0f} KiB, of these event files {events / 1024:,.0f}"]
    )  # fmt: skip
    grown = late["resident"] > GROWTH * early["resident"] or any(
        late[what] > early[what] for what in ("descriptors", "threads")
    )
    left = place.left_over()
    ending = Ending.FAILED if grown or left or len(lines) != ROUNDS else Ending.AS_TOLD
    yield Verdict(name, ending, "; ".join([told, *left]))


def trials(base: Base) -> Iterator[Trial]:
    """Yield the run."""
    yield Trial("endurance", partial(run), 1800)


KINDS = [
    Kind(
        f"{CLIENTS:,} clients of pFedMMA over {ROUNDS} rounds, scored every 5",
        "a tenth of the clients in a round, a checkpoint every 10; after round 100 memory may "
        "grow by 2 % at most, descriptors and threads not at all, and nothing is left in /dev/shm",
        trials,
        long=True,
    )
]
