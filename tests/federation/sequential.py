"""A second federation: one client after another, dictionaries of tensors, torch.optim, autograd.

It is written from the definitions, and shares with the product only what other tests hold to
something else: the methods' own functions, the frozen features, and who owns which image. Shuffles,
draws, batches, optimisers, schedules, corrections, server rules, the pool of experts and scores are
its own.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from robust_scripts import SCRIPTS
from torch import Tensor

from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.exchange.experts import Upload
from pfedmma_dist.exchange.robust import Guard
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import Layout
from pfedmma_dist.rng import Key

Numbers = dict[str, Tensor]


def draw(*words: object) -> np.random.Generator:
    """Return the random numbers that belong to these words."""
    digest = hashlib.blake2b(":".join(map(str, words)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def copied(numbers: Numbers) -> Numbers:
    return {name: x.detach().clone() for name, x in numbers.items()}


def flat(numbers: Numbers) -> Tensor:
    return torch.cat([x.detach().reshape(-1) for x in numbers.values()] or [torch.zeros(0)])


@dataclass
class Client:
    """What one client keeps from round to round."""

    private: Numbers
    begun: bool = False  # whether its own images have made what they make of it
    controls: Numbers = field(default_factory=dict)  # SCAFFOLD's c_i, FedDyn's h_i
    optimiser: dict[str, Any] | None = None  # state of torch.optim, where it is kept
    second: Numbers | None = None  # Ditto's and APFL's row
    mix: float = 0.0  # its weight
    sent: Upload | None = None
    experts: tuple[Upload, ...] = ()


class Sequential:
    """All clients of a federation on one machine, in the order of their numbers."""

    def __init__(
        self, cfg: Config, task: Task, method: Method, texts: dict[str, Any], features: Any
    ) -> None:
        self.cfg, self.task, self.method, self.texts = cfg, task, method, texts
        self.features, self.seed = features, cfg.seed
        drawn = {s.name: s.init(draw(cfg.seed, f"init {s.name}"), s.shape) for s in method.specs}
        self.spec = {spec.name: spec for spec in method.specs if not spec.frozen}
        begin = {name: drawn[name] for name in self.spec}
        clip = next(iter(texts.values())).clip
        self.frozen = method.frozen(cfg.seed, clip)
        if type(method).template is not Method.template:  # it starts from more than draws
            layout = Layout(method.specs, self.frozen)
            row = method.template(layout, cfg.seed, clip)[None]
            begin = {name: layout.views(row)[name][0] for name in self.spec}
        self.shared = {name: x for name, x in begin.items() if self.spec[name].shared}
        private = {name: x for name, x in begin.items() if not self.spec[name].shared}
        self.clients = [Client(copied(private)) for _ in range(task.num_clients)]
        self.sizes = [len(task.train.rows(k)) for k in range(task.num_clients)]
        self.left: list[Numbers] = []  # what each round has left for the next
        self.held = {name: torch.zeros_like(x).double() for name, x in self.shared.items()}
        self.first = {name: torch.zeros_like(x).double() for name, x in self.shared.items()}
        self.second = {
            name: torch.full_like(x, cfg.server.tau**2).double() for name, x in self.shared.items()
        }

    def participants(self, round_index: int) -> list[int]:
        count = max(int(self.cfg.federation.fraction * len(self.clients)), 1)
        rng = draw(self.seed, "participants", round_index)
        return sorted(rng.choice(len(self.clients), count, replace=False).tolist())

    def round(self, round_index: int) -> float:
        """Run one round and return its mean loss."""
        chosen = self.participants(round_index)
        handed = {client: self._experts(client) for client in chosen}
        of_round = {k: self.sizes[k] / sum(self.sizes[j] for j in chosen) for k in chosen}
        weight = dict.fromkeys(chosen, 1 / len(chosen)) if self._is("feddyn") else of_round
        mean = {name: torch.zeros_like(x).double() for name, x in self.shared.items()}
        change, loss, uploads = copied(mean), 0.0, []
        for k in chosen:
            shared, own_loss, moved = self._train(k, round_index, handed[k])
            loss += of_round[k] * own_loss
            uploads.append(shared)
            for name, x in shared.items():
                mean[name] += weight[k] * x.double()
                if moved:
                    change[name] += self.sizes[k] / sum(self.sizes) * moved[name].double()
            self.clients[k].sent, self.clients[k].experts = Upload(flat(shared)), handed[k]
        merge = getattr(getattr(self.method, "options", None), "merge", None)
        if merge is not None and merge.value in MERGES:
            mean = MERGES[merge.value](uploads, [weight[k] for k in chosen])
        rule = self.cfg.server
        if rule.name.value in CENTRES:
            mean = CENTRES[rule.name.value](uploads, [weight[k] for k in chosen])
        if rule.name.value in SCRIPTS:
            rows = np.stack([flat(own).double().numpy() for own in uploads])
            samples, start = np.array(self.sizes)[chosen], flat(self.shared).double().numpy()
            guard = Guard(rule.trim, rule.byzantine, rule.bound)
            mean = like(uploads[0], SCRIPTS[rule.name.value](rows, samples, start, guard)[0])
        for name, x in self.shared.items():
            self.shared[name] = self._serve(name, x.double(), mean[name], len(chosen)).float()
            if self._is("scaffold"):
                self.held[name] += change[name]
        self.left.append(copied(self.shared))
        return loss

    def _over_rounds(self) -> Numbers:
        """Return what scores see in place of what is shared, where they see a mean over rounds."""
        options = getattr(self.method, "options", None)
        if getattr(options, "deviation", None) is None or not self.left:
            return {}
        rounds = self.cfg.federation.rounds
        mean, deviation = options.centre * rounds, options.deviation * rounds
        far = [(index + 1 - mean) / deviation for index in range(len(self.left))]
        weights = [math.exp(-(x**2) / 2) for x in far]
        found = {}
        for name in self.shared:
            rows = np.stack([own[name].double() for own in self.left])
            found[name] = torch.from_numpy(np.average(rows, axis=0, weights=weights)).float()
        return found

    def _deal(self, k: int, row: Numbers) -> None:
        """Set what a client's number alone decides of its row."""
        self.method.deal({name: x[None] for name, x in row.items()}, np.array([k]))

    def _is(self, name: str) -> bool:
        return self.cfg.correction.name.value == name

    def _serve(self, name: str, before: Tensor, mean: Tensor, count: int) -> Tensor:
        """Return what clients start from next, in float64."""
        cfg, delta = self.cfg.server, mean - before
        rule, default = cfg.name.value, {"adagrad": 0.0}.get(cfg.name.value, 0.9)
        beta = default if cfg.beta1 is None else cfg.beta1
        if rule == "average" or rule in (*CENTRES, *SCRIPTS):
            after = before + cfg.lr * delta
        elif rule == "momentum":
            self.first[name] = beta * self.first[name] + delta
            after = before + cfg.lr * self.first[name]
        else:
            m = self.first[name] = beta * self.first[name] + (1 - beta) * delta
            v = self.second[name]
            v = {
                "adagrad": v + delta**2,
                "adam": cfg.beta2 * v + (1 - cfg.beta2) * delta**2,
                "yogi": v - (1 - cfg.beta2) * delta**2 * torch.sign(v - delta**2),
            }[rule]
            self.second[name] = v
            after = before + cfg.lr * m / (v.sqrt() + cfg.tau)
        if self._is("feddyn"):
            alpha = self.cfg.correction.alpha
            self.held[name] -= alpha * count / len(self.clients) * (after - before)
            after = after - self.held[name] / alpha
        return after

    def _train(
        self, k: int, round_index: int, experts: tuple[Upload, ...]
    ) -> tuple[Numbers, float, Numbers]:
        """Train one client; return its shared numbers, mean loss, and how its control moved."""
        client, start = self.clients[k], copied(self._cut(k))
        self._deal(k, client.private)
        if not client.begun:
            client.begun = True
            client.private |= self._begin(k)
        if self.method.counts:
            return start, self._count(k, round_index, experts), {}
        theta = self._leaves({**client.private, **start})
        if client.second is None and (self._is("ditto") or self._is("apfl")):
            client.mix = 1.0 if self._is("ditto") else self.cfg.correction.mix
            client.second = copied(theta)
        losses, rates = self._walk(k, theta, experts, round_index, round_index, start)
        self._pick(k, round_index, start, theta)
        client.private = {n: x.detach() for n, x in theta.items() if not self.spec[n].shared}
        shared = {n: x.detach() for n, x in theta.items() if self.spec[n].shared}
        moved = self._close(client, start, shared, rates)
        return self._padded(shared), float(np.mean(losses)), moved

    def _pick(self, k: int, round_index: int, start: Numbers, theta: Numbers) -> None:
        """Put in place what a client sends, where it has groups and draws of them: those with a
        cosine near that of the common ones, one after another."""
        count = getattr(getattr(self.method, "options", None), "num_sent", 0)
        for tower in ("text", "image") if count else ():
            own, common, pair = (f"{tower}.own", f"{tower}.common", f"pair.{tower}")
            every = [*theta[own].detach().clone(), *theta[common].detach().clone()]
            tags, chance = theta[pair].tolist(), np.ones(len(every))
            if round_index:
                near = [
                    [float(F.cosine_similarity(x.flatten(), c.flatten(), 0)) for c in start[common]]
                    for x in every
                ]
                chance = np.exp(np.max(near, axis=1) / self.method.options.temperature)
            sent: list[int] = []
            for at in draw(self.seed, "step groups", round_index, k, 0).random(count):
                left = [i for i in range(len(every)) if i not in sent]
                share = chance[left] / chance[left].sum()
                sent.append(left[int((np.cumsum(share) <= at).sum())])
            kept = [i for i in range(len(every)) if i not in sent]
            theta[own].data = torch.stack([every[i] for i in kept])
            theta[common].data = torch.stack([every[i] for i in sent])
            theta[pair].data = torch.tensor([tags[i] for i in kept + sent])

    def _cut(self, k: int) -> Numbers:
        """Return the shared numbers that a client holds: factors A and B may have its own rank."""
        ranks = getattr(getattr(self.method, "options", None), "ranks", None)
        if not ranks:
            return self.shared
        r = ranks[k % len(ranks)]
        return {n: x[:r] if n.startswith("A.") else x[:, :r] for n, x in self.shared.items()}

    def _padded(self, shared: Numbers) -> Numbers:
        """Return a client's shared numbers with zeros beyond its rank."""
        found = {name: torch.zeros_like(x) for name, x in self.shared.items()}
        for name, x in shared.items():
            found[name][tuple(map(slice, x.shape))] = x
        return found

    def _count(self, k: int, round_index: int, experts: tuple[Upload, ...]) -> float:
        """Return the loss of a client that takes no step."""
        text, client = self.texts[self._softmax(k)], self.clients[k]
        prepared = self._prepared(experts, text)
        with torch.no_grad():
            batches = self._batches(k, round_index, self.cfg.federation.local_epochs)
            losses = [self._loss(k, client.private, prepared, text, rows) for _, rows in batches]
        return float(np.mean(losses))

    def _begin(self, k: int) -> Numbers:
        """Return what a client's own images make of its private numbers."""
        if not self.method.begins:
            return {}
        kind, clip = self.method.images, self.texts[self._softmax(k)].clip
        images = clip.encode_image(self.features.rows(kind, (self._rows(k), None)), kind)
        labels = torch.from_numpy(self._labels(self._softmax(k), self._rows(k)))
        return {name: x.float() for name, x in self.method.begin(images, labels).items()}

    def _leaves(self, numbers: Numbers) -> Numbers:
        return {name: x.requires_grad_() for name, x in copied(numbers).items()}

    def _walk(
        self,
        k: int,
        theta: Numbers,
        experts: tuple[Upload, ...],
        draws: int,
        pace: int,
        start: Numbers | None,
    ) -> tuple[list[float], list[float]]:
        """Run the steps of a round, theta's in place; return losses and rates of each.

        draws, pace: the rounds of which order and rates are. start: what was downloaded; None
        where a copy is finetuned, which no correction touches.
        """
        cfg, client, corrected = self.cfg, self.clients[k], start is not None
        epochs = cfg.federation.local_epochs if corrected else cfg.evaluate.finetune_epochs
        text = self.texts[self._softmax(k)]
        prepared, optimiser = self._prepared(experts, text), self._optimiser(theta)
        rests = {n for n, off in self.method.resting(prepared, draws).items() if bool(off[0])}
        if corrected and client.optimiser is not None:
            optimiser.load_state_dict(client.optimiser)
        second = self._leaves(client.second) if corrected and client.second is not None else None
        beside = None if second is None else self._optimiser(second)
        contrast = None
        if corrected and self._is("moon"):
            contrast = self._contrast(k, theta, start, prepared)
        steps = list(self._batches(k, draws, epochs))
        losses, rates = [], []
        for index, (epoch, rows) in enumerate(steps):
            rate = self._rate(pace, index, len(steps))
            drawn = self.method.draw(prepared, [Key(self.seed, draws, k, index)])
            optimiser.zero_grad()
            loss = self._loss(k, theta, drawn, text, rows, contrast)
            losses.append(float(loss.detach()))
            loss.backward()
            self._yield(theta, drawn, text, k, rows)
            self._scale(theta)
            extra = self._correction(theta, start, client) if corrected else None
            if extra is not None:
                losses[-1] += float(extra.detach())
                extra.backward()
            if corrected:
                self._control(theta, client)
            if second is not None:
                self._second(k, theta, second, start, drawn, text, rows, rate)
            still = rests | (self._resting(epoch) if corrected else set())
            for row, rule in ((theta, optimiser), (second, beside)):
                if row is not None:
                    for name, x in row.items():
                        x.grad = None if name in still else x.grad
                    for group in rule.param_groups:
                        group["lr"] = rate * self.spec[group["name"]].lr_scale
                    rule.step()
            rates.append(rate)
        if corrected and cfg.optim.keep_state:
            client.optimiser = optimiser.state_dict()
        if second is not None:
            client.second = copied(second)
        return losses, rates

    def _yield(self, row: Numbers, prepared: Any, text: Any, k: int, rows: np.ndarray) -> None:
        """Take out of each gradient what points against that of the method's second loss."""
        other = self.method.against(*self._step(k, row, prepared, text, rows))
        if other is None:
            return
        for x, b in zip(row.values(), torch.autograd.grad(other[0], [*row.values()]), strict=True):
            inner = float((x.grad * b).sum())
            if inner < 0:
                x.grad = x.grad - self.method.yields * inner / float(b.square().sum()) * b

    def _scale(self, row: Numbers) -> None:
        for name, x in row.items():
            x.grad = torch.zeros_like(x) if x.grad is None else x.grad * self.spec[name].grad_scale

    def _second(
        self, k: int, theta: Numbers, second: Numbers, start: Numbers, prepared: Any, text: Any,
        rows: np.ndarray, rate: float,
    ) -> None:  # fmt: skip
        """Give the second row its gradient, and let APFL's weight of it move."""
        client = self.clients[k]
        mixed = self._leaves({n: self._mixed(client, second[n], x) for n, x in theta.items()})
        self._loss(k, mixed, prepared, text, rows).backward()
        self._yield(mixed, prepared, text, k, rows)
        slope = 0.0
        for name, v in second.items():
            raw = torch.zeros_like(v) if mixed[name].grad is None else mixed[name].grad
            v.grad = client.mix * raw
            slope += float(((v - theta[name]).detach() * raw).sum())
        self._scale(second)
        for name in start if self._is("ditto") else ():
            second[name].grad += self.cfg.correction.pull * (second[name].detach() - start[name])
        if self._is("apfl") and self.cfg.correction.learn_mix:
            client.mix = min(1.0, max(0.0, client.mix - rate * slope))

    @staticmethod
    def _mixed(client: Client, second: Tensor, first: Tensor) -> Tensor:
        return client.mix * second.detach() + (1 - client.mix) * first.detach()

    def _contrast(self, k: int, theta: Numbers, start: Numbers, prepared: Any) -> Any:
        """Return MOON's term of the loss as a function of a row and images."""
        cfg, text, client = self.cfg.correction, self.texts[self._softmax(k)], self.clients[k]
        last = copied(start)
        if client.sent is not None:
            sizes = [x.numel() for x in start.values()]
            parts = zip(start, client.sent.row.split(sizes), strict=True)
            last = {name: part.view_as(start[name]) for name, part in parts}
        still = [copied({**theta, **start}), copied({**theta, **last})]

        def of(row: Numbers, images: Tensor) -> Tensor:
            params = self._params(row)
            classes = self.method.classes(params, prepared, text)
            return self.method.representation(params, classes, images, text.clip)[0]

        def term(row: Numbers, images: Tensor) -> Tensor:
            own = of(row, images)
            near, far = (
                F.cosine_similarity(own, of(other, images).detach(), dim=-1) for other in still
            )
            both = torch.stack([near, far], dim=-1) / cfg.temperature
            return cfg.mu * -both.log_softmax(dim=-1)[..., 0].mean()

        return term

    def _optimiser(self, theta: Numbers) -> torch.optim.Optimizer:
        cfg = self.cfg.optim
        groups = [{"params": [x], "name": name, "lr": cfg.lr} for name, x in theta.items()]
        if cfg.name.value == "sgd":
            return torch.optim.SGD(
                groups, momentum=cfg.momentum, nesterov=cfg.nesterov, weight_decay=cfg.weight_decay
            )
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[cfg.name.value]
        betas = (cfg.beta1, cfg.beta2)
        return kind(groups, betas=betas, eps=cfg.eps, weight_decay=cfg.weight_decay)

    def _rate(self, round_index: int, step: int, num_steps: int) -> float:
        cfg = self.cfg.optim
        by_round = cfg.unit.value == "rounds"
        at, of = (round_index, self.cfg.federation.rounds) if by_round else (step, num_steps)
        if at < cfg.warmup:
            return cfg.lr * (at + 1) / (cfg.warmup + 1) if cfg.warmup_lr is None else cfg.warmup_lr
        at -= cfg.warmup
        return {
            "constant": cfg.lr,
            "cosine": cfg.lr * (1 + math.cos(math.pi * at / of)) / 2,
            "step": cfg.lr * cfg.gamma ** (at // cfg.step_size),
        }[cfg.schedule.value]

    def _correction(self, theta: Numbers, start: Numbers, client: Client) -> Tensor | None:
        """Return the terms that have a value, for autograd."""
        mu, terms = self.cfg.federation.proximal, []
        for name, x in start.items():
            square = (theta[name] - x).square().sum()
            terms += [mu / 2 * square] if mu else []
            if self._is("feddyn"):
                held = client.controls.get(name, torch.zeros_like(x))
                terms += [self.cfg.correction.alpha / 2 * square - (held * theta[name]).sum()]
        return sum(terms) if terms else None

    def _control(self, theta: Numbers, client: Client) -> None:
        if self._is("scaffold"):
            for name, c in self.held.items():
                own = client.controls.get(name, torch.zeros_like(c))
                theta[name].grad += (c - own).float()

    def _resting(self, epoch: int) -> set[str]:
        if self._is("fedbabu"):
            return {name for name, spec in self.spec.items() if not spec.shared}
        if not self._is("fedrep"):
            return set()
        head = epoch < self.cfg.correction.head_epochs
        return {name for name, spec in self.spec.items() if spec.shared == head}

    def _close(
        self, client: Client, start: Numbers, shared: Numbers, rates: list[float]
    ) -> Numbers:
        """Renew a client's controls; return how they moved."""
        moved = {}
        for name, x in start.items():
            before = client.controls.get(name, torch.zeros_like(x))
            if self._is("feddyn"):
                client.controls[name] = before - self.cfg.correction.alpha * (shared[name] - x)
            if self._is("scaffold"):
                b, last = self.cfg.optim.momentum, len(rates)
                # A gradient of step t is in the moves of step t and of all behind it.
                came = sum(
                    rate * b ** (s - t) for s, rate in enumerate(rates) for t in range(s + 1)
                )
                assert last > 0
                mean = (x - shared[name]) / (came * self.spec[name].lr_scale)
                client.controls[name] = before - self.held[name].float() + mean
                moved[name] = client.controls[name] - before
        return moved

    def _params(self, row: Numbers) -> Numbers:
        return {name: x[None] for name, x in {**row, **self.frozen}.items()}

    def _loss(
        self, k: int, row: Numbers, prepared: Any, text: Any, rows: np.ndarray, contrast: Any = None
    ) -> Tensor:
        params, classes, step = self._step(k, row, prepared, text, rows)
        labels, logits = step.labels[0].numpy(), step.logits
        own = np.arange(logits.shape[2])
        if self.cfg.federation.softmax.value == "own":
            own = np.unique(self._labels(self._softmax(k), self._rows(k)))
        loss = F.cross_entropy(logits[0][:, own], torch.from_numpy(np.searchsorted(own, labels)))
        penalty = self.method.penalty(params, classes, step)
        loss = loss if penalty is None else loss + penalty[0]
        return loss if contrast is None else loss + contrast(row, step.images)

    def _step(
        self, k: int, row: Numbers, prepared: Any, text: Any, rows: np.ndarray
    ) -> tuple[Numbers, Any, Step]:
        """Return parameters, classes and the step that they take part in."""
        params, method = self._params(row), self.method
        images = mapped(self.features.rows(method.images, (rows, None)), lambda x: x[None])
        classes = method.classes(params, prepared, text)
        seen = method.see(params, classes, images, text.clip)
        logits = method.logits(params, classes, seen, text.clip)
        labels = torch.from_numpy(self._labels(self._softmax(k), rows))[None]
        weight = torch.ones(1, len(rows))
        told = labels, weight, logits, None, seen
        return params, classes, Step(text, method.images, images, *told)

    def _rows(self, k: int) -> np.ndarray:
        return self.task.train.rows(k)

    def _softmax(self, k: int) -> str:
        """Return the first class set in which all images of a client have a class."""
        return next(name for name in self.texts if (self._labels(name, self._rows(k)) >= 0).all())

    def _labels(self, class_set: str, rows: np.ndarray) -> np.ndarray:
        return self.task.class_sets[class_set].label_of[self.task.images.labels[rows]]

    def _batches(self, k: int, round_index: int, epochs: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (epoch, image rows) of each step."""
        cfg, rows = self.cfg.federation, self._rows(k)
        size = cfg.batch_size
        for epoch in range(epochs):
            order = rows[draw(self.seed, "shuffle", round_index, k, epoch).permutation(len(rows))]
            parts = [order[at : at + size] for at in range(0, len(order), size)]
            if cfg.drop_last and len(parts) > 1 and len(parts[-1]) < size:
                parts.pop()
            yield from ((epoch, part) for part in parts)

    def _prepared(self, experts: tuple[Upload, ...], text: Any) -> Any:
        with torch.no_grad():
            return self.method.prepare([experts], text)

    def _experts(self, client: int) -> tuple[Upload, ...]:
        """Return the nearest uploads of others, where the method pools any."""
        wanted = getattr(getattr(self.method, "options", None), "num_experts", 0)
        own = self.clients[client].sent
        if not wanted or own is None:
            return ()
        others = [c.sent for k, c in enumerate(self.clients) if k != client and c.sent is not None]
        far = [float((other.row - own.row).double().norm()) for other in others]
        return tuple(others[place] for place in np.argsort(far, kind="stable")[:wanted])

    def scores(self) -> dict[str, np.ndarray]:
        """Return the accuracy in percent of every client, by test set."""
        rows = [self._scored(k) for k in range(len(self.clients))]
        with torch.no_grad():
            found: dict[str, np.ndarray] = {}
            for scope in self.task.scopes:  # of several data sets a client is scored on one
                own = np.array([self._score(k, rows[k], scope) for k in range(len(rows))])
                before = found.get(scope.name, np.full(len(rows), np.nan))
                found[scope.name] = np.where(np.isnan(own), before, own)
            return found

    def held_by(self, k: int) -> Numbers:
        """Return what a client would be scored with, if it were not finetuned."""
        client, shared = self.clients[k], self._padded(self._cut(k)) | self._over_rounds()
        if hasattr(getattr(self.method, "options", None), "num_experts") and client.sent:
            shared = {"context": client.sent.row.view_as(self.shared["context"])}
        row = {**copied(client.private), **shared}
        self._deal(k, row)
        if client.second is not None:
            row = {name: self._mixed(client, client.second[name], x) for name, x in row.items()}
        return copied(row)

    def _scored(self, k: int) -> Numbers:
        """Return what a client is scored with."""
        row = self.held_by(k)
        if self.cfg.evaluate.finetune_epochs:
            row = self._leaves(row)
            self._walk(k, row, self.clients[k].experts, self.cfg.federation.rounds, 0, None)
        return copied(row)

    def _score(self, k: int, row: Numbers, scope: Any) -> float:
        rows, text = scope.rows_of(k), self.texts[scope.class_set]
        params = self._params(row)
        classes = self.method.classes(params, self._prepared(self.clients[k].experts, text), text)
        images = mapped(self.features.rows(self.method.images, (rows, None)), lambda x: x[None])
        seen = self.method.see(params, classes, images, text.clip)
        logits = self.method.logits(params, classes, seen, text.clip)[0]
        if scope.own_classes:
            own = set(self._labels(scope.class_set, self._rows(k)).tolist())
            logits[:, [c for c in range(logits.shape[1]) if c not in own]] = -torch.inf
        right = logits.argmax(dim=1).numpy() == self._labels(scope.class_set, rows)
        return 100 * float(right.mean()) if len(rows) else math.nan


def median(uploads: list[Numbers], weights: list[float]) -> Numbers:
    """Return the weighted median of each coordinate, midway where half is reached to the bit."""
    rows = np.stack([flat(own).double().numpy() for own in uploads])
    middle = np.empty(rows.shape[1])
    for place, column in enumerate(rows.T):
        order = np.argsort(column, kind="stable")
        reached = np.cumsum(np.array(weights)[order])
        low, high = (np.argmax(reached > half) for half in (0.5 - 1e-9, 0.5 + 1e-9))
        middle[place] = (column[order[low]] + column[order[high]]) / 2
    return like(uploads[0], middle)


def geometric_median(uploads: list[Numbers], weights: list[float]) -> Numbers:
    """Return the point nearest to all by weight (Weiszfeld)."""
    rows = np.stack([flat(own).double().numpy() for own in uploads])
    point = np.average(rows, axis=0, weights=weights)
    for _ in range(100):
        far = np.maximum(np.linalg.norm(rows - point, axis=1), 1e-6)
        point = np.average(rows, axis=0, weights=np.array(weights) / far)
    return like(uploads[0], point)


def like(numbers: Numbers, row: np.ndarray) -> Numbers:
    """Cut a row into tensors of these shapes."""
    parts = torch.from_numpy(row).split([x.numel() for x in numbers.values()])
    return {n: part.view_as(x) for (n, x), part in zip(numbers.items(), parts, strict=True)}


CENTRES = {"median": median, "geometric_median": geometric_median}


def weighted_by_norm(uploads: list[Numbers], weights: list[float]) -> Numbers:
    """Return the means of A and of B with weights |B A| (HetLoRA)."""
    found = {}
    for name in uploads[0]:
        place = name[2:]
        norms = [
            np.linalg.norm((own[f"B.{place}"] @ own[f"A.{place}"]).double()) for own in uploads
        ]
        rows = np.stack([own[name].double() for own in uploads])
        found[name] = torch.from_numpy(np.average(rows, axis=0, weights=norms))
    return found


def decomposed(uploads: list[Numbers], weights: list[float]) -> Numbers:
    """Return B = U S and A = V' of the mean product, built whole (FlexLoRA)."""
    found = {}
    for name in (name for name in uploads[0] if name.startswith("A.")):
        place, rank = name[2:], len(uploads[0][name])
        pairs = [(own[f"B.{place}"].double(), own[name].double()) for own in uploads]
        product = sum(w * (b @ a).numpy() for w, (b, a) in zip(weights, pairs, strict=True))
        u, s, v = np.linalg.svd(product)
        for j in range(rank):
            sign = np.sign(v[j, np.abs(v[j]).argmax()])
            u[:, j], v[j] = sign * u[:, j], sign * v[j]
        found[name] = torch.from_numpy(v[:rank])
        found[f"B.{place}"] = torch.from_numpy(u[:, :rank] * s[:rank])
    return {name: found[name] for name in uploads[0]}


MERGES = {"norm": weighted_by_norm, "svd": decomposed}
