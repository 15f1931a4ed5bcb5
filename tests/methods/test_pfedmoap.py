"""pFedMoAP: its gate against a slow form, with and without experts, and when it is left alone."""

from collections import Counter

import numpy as np
import pytest
import torch
from setting import OPTIM, STEPS, Setting
from tiny import NUM_BASE, tiny_federation
from torch import Tensor

from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.exchange.experts import Upload
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.pfedmoap import Experts, PFedMoAP, PFedMoAPOptions
from pfedmma_dist.params import Layout

SMALL = {"num_context": 4, "num_experts": 3, "gate_width": 16, "heads": 4}
ODD = SMALL | {"scaling": 3.0, "local_weight": 0.3}
EVERYBODY = np.arange(6)


def uploads_of(setting: Setting, *counts: int) -> list[tuple[Upload, ...]]:
    """Return for each client so many uploads of noise."""
    rng, size = np.random.default_rng(2), setting.layout.num_shared
    noise = [0.3 * rng.standard_normal((count, size), np.float32) for count in counts]
    return [tuple(Upload(torch.from_numpy(row)) for row in rows) for rows in noise]


@torch.no_grad()
def prepare(setting: Setting, extra: list[tuple[Upload, ...]]) -> Experts:
    return setting.method.prepare(extra, setting.text)


def moved(setting: Setting, extra: list[tuple[Upload, ...]], theta: Tensor, batches=STEPS):
    """Train with these experts; return the rows by name."""
    prepared = prepare(setting, extra)
    setting.prepared = lambda clients: prepared
    return setting.layout.views(setting.train(theta, batches).theta)


def slow_logits(
    setting: Setting, theta: Tensor, extra: list[tuple[Upload, ...]], rows: np.ndarray
) -> Tensor:
    """Return logits [G, B, C], one client, image, class and head after another."""
    options, clip, method = setting.method.options, setting.clip, setting.method
    stride, width = 32 // options.gate_width, options.gate_width // options.heads
    logits = []
    for g, own in enumerate(rows):
        p = {name: value[g] for name, value in setting.layout.views(theta).items()}
        gate = {
            name: (p[f"gate.{name}"], p[f"gate.{name}.bias"])
            for name in ("query", "key", "value", "out")
        }
        contexts = [p["context"], *(u.row.view(4, -1).double() for u in extra[g])]
        texts = [setting.text.with_context(context[None])[0] for context in contexts]
        for x in clip.encode_image(
            setting.features.rows(method.images, (own, None)), method.images
        ):
            for c in range(NUM_BASE):
                local = clip.scale * x @ texts[0][c]
                if len(texts) == 1:
                    logits.append(local)
                    continue
                query = gate["query"][0] @ x[::stride] + gate["query"][1]
                keys = [gate["key"][0] @ t[c, ::stride] + gate["key"][1] for t in texts]
                values = [gate["value"][0] @ t[c, ::stride] + gate["value"][1] for t in texts]
                heads = []
                for part in torch.arange(options.gate_width).split(width):
                    products = torch.stack([query[part] @ key[part] for key in keys])
                    weight = (options.scaling * products).softmax(dim=0)
                    heads.append(sum(w * v[part] for w, v in zip(weight, values, strict=True)))
                mix = gate["out"][0] @ torch.cat(heads) + gate["out"][1]
                logits.append(options.local_weight * local + clip.scale * x[::stride] @ mix)
    return torch.stack(logits).view(*rows.shape, NUM_BASE)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("counts", [(3, 0, 2), (3, 3, 3), (0, 0, 0)])
def test_logits_and_gradients_are_those_of_the_slow_form(
    counts: tuple[int, ...], plain: bool
) -> None:
    setting = Setting("pfedmoap", ODD, plain=plain)
    extra, rows = uploads_of(setting, *counts), STEPS[0].rows
    prepared = prepare(setting, extra)
    setting.prepared = lambda clients: prepared
    theta = setting.theta.clone().requires_grad_()
    ours, slow = setting.logits(theta, rows), slow_logits(setting, theta, extra, rows)
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-12)
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal(ours.shape))
    grads = [torch.autograd.grad((x * weight).sum(), theta)[0] for x in (ours, slow)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-12)


