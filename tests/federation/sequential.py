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
from torch import Tensor

from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.exchange.experts import Upload
from pfedmma_dist.methods.method import Method

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
    controls: Numbers = field(default_factory=dict)  # SCAFFOLD's c_i, FedDyn's h_i
    optimiser: dict[str, Any] | None = None  # state of torch.optim, where it is kept
    sent: Upload | None = None
    experts: tuple[Upload, ...] = ()


class Sequential:
    """All clients of a federation on one machine, in the order of their numbers."""

    def __init__(
        self, cfg: Config, task: Task, method: Method, texts: dict[str, Any], features: Any
    ) -> None:
        self.cfg, self.task, self.method, self.texts = cfg, task, method, texts
        self.features, self.seed = features, cfg.seed
        begin = {s.name: s.init(draw(cfg.seed, f"init {s.name}"), s.shape) for s in method.specs}
        self.spec = {spec.name: spec for spec in method.specs}
        self.shared = {name: x for name, x in begin.items() if self.spec[name].shared}
        private = {name: x for name, x in begin.items() if not self.spec[name].shared}
        self.clients = [Client(copied(private)) for _ in range(task.num_clients)]
        self.sizes = [len(task.train.rows(k)) for k in range(task.num_clients)]
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
        change, loss = copied(mean), 0.0
        for k in chosen:
            shared, own_loss, moved = self._train(k, round_index, handed[k])
            loss += of_round[k] * own_loss
            for name, x in shared.items():
                mean[name] += weight[k] * x.double()
                if moved:
                    change[name] += self.sizes[k] / sum(self.sizes) * moved[name].double()
            self.clients[k].sent, self.clients[k].experts = Upload(flat(shared)), handed[k]
        for name, x in self.shared.items():
            self.shared[name] = self._serve(name, x.double(), mean[name], len(chosen)).float()
            if self._is("scaffold"):
                self.held[name] += change[name]
        return loss

    def _is(self, name: str) -> bool:
        return self.cfg.correction.name.value == name

    def _serve(self, name: str, before: Tensor, mean: Tensor, count: int) -> Tensor:
        """Return what clients start from next, in float64."""
        cfg, delta = self.cfg.server, mean - before
        rule, default = cfg.name.value, {"adagrad": 0.0}.get(cfg.name.value, 0.9)
        beta = default if cfg.beta1 is None else cfg.beta1
        if rule == "average":
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
        cfg, client = self.cfg, self.clients[k]
        start = copied(self.shared)
        text = self.texts[self.task.train_classes]
        prepared = self._prepared(experts, text)
        rests = {name for name, off in self.method.resting(prepared).items() if bool(off[0])}
        if self.method.counts:
            labels = torch.from_numpy(self._labels(self.task.train_classes, self._rows(k)))
            (name,) = client.private
            client.private[name] = self.method.counted(labels)
            with torch.no_grad():
                losses = [
                    float(self._loss(client.private, prepared, text, rows))
                    for _, rows in self._batches(k, round_index)
                ]
            return start, float(np.mean(losses)), {}
        theta = {n: x.requires_grad_() for n, x in copied({**client.private, **start}).items()}
        optimiser = self._optimiser(theta)
        if client.optimiser is not None:
            optimiser.load_state_dict(client.optimiser)
        steps = list(self._batches(k, round_index))
        losses, coefficients = [], []
        for index, (epoch, rows) in enumerate(steps):
            optimiser.zero_grad()
            loss = self._loss(theta, prepared, text, rows)
            losses.append(float(loss.detach()))
            loss.backward()
            for name, x in theta.items():
                x.grad = (
                    torch.zeros_like(x) if x.grad is None else x.grad * self.spec[name].grad_scale
                )
            extra = self._correction(theta, start, client)
            if extra is not None:
                losses[-1] += float(extra.detach())
                extra.backward()
            self._control(theta, client)
            still = rests | self._resting(epoch)
            for name, x in theta.items():
                x.grad = None if name in still else x.grad
            rate = self._rate(round_index, index, len(steps))
            for group in optimiser.param_groups:
                group["lr"] = rate * self.spec[group["name"]].lr_scale
            optimiser.step()
            coefficients.append(rate)
        if cfg.optim.keep_state:
            client.optimiser = optimiser.state_dict()
        client.private = {n: x.detach() for n, x in theta.items() if not self.spec[n].shared}
        shared = {n: x.detach() for n, x in theta.items() if self.spec[n].shared}
        moved = self._close(client, start, shared, coefficients)
        return shared, float(np.mean(losses)), moved

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

    def _loss(self, theta: Numbers, prepared: Any, text: Any, rows: np.ndarray) -> Tensor:
        params = {name: x[None] for name, x in theta.items()}
        images = self.features.rows(self.method.images, (rows, None))[None]
        classes = self.method.classes(params, prepared, text)
        logits = self.method.logits(params, classes, images, text.clip)[0]
        labels = torch.from_numpy(self._labels(self.task.train_classes, rows))
        loss = F.cross_entropy(logits, labels)
        penalty = self.method.penalty(params, classes, text)
        return loss if penalty is None else loss + penalty[0]

    def _rows(self, k: int) -> np.ndarray:
        return self.task.train.rows(k)

    def _labels(self, class_set: str, rows: np.ndarray) -> np.ndarray:
        return self.task.class_sets[class_set].label_of[self.task.images.labels[rows]]

    def _batches(self, k: int, round_index: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (epoch, image rows) of each step."""
        cfg, rows = self.cfg.federation, self._rows(k)
        size = cfg.batch_size
        for epoch in range(cfg.local_epochs):
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

    @torch.no_grad()
    def scores(self) -> dict[str, np.ndarray]:
        """Return the accuracy in percent of every client, by test set."""
        found = {}
        for scope in self.task.scopes:
            text = self.texts[scope.class_set]
            found[scope.name] = np.array(
                [self._score(k, scope, text) for k in range(len(self.clients))]
            )
        return found

    def _score(self, k: int, scope: Any, text: Any) -> float:
        client, rows = self.clients[k], scope.rows_of(k)
        shared = self.shared
        if hasattr(getattr(self.method, "options", None), "num_experts") and client.sent:
            shared = {"context": client.sent.row.view_as(self.shared["context"])}
        params = {n: x[None] for n, x in {**client.private, **shared}.items()}
        classes = self.method.classes(params, self._prepared(client.experts, text), text)
        images = self.features.rows(self.method.images, (rows, None))[None]
        logits = self.method.logits(params, classes, images, text.clip)[0]
        if scope.own_classes:
            label_of = self.task.class_sets[scope.class_set].label_of
            own = set(label_of[self.task.images.labels[self._rows(k)]].tolist())
            others = [c for c in range(logits.shape[1]) if c not in own]
            logits[:, others] = -torch.inf
        right = logits.argmax(dim=1).numpy() == self._labels(scope.class_set, rows)
        return 100 * float(right.mean()) if len(rows) else math.nan
