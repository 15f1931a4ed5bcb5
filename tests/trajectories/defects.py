"""The defects of recorded loops: as switches of ours, or as patches of one federation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pfedmma_dist.config.choices import Schedule, Unit
from pfedmma_dist.federation.corrections.correction import Correction
from pfedmma_dist.federation.corrections.together import Corrections
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.world import World
from tests.trajectories import recorded
from tests.trajectories.played import federation_of
from tests.trajectories.pool import remembering

Sections = Mapping[str, Mapping[str, Any]]
COSINE = {"schedule": Schedule.cosine, "unit": Unit.epochs}
ALONE = {"federation": {"num_shards": 1, "cohort_size": 1}}
WARM = {"warmup": 1, "warmup_lr": 1e-5}


@dataclass(frozen=True)
class Defect:
    """One defect: what switches it on."""

    words: str
    sections: Sections = field(default_factory=dict)
    patch: Callable[[Federation], None] | None = None

    @property
    def switch(self) -> str:
        """The key that is the defect; empty where only the tests have it."""
        return ", ".join(f"released.{key}" for key in self.sections.get("released", {}))


class Evenly(Correction):
    """The plain mean, whatever the clients' images."""

    even = True


def evenly(federation: Federation) -> None:
    federation.corrections = Corrections([*federation.corrections, Evenly()])


def never_emptied(federation: Federation) -> None:
    """Let the mean of a round be that of all rounds so far; everybody is in all of them."""
    exchange, means = federation.exchange, []
    sync = exchange.sync

    def synced(*words: Any) -> torch.Tensor:
        riders = sync(*words)
        means.append(exchange.shared.double())
        exchange.shared = torch.stack(means).mean(dim=0).float()
        return riders

    exchange.sync = synced


def _pooled(name: str, words: str) -> Defect:
    return Defect(words, ALONE, remembering(name))


DEFECTS = {
    "momentum": Defect(
        "momentum handed on",
        {"released": {"momentum": True}, **ALONE},
    ),
    "schedule": Defect("rate in a wave", {"released": {"wave": True}, "optim": {**COSINE, **WARM}}),
    "cosine": Defect("rate in a wave", {"released": {"wave": True}, "optim": COSINE}),
    "textcache": Defect("stale class vectors in scores", {"released": {"stale_text": True}}),
    "drop": Defect("client 5 dropped", {"released": {"dropped": 5}}),
    "alias": Defect("uploads are references", {"released": {"references": True}}),
    "history": Defect("uploads of all rounds averaged", patch=never_emptied),
    "unweighted": Defect("plain mean", patch=evenly),
    "gating_leak": _pooled("gating_leak", "a gate passes on"),
    "snapshot": _pooled("snapshot", "experts of the same round"),
    "nearest": _pooled("nearest", "one random order of experts"),
    "stale_experts": _pooled("stale_experts", "left-over experts, where some sit out"),
    "eval_experts": _pooled("eval_experts", "scores with other experts, where some sit out"),
}
"""Name -> defect; `cosine` is the schedule of a loop without warm-up."""

OF = {
    "pfedmma": ("momentum", "textcache"),
    "fedpgp": ("momentum",),
    "fedotp": ("momentum",),
    "promptfl": ("momentum", "schedule"),
    "promptfl6": ("momentum", "schedule", "drop"),
    "promptfl_own": ("momentum", "schedule", "alias", "history", "unweighted"),
    "pfedmoap": (
        "momentum",
        "schedule",
        "gating_leak",
        "stale_experts",
        "snapshot",
        "nearest",
        "eval_experts",
    ),
}
"""Loop -> the defects that its code has."""


def defects_of(file: str, variant: str) -> list[str]:
    """Return what is on in a variant: all, none, all but one, or one alone."""
    loop, _, setting = file.rpartition("_")
    cosine = setting == "allcosine"
    every = [*OF[loop], *(["schedule"] if cosine else [])]
    how, _, name = variant.partition("_")
    found = {
        "released": every,
        "off": [],
        "without": [one for one in every if one != name],
        "only": [name],
    }[how]
    return ["cosine" if cosine and one == "schedule" else one for one in found]


def with_defects(file: str, plan: Path, names: list[str], world: World | None = None) -> Federation:
    """Return our federation with these defects, about to follow a recorded loop."""
    sections: dict[str, dict[str, Any]] = {}
    for name in names:
        for section, values in DEFECTS[name].sections.items():
            sections.setdefault(section, {}).update(values)
    made = federation_of(file, plan, world, **sections)
    # References are all the same, so that what is made of several of them does not show.
    shown = [name for name in names if not ("alias" in names and DEFECTS[name].patch)]
    for name in shown:
        if DEFECTS[name].patch is not None:
            DEFECTS[name].patch(made)
    return made


def planned(file: str, variant: str, folder: Path) -> Path:
    """Return the written plan of a variant."""
    return recorded.write_plan(file, variant, folder / f"{file}_{variant}.jsonl")
