"""FedMGP: its loss and steps, what its clients send, and what does not go with that."""

import numpy as np
import pytest
import torch
from agreement import Golden, near
from setting import STEPS, Setting
from test_golden import check, in_turn
from tiny import golden, tiny_federation

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.choices import SharedPart
from pfedmma_dist.config.learning import ControlConfig, OptimConfig
from pfedmma_dist.exchange.picking import nearness
from pfedmma_dist.methods.fedmgp import TOWERS, FedMGP
from pfedmma_dist.methods.fedmgp_options import Distance, Diversity, FedMGPOptions
from pfedmma_dist.methods.method import Values
from pfedmma_dist.params import Layout
from pfedmma_dist.rng import Key
from pfedmma_dist.world import World

PUBLISHED = {"text": "prompt_learner.ctx", "image": "image_encoder.VPT"}


def recorded(name: str) -> Golden:
    """Return recorded arrays by the names of our parameters: three groups of five are kept."""
    arrays = golden(name)
    for part in ("init", "grad", "step1", "step3"):
        for tower, key in PUBLISHED.items():
            whole, still = arrays[f"{part}/{key}"], part == "grad"
            arrays |= {f"{part}/{tower}.own": whole[:3], f"{part}/{tower}.common": whole[3:]}
            arrays[f"{part}/pair.{tower}"] = (0 if still else 1) * np.arange(5, dtype=np.float32)
    return arrays


@in_turn(
    ("name", "options"),
    [
        ("fedmgp_l1", {"diversity": Diversity.as_released}),
        ("fedmgp_l2", {"diversity": Diversity.as_released, "distance": Distance.l2}),
        ("fedmgp_cos", {"diversity": Diversity.as_released, "distance": Distance.cosine}),
        ("fedmgp_nodiv", {"weight": 0.0}),
        ("fedmgp_l1_as_paper", {}),
        ("fedmgp_released_init", {"diversity": Diversity.as_released}),
    ],
)
def test_fedmgp_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, options: dict, num_clients: int
) -> None:
    method = FedMGP(FedMGPOptions(**options), golden_clip.dims)
    check(method, golden_clip, recorded(name), str, num_clients)


def by_group(params: Values, values: Values, tower: str) -> torch.Tensor:
    """Return values of the row in the order of the groups that the prompts are of [G, N, n, W]."""
    parts = torch.cat([values[f"{tower}.own"], values[f"{tower}.common"]], dim=1)
    group = params[f"pair.{tower}"].long()[..., None, None].expand_as(parts)
    return torch.empty_like(parts).scatter(1, group, parts)


class Told(FedMGP):
    """FedMGP whose clients send what was recorded."""

    def listen(self, arrays: Golden, index: int) -> None:
        self.arrays, self.begin_of = arrays, f"round{index}"

    def drawn(self, own: torch.Tensor, common: torch.Tensor, key: Key) -> list[int]:
        """Return the recorded picks, as places in our row; hold the cosines to the recorded."""
        tower = "text" if own.shape[2] == self.arrays["round1/client_text"].shape[3] else "vision"
        told = {
            name: self.arrays[f"{self.begin_of}/{name}"][key.client]
            for name in (f"client_{tower}", f"{tower}_picks")
        }
        prompts = torch.from_numpy(told[f"client_{tower}"])
        at = [int((own == x).flatten(1).all(dim=1).nonzero()) for x in prompts]
        if key.round_index:
            near_then = self.arrays[f"{self.begin_of}/{tower}_similarity"][key.client]
            found = nearness(own, common)[at].astype(np.float32)
            near(self.name, self.arrays, "cosines", found, near_then, atol=1e-6)
        return [at[place] for place in told[f"{tower}_picks"]]