def test_client_without_experts_trains_as_where_nobody_has_any() -> None:
    setting = Setting("pfedmoap", SMALL)
    mixed = moved(setting, uploads_of(setting, 3, 0, 2), setting.theta)
    bare = moved(setting, uploads_of(setting, 0, 0, 0), setting.theta)
    assert all(torch.equal(mixed[name][1], bare[name][1]) for name in mixed)
    assert not torch.equal(mixed["context"][0], bare["context"][0])


def test_gate_without_experts_keeps_its_bits_and_trains_with_them() -> None:
    setting = Setting("pfedmoap", SMALL)
    assert OPTIM.weight_decay > 0
    assert OPTIM.momentum > 0
    start = setting.layout.views(setting.theta)
    after = moved(setting, uploads_of(setting, 3, 0, 2), setting.theta)
    for name in start:
        assert torch.equal(after[name][1], start[name][1]) == name.startswith("gate.")
        for g in (0, 2):
            assert not torch.equal(after[name][g], start[name][g])


def test_client_without_experts_trains_its_prompt_as_promptfl_does() -> None:
    ours, other = Setting("pfedmoap", SMALL), Setting("promptfl", {"num_context": 4})
    theta = ours.theta[:, ours.layout.num_private :]
    after = moved(ours, uploads_of(ours, 0, 0, 0), ours.theta)["context"]
    torch.testing.assert_close(after.flatten(1), other.train(theta, STEPS).theta, rtol=0, atol=0)


def test_biases_that_move_all_classes_or_experts_alike_have_no_gradient() -> None:
    setting = Setting("pfedmoap", {})
    grads = setting.layout.views(setting.gradient(setting.theta, STEPS[0]))
    for name in ("key", "value", "out"):
        assert grads[f"gate.{name}.bias"].abs().max() < 1e-12 < 1e-3 < grads["gate.out"].abs().max()
    assert grads["gate.query.bias"].abs().max() > 1e-6


def test_order_of_experts_and_the_room_for_more_change_rounding_alone() -> None:
    setting = Setting("pfedmoap", SMALL)
    extra = uploads_of(setting, 3, 0, 2)
    wide = Setting("pfedmoap", SMALL | {"num_experts": 5})
    torch.testing.assert_close(
        moved(setting, extra, setting.theta),
        moved(wide, [own[::-1] for own in extra], wide.theta),
        rtol=0,
        atol=1e-12,
    )


