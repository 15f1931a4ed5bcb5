"""The sections of the configuration that say how clients and the server learn."""

from dataclasses import dataclass, field
from typing import Any

from pfedmma_dist.config.choices import (
    CorrectionName,
    Fairness,
    Optimiser,
    Order,
    Schedule,
    ServerRule,
    SharedPart,
    Unit,
)
from pfedmma_dist.config.limits import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, SHARE, Limit
from pfedmma_dist.config.meaning import MEANING, Meaning, key

SGD = {"optim.name": ("sgd",)}
ADAM = {"optim.name": ("adam", "adamw")}
CENTRED = {
    "server.name": (
        "average", "median", "trimmed_mean", "geometric_median", "norm_clipping", "krum",
        "multi_krum", "bulyan",
    )
}  # fmt: skip
KRUM = {"server.name": ("krum", "multi_krum", "bulyan")}
SQUARED = {"server.name": ("adagrad", "adam", "yogi")}
STEP = {"optim.schedule": ("step",)}
MOON = {"correction.name": ("moon",)}
APFL = {"correction.name": ("apfl",)}


@dataclass(kw_only=True)
class OptimConfig:
    """Local training: the optimiser of a client, and how its rate runs."""

    name: Optimiser = key(Optimiser.sgd, since=1, heading="Optimiser")
    """`sgd` with momentum, `adam` (decay is added to the gradient) or `adamw` (decay is apart from
    it), each as in torch.optim."""
    lr: float = key(1e-3, limit=POSITIVE)
    """Learning rate at its highest; 1e-3 (pFedMMA)."""
    momentum: float = key(0.9, limit=SHARE, only=SGD)
    """Momentum; 0.9 (Dassl default, used by all published code)."""
    nesterov: bool = key(False, since=1, only=SGD)
    """Look ahead by one step of momentum (Nesterov)."""
    beta1: float = key(0.9, limit=SHARE, since=1, only=ADAM)
    """What is kept of the mean gradient at each step."""
    beta2: float = key(0.999, limit=SHARE, since=1, only=ADAM)
    """What is kept of the mean squared gradient at each step."""
    eps: float = key(1e-8, limit=POSITIVE, since=1, only=ADAM)
    """Added to the root of the mean squared gradient."""
    weight_decay: float = key(5e-4, limit=NOT_NEGATIVE)
    """L2 decay of every trained number; 5e-4 (Dassl default)."""
    schedule: Schedule = key(Schedule.constant, since=1)
    """How the rate runs: `constant`, `cosine` (half a wave down to 0) or `step` (times gamma after
    every step_size)."""
    unit: Unit = key(Unit.rounds, since=1)
    """What schedule, step_size and warmup count: `rounds` of the federation, or the local `epochs`
    (as published prompt learning does) or `steps` of a client within each round, where every round
    begins anew."""
    step_size: int = key(30, limit=AT_LEAST_1, since=1, only=STEP)
    """Rounds, epochs or steps between two falls of the rate."""
    gamma: float = key(
        0.1, limit=Limit(lambda x: 0 < x <= 1, "above 0 and at most 1"), since=1, only=STEP
    )
    """Factor of a fall."""
    warmup: int = key(0, limit=NOT_NEGATIVE, since=1)
    """Rounds, epochs or steps before the schedule begins; 1 in CoOp's recipe. `cosine` is not
    shortened by them (Dassl)."""
    warmup_lr: float | None = key(None, limit=POSITIVE, since=1, never={"optim.warmup": (0,)})
    """Rate while warming up, 1e-5 in CoOp's recipe; null rises to lr in equal steps."""
    keep_state: bool = key(False, since=1)
    """Carry momentum, or adam's means, of a client from one of its rounds to its next; otherwise
    they are made fresh for every client and round."""


