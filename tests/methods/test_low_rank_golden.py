"""Low-rank methods against vectors recorded from their published code."""

import re
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from agreement import near
from test_golden import LABELS, NAMES, GoldenFeatures, batch_of, in_turn, rows_from
from tiny import golden
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.choices import Optimiser
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.exchange.factors import Products
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.methods.lora_options import LoRAOptions, Scaling
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

PARTS = ("init", "grad", "step1", "step3")
OPTIMISERS = {
    "cliplora_qkv_r2": (OptimConfig(lr=2e-4, momentum=0.9, weight_decay=5e-4), 1e-6),
    "cliplora_qkvo_r4_text": (OptimConfig(lr=2e-4, momentum=0.9, weight_decay=5e-4), 1e-6),
    "cliplora_qkv_r2_adamw": (
        OptimConfig(name=Optimiser.adamw, lr=2e-4, weight_decay=1e-2),
        5e-6,
    ),
}
"""Optimiser of each file, and how near three of its steps are."""


def key_of(spec: str) -> str:
    """Return the published name of a factor."""
    factor, level, tower, letter = re.fullmatch(r"(A|B)\.(\d)\.(image|text)\.(\w)", spec).groups()
    stem = {"image": "visual.transformer", "text": "transformer"}[tower]
    matrix = "proj" if letter == "o" else f"{letter}_proj"
    return f"{stem}.resblocks.{level}.attn.{matrix}.w_lora_{factor}"


@in_turn("name", OPTIMISERS)
def test_cliplora_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    arrays, (optim, atol) = golden(name), OPTIMISERS[name]
    assert (np.float32(optim.lr), np.float32(optim.weight_decay)) == (
        arrays["lr"],
        arrays["weight_decay"],
    )
    clip = copy(golden_clip)
    clip.scale = float(arrays["logit_scale"])  # a literal 100 in their loop
    options = LoRAOptions(
        blocks=4, rank=int(arrays["rank"]), alpha=float(arrays["alpha"]), scaling=Scaling.sqrt_r,
        projections=re.match(r"cliplora_(\w+?)_", name)[1],
    )  # fmt: skip
    method = LoRA(options, clip.dims)
    if name.endswith("_text"):  # what is not there is zero, and rests
        for index, spec in enumerate(method.specs):
            if "image" in spec.name:
                zeros = np.zeros(spec.shape, np.float32)
                found = {f"{part}/{key_of(spec.name)}": zeros for part in PARTS}
                arrays, still = arrays | found, replace(spec, lr_scale=0.0)
                method.specs = (*method.specs[:index], still, *method.specs[index + 1 :])
    layout, features = Layout(method.specs), GoldenFeatures(clip)
    text, batch = class_text(clip, NAMES, "a photo of a {}."), batch_of(num_clients)
    theta = rows_from(layout, arrays, "init", key_of, num_clients)
    params = layout.views(theta)
    images = features.rows(method.images, (batch.rows.reshape(-1), None))
    images = images.unflatten(0, batch.rows.shape)
    logits = method.logits(params, method.classes(params, None, text), images, clip)
    expected = torch.from_numpy(arrays["logits"]).expand_as(logits)
    near(method.name, arrays, "logits", logits, expected, atol=1e-4)
    trainer = LocalTrainer(method, layout, text, features, LABELS.__getitem__, optim)
    loss, grad = trainer.gradient(theta, None, batch)
    grad = grad * layout.spread("lr_scale")
    expected = torch.from_numpy(arrays["loss"]).expand_as(loss)
    near(method.name, arrays, "loss", loss, expected, atol=2e-5, rtol=1e-7)
    expected = rows_from(layout, arrays, "grad", key_of, num_clients)
    near(method.name, arrays, "gradient", grad, expected, atol=1e-5, rtol=1e-4)
    for steps in (1, 3):
        rows = trainer.train(theta, theta[:, :0], None, [batch] * steps).theta
        expected = rows_from(layout, arrays, f"step{steps}", key_of, num_clients)
        near(method.name, arrays, f"step {steps}", rows, expected, atol=atol)


def averaged(
    factors: list[tuple[Tensor, Tensor]], weight: list[float], scale: float, *, restart: bool
) -> Products:
    """Return the server after a round of clients with these (A [r, in], B [out, r])."""
    a, b = factors[0]

    def products(row: Tensor) -> Tensor:
        down, up = row.split([a.numel(), b.numel()])
        return (scale * up.view(b.shape) @ down.view(a.shape)).flatten()

    rows = torch.stack([torch.cat([x.flatten() for x in own]) for own in factors])
    anew = torch.zeros_like(rows[0])
    server = Products(rows[0], products, (lambda index: anew) if restart else None)
    clients = np.arange(len(rows))
    server.upload(clients, rows, torch.tensor(weight, dtype=torch.float64))
    server.sync(World.alone(), torch.zeros(0, dtype=torch.int64), clients)
    return server


@pytest.mark.parametrize("kind", ["", "_rslora"])
def test_residual_of_a_round_is_that_of_fedex_lora(kind: str) -> None:
    arrays = {name: torch.from_numpy(x) for name, x in golden("fedex_lora").items()}
    scale = float(arrays[f"scaling{kind}"])
    pairs = list(zip(arrays["A"], arrays["B"], strict=True))
    server = averaged(pairs, [1 / 3] * 3, scale, restart=False)
    down, up = server.shared.split([arrays["A"][0].numel(), arrays["B"][0].numel()])
    recorded = LoRA.name, golden("fedex_lora")
    near(*recorded, "A after a round", down, arrays[f"A_after{kind}"].flatten(), atol=1e-6)
    near(*recorded, "B after a round", up, arrays[f"B_after{kind}"].flatten(), atol=1e-6)
    after = arrays["weight"] + server.dense.view(arrays["weight"].shape).float()
    near(*recorded, "W after a round", after, arrays[f"weight_after{kind}"], atol=5e-6)


@pytest.mark.parametrize("kind", ["same", "ranks"])
def test_product_of_a_round_is_that_of_floras_stack(kind: str) -> None:
    """Smaller ranks are padded with zeros, which reach no product."""
    arrays = {name: torch.from_numpy(x) for name, x in golden("flora").items()}
    weight = (arrays["sizes"] / arrays["sizes"].sum()).tolist()
    own = [(arrays[f"{kind}/A{k}"], arrays[f"{kind}/B{k}"]) for k in range(3)]
    widest = max(len(a) for a, _ in own)
    padded = [
        (
            torch.cat([a, a.new_zeros(widest - len(a), a.shape[1])]),
            torch.cat([b, b.new_zeros(len(b), widest - len(a))], dim=1),
        )
        for a, b in own
    ]
    server = averaged(padded, weight, 1.0, restart=True)
    stacked = arrays[f"{kind}/B"] @ arrays[f"{kind}/A"]
    found = server.dense.view(stacked.shape).float()
    for expected in (arrays[f"{kind}/exact_product"], stacked):
        near(LoRA.name, golden("flora"), "product after a round", found, expected, atol=5e-6)
    assert not server.shared.any()