def test_expert_of_a_client_reaches_no_bit_of_its_neighbours() -> None:
    setting = Setting("pfedmoap", SMALL)
    first, last = uploads_of(setting, 3, 3, 3), uploads_of(setting, 3, 3, 3)
    last[0] = (*first[0][:2], first[1][0])
    a, b = (moved(setting, extra, setting.theta) for extra in (first, last))
    assert not torch.equal(a["gate.query"][0], b["gate.query"][0])
    assert torch.equal(a["gate.query"][1:], b["gate.query"][1:])


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Count the contexts that are run through the text tower without a gradient, by classes."""
    counted: Counter = Counter()
    run = ClassText.with_context

    def counting(self: ClassText, context: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            counted[len(self.names)] += len(context)
        return run(self, context)

    monkeypatch.setattr(ClassText, "with_context", counting)
    return counted


@pytest.mark.parametrize("cohort_size", [1, 6])
def test_text_of_an_expert_is_run_once_for_all_clients_steps_and_scores(
    passes: Counter, cohort_size: int
) -> None:
    federation = tiny_federation(PFedMoAP, cohort_size=cohort_size, local_epochs=3)
    federation.round(0)
    assert passes == {}
    federation.evaluate(full=False)
    assert passes == {4: 6}  # everybody's own prompt
    for index in (1, 2):
        passes.clear()
        federation.round(index)
        assert passes == {4: 6}  # six uploads, each handed to five others
        federation.evaluate(full=True)
        assert passes == {4: 6 + 6, 2: 6 + 6}  # own prompts, and the experts' for the novel classes


def rows_of(federation: Federation, *, training: bool) -> dict[str, Tensor]:
    return federation.layout.views(federation.start(EVERYBODY, training=training)[0])


def test_client_is_scored_with_its_own_prompt_and_starts_from_the_mean() -> None:
    federation = tiny_federation(PFedMoAP)
    federation.round(0)
    scored, started = (rows_of(federation, training=t)["context"] for t in (False, True))
    assert len({row.numpy().tobytes() for row in scored}) == 6
    assert len({row.numpy().tobytes() for row in started}) == 1
    mean = np.average(scored.numpy(), axis=0, weights=federation.sizes)
    np.testing.assert_allclose(started[0].numpy(), mean, rtol=1e-6, atol=1e-8)


def test_client_that_sits_out_keeps_gate_prompt_and_experts() -> None:
    federation = tiny_federation(PFedMoAP, fraction=0.5)
    for index in range(4):
        before = rows_of(federation, training=False)
        experts, seen = dict(federation.exchange.experts), set(federation.exchange.last)
        federation.round(index)
        after = rows_of(federation, training=False)
        chosen = set(federation.participants(index).tolist())
        for client in EVERYBODY.tolist():
            if client not in chosen and client in seen:
                assert all(torch.equal(after[name][client], before[name][client]) for name in after)
                assert federation.exchange.experts[client] == experts[client]
            # A gate moves from the second participation on.
            same = torch.equal(after["gate.out"][client], before["gate.out"][client])
            assert same == (client not in chosen or client not in seen)


def test_gate_starts_as_torch_starts_it_and_learns_five_times_as_fast() -> None:
    layout = Layout(PFedMoAP(PFedMoAPOptions(), dims("ViT-B-16")).specs)
    started = {name: x.numpy() for name, x in layout.views(layout.template(1)[None]).items()}
    np.testing.assert_allclose(started["context"].std(), 0.02, rtol=0.03)
    for name in ("gate.query", "gate.out", "gate.key.bias"):
        np.testing.assert_allclose(np.abs(started[name]).max(), 128**-0.5, rtol=0.02)
    lr = layout.views(0.002 * layout.spread("lr_scale")[None])
    assert {name: round(x.unique().item(), 6) for name, x in lr.items()} == {
        name: 0.002 if name == "context" else 0.01 for name in started
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_context": 0}, "method.num_context: 0; set 1 or more"),
        ({"num_experts": 0}, "method.num_experts: 0; set 1 or more"),
        ({"heads": 0}, "method.heads: 0; set 1 or more"),
        ({"scaling": 0.0}, "method.scaling: 0.0; set more than 0"),
        ({"gate_width": 100}, "method.gate_width: 100 is no divisor of the features' 512"),
        ({"heads": 3}, "method.heads: 3 do not divide the gate's width 128"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PFedMoAP(PFedMoAPOptions(**options), dims("ViT-B-16"))


@pytest.mark.parametrize(("embed_dim", "stride"), [(512, 4), (768, 6), (1024, 8), (32, 1)])
def test_gate_sees_128_coordinates_where_there_are_as_many(embed_dim: int, stride: int) -> None:
    sizes = Dims(**{**vars(dims("ViT-B-16")), "embed_dim": embed_dim})
    method = PFedMoAP(PFedMoAPOptions(), sizes)
    assert method.stride == stride
    assert Layout(method.specs).views(torch.zeros(1, Layout(method.specs).num_trained))[
        "gate.key"
    ].shape == (1, min(128, embed_dim), min(128, embed_dim))
