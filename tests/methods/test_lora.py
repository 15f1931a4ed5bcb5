"""LoRA: where it starts, what its options do, and one step of it as merged weights take it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from setting import CLIENTS, LABELS, STEPS, Setting
from tiny import tiny_federation
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.tower import Tower
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.methods.dropout import Dropout
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.methods.lora_options import FactorShare, LoRAOptions, Train
from pfedmma_dist.methods.merging import Merge
from pfedmma_dist.params import Layout
from pfedmma_dist.rng import Key

SMALL = {"blocks": 2, "rank": 3, "alpha": 12.0}


def merged(tower: Tower, side: str, letters: str, product_of: Callable[[str], Tensor]) -> Tower:
    """Return a tower whose top blocks hold W + product in place of W."""
    blocks = list(tower.blocks)
    for level in range(2):
        index = tower.depth - 2 + level
        block, width = blocks[index], tower.width
        for letter in letters:
            product = product_of(f"{level}.{side}.{letter}")
            if letter == "o":
                block = replace(block, out_weight=block.out_weight + product)
                continue
            above = "qkv".index(letter) * width
            product = F.pad(product, (0, 0, above, 2 * width - above))
            block = replace(block, qkv_weight=block.qkv_weight + product)
        blocks[index] = block
    return Tower(
        blocks, tower.num_heads, tower.final_norm, tower.projection, quick_gelu=True,
        dtype=tower.dtype,
    )  # fmt: skip


def merged_loss(setting: Setting, product_of: Callable[[str], Tensor], letters: str) -> Tensor:
    """Return the loss of the first client on the first step, of a CLIP with these products."""
    reference = Setting("zero_shot", {}, plain=True)
    slow, rows = reference.clip, STEPS[0].rows
    towers = {
        side: merged(getattr(slow, side), side, letters, product_of) for side in ("image", "text")
    }
    clip = FrozenCLIP(**{**vars(slow), **towers})
    text = class_text(clip, setting.text.names, setting.text.template)
    classes = text.branched(None, 0, 1)
    pixels = reference.features.rows(reference.method.images, (rows[0], None))
    images = clip.encode_image(pixels, setting.method.images)
    return F.cross_entropy(clip.scale * images @ classes[0].T, torch.from_numpy(LABELS[rows[0]]))


@pytest.mark.parametrize("letters", ["qv", "k", "o", "qkvo"])
@pytest.mark.parametrize("plain", [False, True], ids=["shortcuts", "plain"])
def test_loss_and_gradient_are_those_of_merged_weights(plain: bool, letters: str) -> None:
    setting = Setting("lora", SMALL | {"projections": letters}, plain=plain)
    row = setting.theta[:1].clone().requires_grad_()
    params = setting.layout.views(row)
    loss = merged_loss(
        setting, lambda p: 12.0 / 3 * params[f"B.{p}"][0] @ params[f"A.{p}"][0], letters
    )
    assert torch.allclose(setting.losses(setting.theta, STEPS[0])[0], loss, rtol=0, atol=1e-10)
    ours = setting.gradient(setting.theta, STEPS[0])[:1]
    torch.testing.assert_close(ours, torch.autograd.grad(loss, row)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("plain", [False, True], ids=["shortcuts", "plain"])
def test_what_rounds_have_merged_is_in_the_weights_of_both_towers(plain: bool) -> None:
    setting = Setting("lora", SMALL | {"merge": Merge.residual}, plain=plain)
    dense = setting.exchange.dense.float().double()
    places = [place for place, _ in setting.method.places()]
    parts = dict(zip(places, dense.view(len(places), 64, 64), strict=True))
    params = setting.layout.views(setting.theta)

    def product(place: str) -> Tensor:
        return 12.0 / 3 * params[f"B.{place}"][0] @ params[f"A.{place}"][0] + parts[place]

    loss = merged_loss(setting, product, "qv")
    without = merged_loss(setting, lambda place: product(place) - parts[place], "qv")
    found = setting.losses(setting.theta, STEPS[0])[0]
    torch.testing.assert_close(found, loss, rtol=0, atol=1e-10)
    assert abs(float(found - without)) > 1e-4


def test_drops_are_of_the_step_and_leave_the_others_as_they_were() -> None:
    setting = Setting("lora", SMALL | {"dropout": 0.5})
    whole = Setting("lora", SMALL)
    first, second = (setting.losses(setting.theta, step) for step in STEPS[:2])
    again = setting.losses(setting.theta, STEPS[0])
    assert torch.equal(first, again)
    later = replace(STEPS[0], keys=tuple(replace(key, step=9) for key in STEPS[0].keys))
    assert (setting.losses(setting.theta, later) != first).all()
    assert (whole.losses(whole.theta, STEPS[0]) != first).all()
    scored, undropped = (s.logits(s.theta, STEPS[0].rows) for s in (setting, whole))
    assert torch.equal(scored, undropped)
    together = setting.train(setting.theta, STEPS)
    for g in range(3):
        own = slice(g, g + 1)
        alone = [Batch(**{name: x[own] for name, x in vars(step).items()}) for step in STEPS]
        single = setting.train(setting.theta[own], alone, CLIENTS[own])
        torch.testing.assert_close(together.theta[own], single.theta, rtol=0, atol=1e-10)
    assert second.shape == (3,)


def test_as_many_inputs_are_dropped_as_asked_and_the_rest_makes_up_for_them() -> None:
    keys = [Key(1, 0, client, 0) for client in range(2)]
    drop = Dropout(0.25, keys).of("0.image.q")
    left = drop(torch.ones(2, 100, 50))
    assert set(left.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(float(left.mean()) - 1) < 0.02
    assert not torch.equal(left[0], left[1])
    assert not torch.equal(left, Dropout(0.25, keys).of("0.image.v")(torch.ones(2, 100, 50)))


def test_every_client_starts_as_the_untouched_clip() -> None:
    setting, reference = Setting("lora", SMALL), Setting("zero_shot", {})
    start = setting.layout.template(1).to(setting.dtype).repeat(3, 1)
    params = setting.layout.views(start)
    assert all((x != 0).any() == name.startswith("A.") for name, x in params.items())
    expected = reference.logits(reference.theta, STEPS[0].rows)
    torch.testing.assert_close(setting.logits(start, STEPS[0].rows), expected, rtol=0, atol=1e-12)


def test_a_starts_as_torch_starts_a_linear_layer() -> None:
    layout = Layout(LoRA(LoRAOptions(), dims("ViT-B-16")).specs)
    started = layout.views(layout.template(1)[None])
    for name, fan_in in [("A.0.image.q", 768), ("A.2.text.v", 512)]:
        np.testing.assert_allclose(started[name].abs().max(), fan_in**-0.5, rtol=0.01)


@pytest.mark.parametrize(("share", "parts"), [("all", "AB"), ("A", "A"), ("none", "")])
def test_shared_are_the_matrices_that_are_named(share: str, parts: str) -> None:
    method = LoRA(LoRAOptions(share=FactorShare[share]), dims("ViT-B-16"))
    assert {spec.name[0] for spec in method.specs if spec.shared} == set(parts)
    assert {spec.name[0] for spec in method.specs} == {"A", "B"}


def test_frozen_a_gives_b_the_gradient_that_it_has_beside_a_trained_one() -> None:
    whole, half = Setting("lora", SMALL), Setting("lora", SMALL | {"train": Train.B})
    full = whole.layout.template(1).to(whole.dtype).repeat(3, 1)
    views = whole.layout.views(full)  # they move the row
    for name, value in half.layout.views(half.theta).items():
        views[name].copy_(value)
    assert half.layout.frozen.keys() == {name for name in views if name.startswith("A.")}
    torch.testing.assert_close(
        half.losses(half.theta, STEPS[0]), whole.losses(full, STEPS[0]), rtol=0, atol=1e-12
    )
    ours = half.layout.views(half.gradient(half.theta, STEPS[0]))
    theirs = whole.layout.views(whole.gradient(full, STEPS[0]))
    for name in ours.keys() - half.layout.frozen.keys():
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-12)


def test_frozen_a_is_drawn_from_the_seed_and_neither_decays_nor_is_stored() -> None:
    options = LoRAOptions(rank=2, train=Train.B)
    federation = tiny_federation(LoRA, options=options)
    before = {name: x.clone() for name, x in federation.layout.frozen.items()}
    federation.round(0)
    assert federation.clients.gather(np.arange(6)).shape == (6, 0)
    assert len(federation.exchange.shared) == federation.layout.num_shared
    assert federation.exchange.shared.any()
    again = tiny_federation(LoRA, options=options).layout
    drawn = LoRA(LoRAOptions(rank=2), federation.clip.dims).specs
    for spec in drawn:
        if spec.name.startswith("A."):
            assert torch.equal(before[spec.name], spec.draw(federation.cfg.seed))
            assert torch.equal(federation.layout.frozen[spec.name], before[spec.name])
    assert again.fingerprint() == federation.layout.fingerprint()


def test_a_that_is_averaged_cannot_be_frozen() -> None:
    with pytest.raises(ValueError, match=r"method\.share: A is averaged, and with method.train=B"):
        LoRAOptions(share=FactorShare.A, train=Train.B)


def test_a_that_is_averaged_cannot_take_turns_with_b_and_merging_needs_both() -> None:
    with pytest.raises(ValueError, match=r"method\.share: A is averaged, and with .* every other"):
        LoRAOptions(share=FactorShare.A, train=Train.alternate)
    for one in ({"train": Train.B}, {"share": FactorShare.none}):
        with pytest.raises(ValueError, match=r"^method\.merge: residual is about A and B that are"):
            LoRAOptions(merge=Merge.residual, **one)


def test_rank_and_alpha_make_the_scale() -> None:
    theta = Setting("lora", SMALL).theta
    logits = [
        Setting("lora", SMALL | {"alpha": alpha}).logits(theta, STEPS[0].rows)
        for alpha in (12.0, 24.0)
    ]
    doubled = Setting("lora", SMALL)
    twice = theta.clone()
    for name, value in doubled.layout.views(twice).items():  # views: they move the row
        value.mul_(2.0 if name.startswith("B.") else 1.0)
    assert not torch.allclose(*logits)
    torch.testing.assert_close(doubled.logits(twice, STEPS[0].rows), logits[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "method.blocks: 0; set 1 or more"),
        ({"blocks": 13}, "method.blocks: 13; the smaller tower has 12"),
        ({"rank": 0}, "method.rank: 0; set 1 or more"),
        ({"dropout": 1.0}, "method.dropout: 1.0; set 0 or more, below 1"),
        ({"alpha": 0.0}, "method.alpha: 0.0; set a positive scale"),
        ({"projections": ""}, "method.projections: ''; write some of the letters q, k, v and o"),
        ({"projections": "qx"}, "method.projections: 'qx'; write some of the letters"),
        ({"projections": "qq"}, "method.projections: 'qq'; write some of the letters"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoRA(LoRAOptions(**options), dims("ViT-B-16"))


def test_image_tower_that_is_no_vit_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="clip.model is no Vision Transformer; choose a ViT"):
        LoRA(LoRAOptions(), dims("RN50"))
