"""The methods against vectors recorded from their published code, through the code that trains."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agreement import Golden, near
from tiny import golden

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.kinds import listed, mapped, shaped
from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.config.choices import Optimiser
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.exchange.experts import Upload
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.clip_adapter import CLIPAdapter, CLIPAdapterOptions
from pfedmma_dist.methods.cocoop import CoCoOp, CoCoOpOptions
from pfedmma_dist.methods.fedotp import FedOTP, FedOTPOptions
from pfedmma_dist.methods.fedpgp import FedPGP, FedPGPOptions
from pfedmma_dist.methods.kgcoop import KgCoOp, KgCoOpOptions
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.pfedmoap import PFedMoAP, PFedMoAPOptions
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.methods.tip_adapter import TipAdapterOptions
from pfedmma_dist.methods.transport import Transport
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions
from pfedmma_dist.params import Layout

INPUTS = golden("inputs")
NAMES = tuple(name.replace("_", " ") for name in INPUTS["classnames"].tolist())
LABELS = INPUTS["labels"].astype(np.int64)
FORM = ("golden_clip", "num_clients"), [("plain", 1), ("shortcuts", 3)]
FORMS = pytest.mark.parametrize(*FORM, indirect=["golden_clip"])
"""Each form of the CLIP at one size of cohort: that sizes agree, and forms, test_contract says."""
PGP_KEYS = {"sigma": "prompt_learner.sigma", "u": "prompt_learner.U", "v": "prompt_learner.V"}


def in_turn(names: tuple[str, ...] | str, cases: list[Any]) -> pytest.MarkDecorator:
    """Give each recorded file one of the forms, in turn."""
    named, forms = FORM
    if isinstance(names, str):
        names, cases = (names,), [(case,) for case in cases]
    rows = [(*forms[index % len(forms)], *case) for index, case in enumerate(cases)]
    return pytest.mark.parametrize((*named, *names), rows, indirect=["golden_clip"])


class GoldenFeatures(Features):
    """The six golden images, frozen on demand."""

    def __init__(self, clip: FrozenCLIP) -> None:
        self.clip = clip
        self.pixels = torch.from_numpy(INPUTS["images"])

    def rows(self, kinds, views):
        return shaped(kinds, self.clip.freeze(self.pixels[views[0]], listed(kinds)))


def batch_of(num_clients: int) -> Batch:
    shape = (num_clients, len(LABELS))
    return Batch(
        rows=np.tile(np.arange(len(LABELS)), (num_clients, 1)),
        views=np.zeros(shape, np.int64),
        weight=np.ones(shape, np.float32),
        active=np.ones(num_clients, bool),
    )


def rows_from(layout: Layout, arrays: dict, prefix: str, key_of, num_clients: int) -> torch.Tensor:
    """Put golden parameters into theta [G, P + S]."""
    flat = [torch.from_numpy(arrays[f"{prefix}/{key_of(s.name)}"]).flatten() for s in layout.specs]
    return torch.cat(flat).repeat(num_clients, 1)


def check(
    method: Method, clip: FrozenCLIP, arrays: Golden, key_of, num_clients: int,
    extra: object = None, atol: float = 2e-5,
) -> None:  # fmt: skip
    """Compare logits, loss, gradient, and parameters after one and three steps."""
    layout = Layout(method.specs)
    text, features = class_text(clip, NAMES, "a photo of a {}."), GoldenFeatures(clip)
    theta = rows_from(layout, arrays, "init", key_of, num_clients)
    with torch.no_grad():
        prepared = method.prepare(extra, text)
    batch = batch_of(num_clients)

    params = layout.views(theta)
    images = features.rows(method.images, (batch.rows.reshape(-1), None))
    images = mapped(images, lambda x: x.unflatten(0, batch.rows.shape))
    classes = method.classes(params, prepared, text)
    logits = method.logits(params, classes, method.see(params, classes, images, clip), clip)
    expected = torch.from_numpy(arrays["logits"]).expand_as(logits)
    near(method.name, arrays, "logits", logits, expected, atol=atol)

    optim = OptimConfig(lr=float(arrays["lr"]), momentum=0.9, weight_decay=5e-4)
    trainer = LocalTrainer(method, layout, text, features, LABELS.__getitem__, optim)
    loss, grad = trainer.gradient(theta, prepared, batch)
    expected = torch.from_numpy(arrays["loss"]).expand_as(loss)
    near(method.name, arrays, "loss", loss, expected, atol=2e-5, rtol=1e-7)
    expected = rows_from(layout, arrays, "grad", key_of, num_clients)
    grad = grad * layout.spread("grad_scale")
    near(method.name, arrays, "gradient", grad, expected, atol=1e-5, rtol=1e-4)

    for steps in (1, 3):
        rows = trainer.train(theta, theta[:, :0], prepared, [batch] * steps).theta
        expected = rows_from(layout, arrays, f"step{steps}", key_of, num_clients)
        near(method.name, arrays, f"step {steps}", rows, expected, atol=1e-6)


@in_turn(
    "name",
    [
        "pfedmma_nobias_s0.001",
        "pfedmma_bias_s0.001",
        "pfedmma_nobias_s0.5",
        "pfedmma_nobias_s0.5_all",
    ],
)
def test_pfedmma_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    arrays = golden(name)
    lowest = int(arrays["adapter_start"])
    options = PFedMMAOptions(
        blocks=4 - lowest + 1, rank=8, alpha=float(arrays["scale"]), bias="_bias_" in name
    )

    def key_of(spec: str) -> str:
        part, level, tower, bias = re.fullmatch(
            r"(\w+)\.(\d+)(?:\.(image|text))?(\.bias)?", spec
        ).groups()
        leaf = "bias" if bias else "weight"
        layer = int(level) + lowest
        if part == "mix":
            return f"adapter_learner.shared_adapter.{layer}.0.{leaf}"
        side = {"image": "visual", "text": "text"}[tower]
        inner = {"down": "down.0", "up": "up"}[part]
        return f"adapter_learner.{side}_adapter.{layer}.{inner}.{leaf}"

    check(PFedMMA(options, golden_clip.dims), golden_clip, arrays, key_of, num_clients)


@FORMS
def test_promptfl_equals_the_published_code(golden_clip: FrozenCLIP, num_clients: int) -> None:
    method = PromptFL(PromptFLOptions(), golden_clip.dims)
    arrays = golden("promptfl")
    check(method, golden_clip, arrays, lambda spec: "prompt_learner.ctx", num_clients)


@FORMS
@pytest.mark.parametrize(("place", "before"), [("middle", 8), ("front", 0)])
def test_prompts_with_the_name_elsewhere_equal_those_of_the_published_code(
    golden_clip: FrozenCLIP, place: str, before: int, num_clients: int
) -> None:
    arrays, features = golden("promptfl"), GoldenFeatures(golden_clip)
    key = "prompt_learner.ctx"
    context = torch.from_numpy(arrays[f"init/{key}"]).repeat(num_clients, 1, 1).requires_grad_()
    vectors = class_text(golden_clip, NAMES, "a photo of a {}.").with_context(context, before)
    kind, rows = PromptFL.images, (np.arange(6), None)
    images = golden_clip.encode_image(features.rows(kind, rows), kind)
    logits = golden_clip.scale * images @ vectors.mT
    expected = torch.from_numpy(arrays[f"logits_{place}"]).expand_as(logits)
    near(PromptFL.name, arrays, f"logits, name in {place}", logits, expected, atol=2e-5)
    for own in logits:
        F.cross_entropy(own, torch.from_numpy(LABELS)).backward(retain_graph=True)
    expected = torch.from_numpy(arrays[f"grad_{place}/{key}"]).expand_as(context)
    what = f"gradient, name in {place}"
    near(PromptFL.name, arrays, what, context.grad, expected, atol=1e-5, rtol=1e-4)


@in_turn(
    ("name", "options"),
    [
        ("kgcoop_n16_w8", {}),
        ("kgcoop_n16_w1", {"weight": 1.0}),
        ("kgcoop_w8", {"ctx_init": "a photo of a"}),  # where the second term begins, at 0
        ("kgcoop_w8_moved", {"ctx_init": "a photo of a"}),  # four words, moved off their place
    ],
)
def test_kgcoop_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, options: dict, num_clients: int
) -> None:
    method = KgCoOp(KgCoOpOptions(**options), golden_clip.dims)
    check(method, golden_clip, golden(name), lambda spec: "prompt_learner.ctx", num_clients)


@in_turn(("name", "words"), [("cocoop", None), ("cocoop_ctxinit", "a photo of a")])
def test_cocoop_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, words: str | None, num_clients: int
) -> None:
    method, arrays = CoCoOp(CoCoOpOptions(ctx_init=words), golden_clip.dims), golden(name)
    layers = {"down": "linear1", "up": "linear2"}

    def key_of(spec: str) -> str:
        if spec == "context":
            return "prompt_learner.ctx"
        _, layer, *bias = spec.split(".")
        return f"prompt_learner.meta_net.{layers[layer]}.{bias[0] if bias else 'weight'}"

    if words:
        layout = Layout(method.specs)
        start = layout.views(method.template(layout, 1, golden_clip)[None])["context"][0]
        torch.testing.assert_close(start, torch.from_numpy(arrays[f"init/{key_of('context')}"]))
    check(method, golden_clip, arrays, key_of, num_clients)


@FORMS
def test_fedpgp_equals_the_published_code(golden_clip: FrozenCLIP, num_clients: int) -> None:
    method = FedPGP(FedPGPOptions(), golden_clip.dims)
    check(method, golden_clip, golden("fedpgp"), PGP_KEYS.__getitem__, num_clients)


def test_two_clients_of_fedpgp_are_the_two_prompts_that_its_published_code_stacks(
    golden_clip: FrozenCLIP,
) -> None:
    method = FedPGP(FedPGPOptions(bottleneck=4), golden_clip.dims)
    layout, arrays = Layout(method.specs), golden("fedpgp_N2")
    text, features = class_text(golden_clip, NAMES, "a photo of a {}."), GoldenFeatures(golden_clip)

    def rows(prefix: str) -> torch.Tensor:
        arrays_of = (torch.from_numpy(arrays[f"{prefix}/{PGP_KEYS[s.name]}"]) for s in layout.specs)
        return torch.cat([x.flatten(1) for x in arrays_of], dim=1)

    theta = rows("init").requires_grad_()
    params = layout.views(theta)
    images = torch.stack([features.rows(method.images, (np.arange(6), None))] * 2)
    classes = method.classes(params, None, text)
    logits = torch.cat([*method.logits(params, classes, images, golden_clip)], dim=1)
    expected = torch.from_numpy(arrays["logits"])
    near(method.name, arrays, "logits", logits, expected, atol=2e-5)
    loss = F.cross_entropy(logits, torch.from_numpy(LABELS))
    loss = loss + method.penalty(params, classes, SimpleNamespace(text=text)).mean()
    np.testing.assert_allclose(loss.item(), arrays["loss"], atol=2e-5)
    loss.backward()
    near(method.name, arrays, "gradient", theta.grad, rows("grad"), atol=1e-5, rtol=1e-4)


@in_turn(
    ("name", "options", "atol"),
    [
        ("fedotp_cot", {}, 1e-4),  # its problems stop together, after 65 iterations
        ("fedotp_cot", {"threshold": 0, "max_iter": 65}, 2e-5),
        ("fedotp_cot_tight", {"threshold": 1e-9, "max_iter": 1000}, 2e-5),
        ("fedotp_cot_full", {"gamma": 1.0}, 2e-5),
        ("fedotp_sinkhorn", {"ot": Transport.sinkhorn}, 2e-5),
    ],
)
def test_fedotp_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, options: dict, atol: float, num_clients: int
) -> None:
    method = FedOTP(FedOTPOptions(**options), golden_clip.dims)
    arrays = golden(name)
    for part in ("init", "grad", "step1", "step3"):
        both = arrays[f"{part}/prompt_learner.ctx"]
        arrays |= {f"{part}/common": both[0], f"{part}/own": both[1]}
    check(method, golden_clip, arrays, str, num_clients, atol=atol)


@in_turn("name", ["pfedmoap", "pfedmoap_first_round"])
def test_pfedmoap_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    arrays = golden(name)
    lr, lr_gate = float(arrays["lr_prompt"]), float(arrays["lr_gating"])
    options = PFedMoAPOptions(
        num_experts=3, gate_width=8, heads=int(arrays["heads"]), gate_lr_scale=lr_gate / lr
    )
    assert (options.scaling, options.local_weight) == (arrays["scaling"], arrays["lmbda"])
    method = PFedMoAP(options, golden_clip.dims)

    def key_of(spec: str) -> str:
        if spec == "context":
            return "prompt_learner.ctx"
        _, part, *bias = spec.split(".")
        return f"gating.W_{part[0]}.{bias[0] if bias else 'weight'}"

    for spec in method.specs:  # a gate without experts has no gradient there
        arrays.setdefault(f"grad/{key_of(spec.name)}", np.zeros(spec.shape, np.float32))
    experts = torch.from_numpy(arrays.get("experts", np.zeros((0, 16, 64), np.float32)))
    extra = [tuple(Upload(row) for row in experts.flatten(1))] * num_clients
    check(method, golden_clip, arrays | {"lr": lr}, key_of, num_clients, extra)


@FORMS
def test_clip_adapter_equals_the_published_code(golden_clip: FrozenCLIP, num_clients: int) -> None:
    arrays = golden("clip_adapter")
    method = CLIPAdapter(CLIPAdapterOptions(ratio=float(arrays["ratio"])), golden_clip.dims)
    layers = {"first": "adapter.fc.0.weight", "second": "adapter.fc.2.weight"}
    check(method, golden_clip, arrays, layers.__getitem__, num_clients)


@in_turn("name", ["tip_adapter", "tip_adapter_f"])
def test_tip_adapter_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    arrays, clip = golden(name), replace(golden_clip, scale=100.0)  # a literal, as published
    options = TipAdapterOptions(alpha=float(arrays["alpha"]), beta=float(arrays["beta"]))
    keys, labels = (torch.from_numpy(arrays[key]) for key in ("keys", "cache_labels"))
    method = METHODS[name](options, clip.dims, len(NAMES), 2 + len(keys))  # room for two more
    layout = Layout(method.specs)
    begun = method.begin(keys, labels)
    theta = torch.cat([begun[spec.name].flatten().float() for spec in layout.specs])
    theta = theta.repeat(num_clients, 1)
    text, features = class_text(clip, NAMES, "a photo of a {}."), GoldenFeatures(clip)

    def logits(rows: torch.Tensor) -> torch.Tensor:
        images = features.rows(method.images, (np.arange(len(LABELS)), None))
        images = images.expand(num_clients, *images.shape)
        params = layout.views(rows)
        return method.logits(params, method.classes(params, None, text), images, clip)

    def equal(found: torch.Tensor, what: str, key: str, **tolerances: float) -> None:
        expected = torch.from_numpy(arrays[key]).expand_as(found)
        near(name, arrays, what, found, expected, **tolerances)

    equal(logits(theta), "logits", "logits", atol=1e-4)
    if method.counts:
        return
    batch, (width, end) = batch_of(num_clients), (keys.shape[1], keys.numel())
    for file, atol in ((name, 1e-6), (f"{name}_adamw", 5e-6)):
        arrays = golden(file)
        optim = OptimConfig(lr=float(arrays["lr"]), weight_decay=float(arrays["weight_decay"]))
        if "eps" in arrays:
            optim = replace(optim, name=Optimiser.adamw, eps=float(arrays["eps"]))
        trainer = LocalTrainer(method, layout, text, features, LABELS.__getitem__, optim)
        loss, grad = trainer.gradient(theta, None, batch)
        np.testing.assert_allclose(loss.numpy(), arrays["loss"], atol=5e-5)
        assert not grad[:, end:].any()  # neither the two that are not there, nor any value
        of_keys = grad[:, :end].unflatten(1, (-1, width))
        equal(of_keys, "gradient", "grad/adapter.weight", atol=1e-5, rtol=1e-4)
        for steps in (1, 3):
            rows = trainer.train(theta, theta[:, :0], None, [batch] * steps).theta
            keys_then = rows[:, :end].unflatten(1, (-1, width))
            equal(keys_then, f"step {steps}", f"step{steps}/adapter.weight", atol=atol)
            assert torch.equal(rows[:, end:], theta[:, end:])
        equal(logits(rows), "logits after 3", "logits_after3", atol=1e-4)


def test_zero_shot_equals_the_published_code(golden_clip: FrozenCLIP) -> None:
    arrays = golden("zeroshot")
    method = ZeroShot(ZeroShotOptions(), golden_clip.dims)
    text = class_text(golden_clip, NAMES, "a photo of a {}.")
    images = GoldenFeatures(golden_clip).rows(method.images, (np.arange(6), None))[None]
    logits = method.logits({}, method.classes({}, None, text), images, golden_clip)[0]
    near(method.name, arrays, "logits", logits, arrays["logits"], atol=2e-5)


def test_dims_are_those_of_the_golden_model(golden_clip: FrozenCLIP) -> None:
    assert golden_clip.dims == Dims(
        embed_dim=32,
        image_size=32,
        text_width=64,
        text_blocks=4,
        image_width=128,
        image_blocks=4,
        num_patches=16,
    )