@pytest.mark.parametrize("golden_clip", ["shortcuts"], indirect=True)
def test_rounds_of_four_clients_are_the_published_ones(golden_clip: FrozenCLIP) -> None:
    arrays, everybody = golden("fedmgp_rounds"), np.arange(4)
    method = Told(FedMGPOptions(), golden_clip.dims)
    layout = Layout(method.specs)
    exchange = method.exchange(layout, layout.template(1), 1)
    theta = layout.template(1).repeat(4, 1)

    for index in (1, 2, 3):
        method.listen(arrays, index)
        params, before = layout.views(theta), layout.views(theta.clone())
        for tower, theirs in (("text", "text"), ("image", "vision")):
            trained = torch.from_numpy(arrays[f"round{index}/client_{theirs}"])
            group = params[f"pair.{tower}"].long()[..., None, None]
            params[f"{tower}.own"].copy_(torch.take_along_dim(trained, group, 1)[:, :3])
            params[f"{tower}.common"].copy_(torch.take_along_dim(trained, group, 1)[:, 3:])
        places = torch.arange(layout.num_trained).repeat(4, 1)
        keys = [Key(1, index - 1, client, 0) for client in range(4)]
        method.pick(before, params, layout.views(places), keys)
        theta, private = theta.gather(1, places), layout.num_private
        exchange.upload(everybody, theta[:, private:], torch.full((4,), 0.25, dtype=torch.float64))
        exchange.sync(World.alone(), torch.zeros(0, dtype=torch.int64), everybody)
        theta[:, private:] = exchange.shared
        for tower, theirs in (("text", "text"), ("image", "vision")):
            after = torch.from_numpy(arrays[f"round{index}/client_{theirs}_after"])
            params = layout.views(theta)
            near(
                method.name, arrays, f"round {index}", by_group(params, params, tower), after,
                atol=1e-6,
            )  # fmt: skip


def test_prompts_that_are_picked_apart_stay_of_one_pair() -> None:
    setting = Setting("fedmgp", {})
    orders, views = {"text": [1, 4, 2, 0, 3], "image": [3, 0, 1, 2, 4]}, setting.layout.views
    rows = setting.start + 0.1 * (setting.theta - setting.start)  # so that groups keep their names
    moved, usual = rows.clone(), setting.logits(rows, STEPS[0].rows)
    for tower, order in orders.items():
        prompts = setting.method.prompts(views(rows), tower)[:, order]
        views(moved)[f"{tower}.own"].copy_(prompts[:, :3])
        views(moved)[f"{tower}.common"].copy_(prompts[:, 3:])
    apart = setting.logits(moved, STEPS[0].rows)
    for tower, order in orders.items():
        views(moved)[f"pair.{tower}"].copy_(views(rows)[f"pair.{tower}"][:, order])
    again = setting.logits(moved, STEPS[0].rows)
    torch.testing.assert_close(again, usual, rtol=0, atol=1e-10)
    assert (apart - usual).abs().max() > 1e-4


def test_momentum_that_is_kept_goes_with_its_prompt() -> None:
    """Who is picked decides where a prompt and its momentum stand, and nothing else."""
    told = []
    for kind in (FedMGP, type("Still", (FedMGP,), {"drawn": lambda *_: [3, 4]})):
        made = tiny_federation(kind, optim=OptimConfig(keep_state=True), fraction=1.0)
        _, result = made._train(made.cohorts(np.arange(6))[0], 0)
        params, momentum = map(made.layout.views, (result.theta, result.memory))
        rows = [by_group(params, x, tower) for x in (params, momentum) for tower in TOWERS]
        told.append((params["pair.text"], *rows))
    assert not torch.equal(told[0][0], told[1][0])
    for moved, still in zip(told[0][1:], told[1][1:], strict=True):
        assert still.any() and torch.equal(moved, still)


def test_shared_part_that_stays_at_its_start_sends_no_pick() -> None:
    control = {"control": ControlConfig(shared=SharedPart.at_start)}
    made = tiny_federation(FedMGP, sections=control, fraction=1.0)
    before = made.exchange.shared
    made.round(0)
    params = made.layout.views(made.start(np.arange(6), training=False)[0])
    assert torch.equal(made.exchange.shared, before)
    assert torch.equal(params["pair.text"], torch.arange(5.0).expand(6, 5))
