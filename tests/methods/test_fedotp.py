"""FedOTP: its plans against a loop over single problems and against POT, and their use."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from setting import STEPS, Setting
from tiny import golden, tiny_federation
from torch import Tensor

from pfedmma_dist.clip.load import dims
from pfedmma_dist.methods.fedotp import FedOTP, FedOTPOptions
from pfedmma_dist.methods.transport import Transport, transport_plan
from pfedmma_dist.params import Layout

CAPPED = {"ot": Transport.unbalanced}
KINDS = [CAPPED, {"ot": Transport.sinkhorn}, {**CAPPED, "gamma": 1.0}, {**CAPPED, "gamma": 0.3}]
STOPS = [{}, {"threshold": 0.05}, {"threshold": 0.0, "max_iter": 7}, {"max_iter": 1}]
SHAPE = (2, 2, 3, 4, 5)  # clients, prompts, classes, images, patches


def similarities(dtype: torch.dtype = torch.float64, shape: tuple[int, ...] = SHAPE) -> Tensor:
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return torch.tanh(0.4 * noise)


def slow_plan(similarity: Tensor, options: FedOTPOptions) -> tuple[Tensor, int]:
    """Transport one image to one class [N, M], stopping by itself; also say after how long."""
    capped = options.ot is Transport.unbalanced
    num_prompts, num_patches = similarity.shape
    kernel = np.exp((similarity.numpy() - 1) / options.eps).T  # [M, N]
    u, v = np.ones(num_patches), np.ones(num_prompts)
    done, change = 0, np.inf
    while done < options.max_iter and not change < options.threshold:
        done, before = done + 1, v if capped else u
        u = 1 / num_patches / (kernel @ v)
        if capped:
            u = np.minimum(u, 1.0)
        v = (options.gamma if capped else 1) / num_prompts / (kernel.T @ u)
        change = np.abs((v if capped else u) - before).mean()
    return torch.from_numpy((u[:, None] * kernel * v).T), done


@pytest.mark.parametrize("stop", STOPS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_plans_equal_those_of_single_problems(kind: dict, stop: dict) -> None:
    options, similarity = FedOTPOptions(**kind, **stop), similarities()
    plans, lengths = transport_plan(similarity, options), set()
    for g, c, b in product(*(range(SHAPE[axis]) for axis in (0, 2, 3))):
        slow, length = slow_plan(similarity[g, :, c, b], options)
        lengths.add(length)
        torch.testing.assert_close(plans[g, :, c, b], slow, rtol=1e-9, atol=1e-14)
    assert len(lengths) > 1 or stop.get("max_iter") or kind.get("gamma") == 1


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_problem_has_the_same_bits_in_any_company(kind: dict) -> None:
    options, similarity = FedOTPOptions(**kind), similarities(torch.float32)
    whole = transport_plan(similarity, options)
    assert torch.equal(transport_plan(similarity[1:], options), whole[1:])
    assert torch.equal(transport_plan(similarity[:, :, :, 2:3], options), whole[:, :, :, 2:3])
    assert torch.equal(transport_plan(similarity[:, :, 1:2], options), whole[:, :, 1:2])


@pytest.mark.parametrize("gamma", [0.3, 0.8])
def test_patches_give_what_they_like_up_to_their_share(gamma: float) -> None:
    options = FedOTPOptions(gamma=gamma, max_iter=2000, threshold=0)
    plans = transport_plan(similarities(), options)
    torch.testing.assert_close(plans.sum(dim=4), torch.full(SHAPE[:4], gamma / 2).double())
    given = plans.sum(dim=1)
    assert (given <= 1 / SHAPE[4] + 1e-6).all()
    assert (given < 0.5 / SHAPE[4]).any()


def test_balanced_plans_use_every_patch_alike() -> None:
    options = FedOTPOptions(ot=Transport.sinkhorn, max_iter=2000, threshold=0)
    plans = transport_plan(similarities(), options)
    torch.testing.assert_close(plans.sum(dim=4), torch.full(SHAPE[:4], 0.5).double())
    given = plans.sum(dim=1)
    torch.testing.assert_close(given, torch.full_like(given, 1 / SHAPE[4]))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_plans_solve_what_pot_solves(kind: dict) -> None:
    ot = pytest.importorskip("ot", reason="the library POT, of the extra `test`, is not installed")
    options = FedOTPOptions(**kind, max_iter=5000, threshold=0)
    similarity = similarities()
    plans = transport_plan(similarity, options)
    capped = options.ot is Transport.unbalanced
    mass = options.gamma if capped else 1.0
    patches, prompts = np.full(SHAPE[4], 1 / SHAPE[4]), np.full(2, mass / 2)
    for g, c, b in product(range(2), range(3), range(4)):
        cost = 1 - similarity[g, :, c, b].T.numpy()
        if capped:  # POT bounds both sides from above; all the prompts can take makes theirs exact
            theirs = ot.partial.entropic_partial_wasserstein(
                patches, prompts, cost, options.eps, m=mass, numItermax=5000, stopThr=1e-14
            )
        else:
            theirs = ot.sinkhorn(
                patches, prompts, cost, options.eps, numItermax=5000, stopThr=1e-14
            )
        np.testing.assert_allclose(plans[g, :, c, b].T, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("eps", [0.01, 0.003])
@pytest.mark.parametrize("ot", Transport)
def test_small_regularisation_stays_inside_float32(ot: Transport, eps: float) -> None:
    options = FedOTPOptions(ot=ot, eps=eps)
    similarity = similarities(torch.float32, (1, 2, 3, 4, 49)) * 0.1
    narrow, wide = (transport_plan(s, options) for s in (similarity, similarity.double()))
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=1e-6)


def test_problems_that_stop_for_themselves_stay_near_the_published_batch_mean() -> None:
    arrays = golden("fedotp_cot")
    kernel, published = (torch.from_numpy(arrays[name]) for name in ("kernel", "plan"))
    shape = (6, 5, 16, 2)  # images, classes, patches, prompts
    similarity = (1 + 0.1 * kernel.log()).view(shape).permute(3, 1, 0, 2)[None]
    plans = transport_plan(similarity, FedOTPOptions())[0]
    torch.testing.assert_close(plans, published.view(shape).permute(3, 1, 0, 2), rtol=0, atol=5e-6)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("ot", Transport)
def test_logits_and_gradients_equal_a_loop_with_the_plan_as_a_constant(
    ot: Transport, plain: bool
) -> None:
    setting = Setting("fedotp", {"ot": ot}, plain=plain)
    clip, rows = setting.clip, STEPS[0].rows
    theta = setting.theta.clone().requires_grad_()
    params = setting.layout.views(theta)
    slow = torch.zeros(3, *rows.shape[1:], len(setting.text.names), dtype=torch.float64)
    for g, b in product(range(3), range(rows.shape[1])):
        x = clip.image.run(clip.embed_image(setting.features.pixels[rows[g, b]][None]), 0, 4)[0, 1:]
        patches = torch.nn.functional.normalize(clip.image.final_norm(x) @ clip.image.projection)
        prompts = [setting.text.with_context(params[p][g][None])[0] for p in ("common", "own")]
        for c, names in enumerate(zip(*prompts, strict=True)):
            similarity = torch.stack(names) @ patches.T
            plan, _ = slow_plan(similarity.detach(), setting.method.options)
            slow[g, b, c] = clip.scale * (plan * similarity).sum()
    ours = setting.logits(theta, rows)
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-10)
    grads = [torch.autograd.grad(x.square().sum(), theta)[0] for x in (ours, slow)]
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-9)


def test_common_prompt_is_exchanged_and_the_own_one_stays() -> None:
    federation = tiny_federation(FedOTP)
    federation.round(0)
    theta, _ = federation.start(np.arange(6), training=True)
    parts = federation.layout.views(theta)
    assert torch.equal(parts["common"][0], parts["common"][1])
    assert not torch.equal(parts["own"][0], parts["own"][1])


def test_prompts_start_as_different_small_noise() -> None:
    layout = Layout(FedOTP(FedOTPOptions(), dims("ViT-B-16")).specs)
    common, own = layout.views(layout.template(1)[None]).values()
    assert not torch.equal(common, own)
    for prompt in (common, own):
        np.testing.assert_allclose(prompt.std(), 0.02, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_context": 0}, "method.num_context: 0; set 1 or more"),
        ({"gamma": 0.0}, r"method.gamma: 0.0; set a mass in \(0, 1\]"),
        ({"gamma": 1.2}, r"method.gamma: 1.2; set a mass in \(0, 1\]"),
        ({"eps": 0.0}, "method.eps: 0.0; set more than 0"),
        ({"max_iter": 0}, "method.max_iter: 0; set 1 or more"),
        ({"threshold": -1.0}, "method.threshold: -1.0; set 0 or more"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedOTPOptions(**options)


def test_image_tower_without_patch_tokens_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="clip.model is no Vision Transformer; choose a ViT"):
        FedOTP(FedOTPOptions(), dims("RN50"))
