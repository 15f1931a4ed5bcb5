"""Privacy: the keys of what hides one client's data in what is made of all clients' updates."""

from dataclasses import dataclass, fields

from pfedmma_dist.config.choices import Accountant, Privacy, Riders, Weights
from pfedmma_dist.config.limits import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, Limit
from pfedmma_dist.config.meaning import MEANING, key
from pfedmma_dist.config.merge import plain

ON = {"privacy.name": ("central", "local")}
CENTRAL = {"privacy.name": ("central",)}
FIXED = {"privacy.quantile": (None,)}

WITHIN_1 = Limit(lambda x: 0 < x < 1, "above 0 and below 1")


@dataclass(kw_only=True)
class PrivacyConfig:
    """Differential privacy of clients: neither what is shared nor what is told of a round depends
    much on any one of them. Private parts never leave a client, and need no noise."""

    name: Privacy = key(Privacy.none, since=1, heading="Privacy")
    """`central`: updates of the shared part are clipped, and the server adds noise to their sum
    (DP-FedAvg, McMahan et al., ICLR 2018). `local`: every client adds noise before it sends."""
    clip: float = key(0.1, limit=POSITIVE, since=1, only=ON, heading="Clip")
    """Largest L2 norm of an update, C; with privacy.quantile, that of round 0 (0.1: Andrew et
    al.)."""
    noise: float = key(
        0.0,
        limit=Limit(lambda x: 0 <= x <= 1024, "0 to 1,024"),
        since=1,
        only=ON,
        refused=True,
        heading="Noise",
    )
    """Noise multiplier z: standard deviation of each number's noise over C, in the sum of a round
    (central) or in each update (local). 0 only clips."""
    target_epsilon: float | None = key(None, limit=POSITIVE, since=1, only=ON, refused=True)
    """Find, before the first round, the least noise that keeps epsilon at or below this after
    federation.rounds."""
    delta: float | None = key(None, limit=WITHIN_1, since=1)
    """Delta of (epsilon, delta); null is K^-1.1 of K clients, at most 1e-3, and 1e-5 for an
    image."""
    quantile: float | None = key(None, limit=WITHIN_1, since=1, only=CENTRAL, refused=True)
    """Let C follow this quantile of the norms of updates (Andrew et al., NeurIPS 2021; 0.5 there);
    null keeps it fixed."""
    clip_rate: float = key(0.2, limit=POSITIVE, since=1, only=CENTRAL, never=FIXED)
    """Rate at which log C moves; 0.2 (Andrew et al.)."""
    count_noise: float = key(0.05, limit=POSITIVE, since=1, only=CENTRAL, never=FIXED)
    """Standard deviation of the noise on the count of unclipped clients, as a share of the expected
    clients of a round; 1/20 (Andrew et al.). privacy.noise is that of counts and updates
    together."""
    weights: Weights = key(Weights.equal, since=1, only=ON)
    """What a client counts for in the mean of m expected clients: `equal`, 1/m; `capped`,
    min(images, cap) / (cap m); `samples`, its share of the round's images, which depends on the
    other clients: then no epsilon is told."""
    cap: int = key(64, limit=AT_LEAST_1, since=1, only={**ON, "privacy.weights": ("capped",)})
    """Images beyond which a client counts for no more; choose it without a look at the data."""
    riders: Riders = key(Riders.omit, since=1)
    """What is told of a round beside the shared part, its loss and number of images: `omit`, or
    `release` without noise: then no epsilon is told."""
    accountant: Accountant = key(Accountant.rdp, since=1)
    """How epsilon is computed: `rdp` (Renyi) or `pld` (privacy loss distributions, tighter and
    slower) by dp-accounting, which `pip install 'pfedmma_dist[dp]'` brings, or `integer_rdp` of our
    own, Renyi of whole orders, a little above both and without a library."""
    example_clip: float | None = key(None, limit=POSITIVE, since=1, heading="Image clip")
    """Largest L2 norm of one image's gradient in local training, whose steps then hide single
    images (DP-SGD, Abadi et al., CCS 2016), private part included; null: none. A step takes a
    backward pass for each of its images."""
    example_noise: float = key(
        0.0, limit=NOT_NEGATIVE, since=1, never={"privacy.example_clip": (None,)}, refused=True
    )
    """Noise multiplier of a step: standard deviation of the noise on the sum of the images' clipped
    gradients, over example_clip."""


def refuse_idle(own: PrivacyConfig) -> None:
    """Refuse keys that ask for privacy where nothing would come of them."""
    values = {f"privacy.{name}": plain(value) for name, value in vars(own).items()}
    for item in fields(own):
        name, told = f"privacy.{item.name}", item.metadata[MEANING]
        if told.refused and values[name] != plain(item.default) and not told.is_read(values):
            raise ValueError(
                f"{name}: {values[name]} has no effect here: it is read at {told.where} alone; set "
                f"that, or leave {name} out"
            )
