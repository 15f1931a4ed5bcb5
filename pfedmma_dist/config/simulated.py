"""Simulated: the keys of the devices, networks and hours that clients are simulated with."""

from dataclasses import dataclass

from pfedmma_dist.config.choices import Asynchrony, Fleet
from pfedmma_dist.config.limits import AT_LEAST_1, NOT_NEGATIVE, PATH, POSITIVE, Limit
from pfedmma_dist.config.meaning import key

CLOCKED = {"system.fleet": ("none",)}
"""Where no clock runs."""
WAITING = {"system.asynchrony": ("none",)}
BUFFERED = {"system.asynchrony": ("fedbuff",)}
MIXING = {"system.asynchrony": ("fedasync",)}
GOING_ON = {"system.asynchrony": ("fedbuff", "fedasync")}


@dataclass(kw_only=True)
class SystemConfig:
    """A virtual clock: how long rounds would take on clients' devices. It changes no number of a
    run unless `dropouts`, `deadline`, `over_selection` or `asynchrony` is chosen."""

    fleet: Fleet = key(Fleet.none, since=1, heading="Fleet")
    """Devices of the clients, drawn by the seed: `even` ones, `phones`, `laptops`, `silos` (offices
    with a GPU each), `mixed` (six of ten are phones, three laptops, one a silo), or those of a
    `file` (profiles). Their numbers are our choice (docs/clock.md). `none`: no clock."""
    profiles: str | None = key(
        None, since=1, by_content=True, is_file=True, limit=PATH, refused=True,
        only={"system.fleet": ("file",)},
    )  # fmt: skip
    """A .csv file with a line per client: client, flops_per_second, up_bits_per_second,
    down_bits_per_second and, where wanted, availability, dropout, jitter."""
    flops_per_image: float | None = key(
        None, since=1, limit=POSITIVE, never=CLOCKED, refused=True, heading="FLOP / image"
    )
    """Floating-point operations of a training step per image; null counts those of the matrix
    products of the method's own step."""
    dropouts: bool = key(False, since=1, never=CLOCKED, refused=True, heading="Dropouts")
    """Clients are away (availability) and their uploads are lost (dropout) as their profiles say;
    otherwise profiles only say how fast they are. A lost or late client has trained: it keeps its
    private part, and the mean is without it."""
    deadline: float | None = key(
        None, since=1, limit=POSITIVE, only=WAITING, never=CLOCKED, refused=True,
        heading="Deadline",
    )  # fmt: skip
    """Simulated seconds after which a round closes; what comes later is lost. null waits for
    all."""
    over_selection: float = key(
        0.0, since=1, limit=NOT_NEGATIVE, only=WAITING, never=CLOCKED, refused=True,
        heading="Over-selection",
    )  # fmt: skip
    """How many more clients are drawn than federation.fraction says, as a share of these; the first
    that finish are kept, as many as it says."""
    asynchrony: Asynchrony = key(
        Asynchrony.none, since=1, never=CLOCKED, refused=True, heading="Asynchrony"
    )
    """`fedbuff`: whenever `buffer` uploads are there, x + server.lr mean(s Delta), Delta being how
    far each has come from where it started (Nguyen et al., AISTATS 2022). `fedasync`: every upload
    w is mixed in, (1 - mixing s) x + mixing s w (Xie et al., 2019). s = (1 + staleness of the
    upload, in updates) ^ -staleness. federation.fraction of the clients train at any time, and a
    round is an update."""
    buffer: int = key(10, since=1, limit=AT_LEAST_1, only=BUFFERED, refused=True)
    """Uploads of an update; 10 (Nguyen et al.)."""
    staleness: float = key(0.5, since=1, limit=NOT_NEGATIVE, only=GOING_ON, refused=True)
    """Exponent by which an upload counts less for every update that it missed; 0.5 (both)."""
    mixing: float = key(
        0.6, since=1, limit=Limit(lambda x: 0 < x <= 1, "above 0 and at most 1"), only=MIXING,
        refused=True,
    )  # fmt: skip
    """Weight of an upload that missed no update; our choice."""
