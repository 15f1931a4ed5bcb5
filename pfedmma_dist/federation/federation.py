"""The federation: clients in shards, one round of the paper's algorithm, everybody's scores."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.storage import GIB
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.exchange import Cost
from pfedmma_dist.federation.clientele import Clientele
from pfedmma_dist.federation.clients import ClientStore, ShardState
from pfedmma_dist.federation.cohort import Cohort
from pfedmma_dist.federation.corrections.registry import corrections_of
from pfedmma_dist.federation.epochs import train_epochs
from pfedmma_dist.federation.evaluate import Scores, Sitting
from pfedmma_dist.federation.examiner import Examiner, check_finetuning
from pfedmma_dist.federation.finite import check_finite
from pfedmma_dist.federation.grouping import those_to_score
from pfedmma_dist.federation.guarded import check_enough, server_of
from pfedmma_dist.federation.picking import rearranged
from pfedmma_dist.federation.protection import protection_of
from pfedmma_dist.federation.recorded import recorder_of
from pfedmma_dist.federation.released.misfits import check_released
from pfedmma_dist.federation.released.momentum import handed
from pfedmma_dist.federation.released.stale_text import StaleText
from pfedmma_dist.federation.sending import send, tally_of
from pfedmma_dist.federation.softmax import texts_of
from pfedmma_dist.federation.sources import Sources
from pfedmma_dist.federation.stages import uplink_of
from pfedmma_dist.federation.tally import RoundStats, Tally, check_bounded
from pfedmma_dist.federation.timing import clock_of
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer
from pfedmma_dist.federation.training import trainer_of
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.pieces import Parts
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


class Federation(Clientele):
    """All clients, of which this rank hosts whole shards, and the numbers that they hold."""

    def __init__(
        self, cfg: Config, task: Task, method: Method, clip: FrozenCLIP, world: World
    ) -> None:
        """cfg: with every null resolved."""
        super().__init__(cfg, task, world)
        self.method, self.clip = method, clip
        self.on_cohort: Callable[[int], None] = lambda num_clients: None  # told of progress
        self.on_step: Callable[[], None] = lambda: None  # may raise, to leave in the midst of it
        self.recorder = recorder_of(cfg, clip.device)
        self.texts = texts_of(task, clip, cfg.data.template)
        frozen = method.frozen(cfg.seed, clip)
        self.layout = Layout(method.specs, frozen, clip.device)
        template = method.template(self.layout, cfg.seed, clip)
        server = server_of(cfg, self.layout.num_shared)
        self.exchange = method.exchange(self.layout, template, cfg.seed, server)
        self.uplink = uplink_of(cfg, self.exchange, self.layout, task.num_clients, self.attackers)
        self.corrections = corrections_of(cfg, method, self.layout)
        check_released(cfg, method, self.layout)
        self.stale_text = StaleText(cfg, self.layout)
        self.protection = protection_of(cfg, len(self.seen), self.corrections)
        self.uplink.begin(self.sizes, len(self.seen))
        check_finetuning(cfg.evaluate, self.layout)
        self.sources: Sources | None = None  # set once the features are there
        private = template[: self.layout.num_private]
        self.clients = ClientStore(
            torch.cat([private, torch.zeros(self.trainer.num_memory + self.uplink.num_memory)]),
            {shard: self.shards[shard] for shard in self.hosted},
            clip.device,
            cfg.federation.client_memory * GIB / world.host_size,
            Path(cfg.clip.cache_folder).expanduser(),
        )
        self.clock = clock_of(self)
        self.exchange = self.clock.waited_for(self.exchange) if self.clock else self.exchange
        check_enough(cfg.server, self.fewest)
        self.scored = np.union1d(those_to_score(self), self.unseen)
        self.uplink.foresee(map(self.turnout, range(cfg.federation.rounds)))

    def rehearse(self) -> None:
        """Run the class side of every class set once.

        A prompt that the CLIP cannot take is so refused before the first image is encoded.
        """
        names = chain.from_iterable(text.names for text in self.texts.values())
        self.method.check_names(tuple(dict.fromkeys(names)))
        params = self.layout.views(self.layout.template(self.cfg.seed)[None].to(self.clip.device))
        extra = self.exchange.download(np.zeros(1, np.int64), training=False).extra
        with torch.no_grad():
            for text in self.texts.values():
                _ = text.plain  # the reference line, whatever the method
                self.method.classes(params, self.method.prepare(extra, text), text)

    def round(self, round_index: int, stop: Callable[[], bool] = lambda: False) -> RoundStats:
        """Run one communication round (pFedMMA, Algorithm 1).

        stop: asked once, before the collective; all ranks learn whether any of them was.
        """
        self.world.entering(f"round {round_index + 1}")
        started, reduced = time.perf_counter(), self.world.bytes_reduced
        chosen, arrived = self.participants(round_index), self.arrived(round_index)
        tally = tally_of(self, round_index, arrived)
        self.uplink.open(round_index, chosen, arrived)
        for cohort in self.visits(round_index):
            start, result = self._train(cohort, round_index)
            self.stale_text.see(self, round_index, cohort.clients, result.theta)
            tally.passed(result.num_samples)
            kept = send(self, cohort.clients, start, result, tally, arrived)
            self._keep(cohort, result, kept)
            self.on_cohort(len(cohort.clients))
        if len(chosen) and not len(arrived):
            log.warning("no upload of this round arrived: clients start from what they had")
        loss, num_samples, stops = self._meet(arrived, tally, stop())
        self.stale_text.tell(self, round_index)
        spent, sent = time.perf_counter() - started, self.world.bytes_reduced - reduced
        dropped = list(self.exchange.dropped)
        return RoundStats(loss, len(chosen), num_samples, sent, spent, stops, dropped)

    def _train(self, cohort: Cohort, round_index: int) -> tuple[Tensor, LocalResult]:
        """Return the rows [G, P + S] that clients start from, and what their training leaves."""
        cfg, clients = self.cfg, cohort.clients
        held = self.start(clients, training=True)
        result = train_epochs(
            self, self.trainer, clients, held, handed(self, clients, round_index),
            cfg.federation.local_epochs, round_index=round_index, pace=round_index,
        )  # fmt: skip
        check_finite(result, clients, f"in round {round_index}", cfg.optim)
        return held[0], rearranged(self, clients, held[0], result, round_index)

    def _keep(self, cohort: Cohort, result: LocalResult, kept: Tensor) -> None:
        """Keep what is a client's own."""
        private = result.theta[:, : self.layout.num_private]
        own = torch.cat([private, result.memory, kept], dim=1)
        self.clients.scatter(cohort.clients, own)

    def _meet(self, arrived: np.ndarray, tally: Tally, stop: bool) -> tuple[float, int, bool]:
        """Let all ranks' uploads become what clients start from next; return loss, image passes
        and whether to stop. Where nobody has sent any, that stays as it is."""
        before = self.exchange.shared.double()
        riders = tally.riders(stop, self.uplink.counts)
        riders = self.exchange.sync(self.world, riders, arrived)  # the only collective
        loss, num_samples, stops, sent = tally.read(riders)
        if len(arrived) or self.uplink.always:
            share = len(arrived) / len(self.seen)
            after = self.corrections.settle(before, self.exchange.shared.double(), sent, share)
            check_bounded(after, self.cfg)
            self.exchange.shared = after.float()
        return loss, num_samples, stops

    def cost(self, round_index: int | None = None) -> Cost:
        """Return the traffic of one client and round: the mean over all that train, or over those
        that took part in one round, of which some had sent before, where they do so once."""
        chosen = self.seen if round_index is None else self.participants(round_index)
        cost = self.cost_among(chosen, round_index) if len(chosen) else Cost(0, 0)
        if cost.once and round_index is not None:
            first = len(np.setdiff1d(chosen, self.trained(round_index)))
            return replace(cost, up=cost.up * first // len(chosen))
        return cost

    def cost_among(self, clients: np.ndarray, round_index: int | None = None) -> Cost:
        """Return the same as the mean over these clients [n], who have not sent before, in a round
        of as many as are drawn for this one, or for the last."""
        index = max(self.cfg.federation.rounds - 1, 0) if round_index is None else round_index
        cost = self.uplink.cost(self.exchange.cost_among(clients), len(self.drawn(index)))
        return cost.beside(self.corrections.num_sent)

    def evaluate(self, full: bool, sitting: Sitting | None = None) -> Scores:
        """Score every client with its own numbers: on its own images, if `full` on all test
        sets."""
        return Examiner(self).exam(full, sitting)

    @property
    def trainer(self) -> LocalTrainer:
        """What all clients have in common when they train in a round."""
        return trainer_of(self)

    def label_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the columns of the training softmax of image rows."""
        return self.task.trained_columns(rows)

    @property
    def train_text(self) -> ClassText:
        """The classes that training tells apart; of several data sets, those of the first."""
        return self.text_of(np.zeros(1, np.int64))

    def text_of(self, clients: np.ndarray) -> ClassText:
        """Return the classes that clients of one data set tell apart in training."""
        return self.texts[self.task.softmax_of(clients)]

    def start(self, clients: np.ndarray, *, training: bool) -> tuple[Tensor, Any]:
        """Return the rows theta [G, P + S] that clients train, or are scored with, after a
        download, and what else came."""
        download = self.exchange.download(clients, training=training)
        shared = download.shared.to(self.clip.device)
        private = self.clients.gather(clients)[:, : self.layout.num_private]
        theta = torch.cat([private, shared], dim=1)
        self.method.deal(self.layout.views(theta), clients)
        if not training:
            theta = self.trainer.scored(theta, self.memory(clients))
        return theta, download.extra

    def memory(self, clients: np.ndarray) -> Tensor:
        """Return what these clients keep of their training beside their private part [G, M]."""
        begin = self.layout.num_private
        return self.clients.gather(clients)[:, begin : begin + self.trainer.num_memory]

    def of_uplink(self, clients: np.ndarray) -> Tensor:
        """Return what these clients keep of what they send [G, U]."""
        if not self.uplink.num_memory:
            return torch.zeros(len(clients), 0, device=self.clip.device)
        return self.clients.gather(clients)[:, self.layout.num_private + self.trainer.num_memory :]

    @property
    def uniform(self) -> bool:
        """Whether all clients are scored with the same numbers."""
        personal = self.layout.num_private > 0 or self.corrections.is_personal
        return self.exchange.uniform and not personal

    @property
    def num_trained(self) -> int:
        """Numbers that a client trains."""
        return self.method.num_trained(self.layout) + self.corrections.num_trained

    def state(self) -> tuple[dict[int, ShardState], dict[str, Tensor]]:
        """Return (state by hosted shard, server state) at a round boundary; a shard's is read when
        it is asked for."""
        server = self.exchange.state() | self.corrections.state() | self.uplink.state()
        return {s: self.clients.state(s) for s in self.hosted}, server | self.stale_text.state()

    def load(
        self,
        shards: Mapping[int, Mapping[str, Tensor] | Parts],
        server: dict[str, Tensor],
        num_rounds: int,
    ) -> None:
        """Take back what `state` returned after so many rounds, at any number of ranks.

        ValueError for what cannot have been returned then.
        """
        if num_rounds > self.cfg.federation.rounds:
            raise ValueError(f"it is of round {num_rounds} of {self.cfg.federation.rounds}")
        trained = self.trained(num_rounds)
        for shard, state in shards.items():
            self.clients.load(shard, state, trained[self.shard_of[trained] == shard])
        server = self.stale_text.load(server)
        self.exchange.load(self.uplink.load(self.corrections.load(server)), trained)