@dataclass(kw_only=True)
class ServerConfig:
    """What the server makes of the mean of a round: x is what clients start from, Delta = mean - x
    (Reddi et al., ICLR 2021, algorithm 2; momentum: Hsu et al., 2019)."""

    name: ServerRule = key(ServerRule.average, since=1, heading="Server")
    """`average`: x + lr Delta, the mean itself at lr 1 (FedAvg); `momentum`: v = beta1 v + Delta,
    x + lr v (FedAvgM); `adagrad`, `adam`, `yogi`: x + lr m / (sqrt v + tau) with m the running mean
    of Delta and v their running square, without bias correction. The others are average to a centre
    of the uploads, all of which every rank then holds (4 bytes a number): weighted by samples,
    `median`, `trimmed_mean` (Yin et al., ICML 2018), `geometric_median` (Pillutla et al., IEEE TSP
    2022), `norm_clipping` (Sun et al., 2019); by heads, `krum`, `multi_krum` (Blanchard et al.,
    NeurIPS 2017; its mean is by samples), `bulyan` (El Mhamdi et al., ICML 2018)."""
    rule: str | None = key(None, since=1, heading="Server rule")
    """A rule of your own, which a plugin registers (docs/plugins.md), in place of server.name: x +
    lr times where it says to go. It sees the mean alone."""
    options: dict[str, Any] = field(default_factory=dict, metadata={MEANING: Meaning(since=1)})
    """The options of that rule, `server.options.NAME`; `--help` with `plugins=` lists them."""
    lr: float = key(1.0, limit=POSITIVE, since=1, heading="Server rate")
    """Learning rate of the server."""
    beta1: float | None = key(None, limit=SHARE, since=1, never=CENTRED)
    """What is kept of the running mean; null is 0.9, and 0 for adagrad."""
    beta2: float = key(0.99, limit=SHARE, since=1, only={"server.name": ("adam", "yogi")})
    """What is kept of the running square."""
    tau: float = key(1e-3, limit=POSITIVE, since=1, only=SQUARED)
    """How little Delta counts as nothing; v begins at tau squared."""
    fair: Fairness = key(Fairness.none, since=1, heading="Fairness")
    """Weights of the mean: `none` is each client's share of the round's images; `qffl` lets clients
    of high loss weigh more (q-FedAvg, Li et al., ICLR 2020); `afl` learns one weight per client,
    whatever its images, that climbs with its loss (Mohri et al., ICML 2019). Losses are means over
    a round's steps."""
    q: float = key(1.0, limit=NOT_NEGATIVE, since=1, only={"server.fair": ("qffl",)})
    """How much fairer: 0 is the plain mean; Li et al. choose among 0.001 to 5."""
    fair_rate: float = key(0.1, limit=POSITIVE, since=1, only={"server.fair": ("afl",)})
    """Rate at which afl's weights climb; Mohri et al. choose among 0.0001 to 1."""
    trim: float = key(
        0.1,
        limit=Limit(lambda x: 0 <= x < 0.5, "0 or more and below 0.5"),
        since=1,
        only={"server.name": ("trimmed_mean",)},
    )
    """Share of the round's weight that is left out at each end of a coordinate; our choice."""
    byzantine: int = key(1, limit=NOT_NEGATIVE, since=1, only=KRUM)
    """Uploads of a round that the rule holds against, f: Krum's need 2 f + 3 clients in every
    round, Bulyan 4 f + 3."""
    bound: float | None = key(
        None, limit=POSITIVE, since=1, only={"server.name": ("norm_clipping",)}
    )
    """Longest move (L2) of an upload from the download; null is the weighted median of the
    round's."""


@dataclass(kw_only=True)
class CorrectionConfig:
    """What the federation changes in local training, with any method that shares something;
    FedProx beside it is federation.proximal."""

    name: CorrectionName = key(CorrectionName.none, since=1, heading="Correction")
    """Shared numbers train otherwise: `scaffold` (Karimireddy et al., ICML 2020), right under
    momentum too, `feddyn` (Acar et al., ICLR 2021), whose server takes the plain mean, `moon` (Li
    et al., CVPR 2021). Parts take turns: `fedrep` (Collins et al., ICML 2021), `fedbabu` (Oh et
    al., ICLR 2022), whose private part rests until evaluate.finetune_epochs. A client keeps a
    second row of all its numbers, and is scored with it: `ditto` (Li et al., ICML 2021), `apfl`
    (Deng et al., 2020)."""
    alpha: float = key(0.1, limit=POSITIVE, since=1, only={"correction.name": ("feddyn",)})
    """Weight of the square of the distance from the download; 0.1 (Acar et al.)."""
    mu: float = key(1.0, limit=POSITIVE, since=1, only=MOON)
    """Weight of the contrast with a client's last row; Li et al. choose among 0.1, 1, 5, 10."""
    temperature: float = key(0.5, limit=POSITIVE, since=1, only=MOON)
    """Temperature of the contrast; 0.5 (Li et al.)."""
    head_epochs: int = key(1, limit=AT_LEAST_1, since=1, only={"correction.name": ("fedrep",)})
    """Epochs of federation.local_epochs in which the private part trains alone; the shared
    part trains alone in the rest."""
    pull: float = key(1.0, limit=NOT_NEGATIVE, since=1, only={"correction.name": ("ditto",)})
    """Lambda: weight of half the square of the distance between the second row's shared part and
    the download; 1, or 0.1 where clients are attacked (Li et al., who choose among 0.1, 1, 2)."""
    mix: float = key(0.5, limit=Limit(lambda x: 0 <= x <= 1, "0 to 1"), since=1, only=APFL)
    """Alpha: weight of the second row in the mixture that is scored, at a client's start; 0.5."""
    learn_mix: bool = key(True, since=1, only=APFL)
    """Let every client learn its own alpha, by steps of the learning rate."""


@dataclass(kw_only=True)
class ControlConfig:
    """Negative controls: runs that must come out worse than the method they are of. `python -m
    launch.controls RUN` starts them all."""

    labels: Order = key(Order.as_given, since=1, heading="Training labels")
    """`permuted`: the labels of all training images of all clients are dealt anew among these
    images, by the seed; test images keep theirs. What is above zero-shot then was not learned from
    labels."""
    names: Order = key(Order.as_given, since=1, heading="Class names")
    """`permuted`: every class is prompted by the name of another one of its softmax, by the seed.
    What lives from text must fall."""
    shared: SharedPart = key(SharedPart.trained, since=1, heading="Shared part")
    """`at_start`: the shared part keeps the bits that it begins with, and the private one trains
    beside it. What is lost is what sharing buys."""
