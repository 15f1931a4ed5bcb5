"""Methods of several prompts, or two losses, against vectors recorded from their published code."""

import torch
from agreement import Golden, near
from test_golden import LABELS, NAMES, GoldenFeatures, batch_of, check, in_turn, rows_from
from tiny import golden

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.fedpha import FedPHA, FedPHAOptions, Remainder
from pfedmma_dist.methods.plot import PLOT, PLOTOptions
from pfedmma_dist.methods.prograd import ProGrad, ProGradOptions
from pfedmma_dist.methods.promptfolio import PromptFolio, PromptFolioOptions
from pfedmma_dist.params import Layout

PARTS = ("init", "grad", "step1", "step3")


def two_prompts(name: str) -> Golden:
    """Return recorded arrays of a common and an own prompt that are stacked there."""
    arrays = golden(name)
    for part in PARTS:
        both = arrays[f"{part}/prompt_learner.ctx"]
        arrays |= {f"{part}/common": both[0], f"{part}/own": both[1]}
    return arrays


@in_turn("theta", [0.2, 0.4])
def test_promptfolio_equals_the_published_code(
    golden_clip: FrozenCLIP, theta: float, num_clients: int
) -> None:
    method = PromptFolio(PromptFolioOptions(theta=theta), golden_clip.dims)
    check(method, golden_clip, two_prompts(f"promptfolio_theta{theta}"), str, num_clients)


@in_turn(
    ("name", "options"),
    [
        ("fedpha", {"remainder": Remainder.as_released}),
        ("fedpha_std0.2", {"remainder": Remainder.as_released}),
        ("fedpha_alpha_mixed", {"remainder": Remainder.as_released}),
        ("fedpha_as_paper", {"remainder": Remainder.as_paper}),
    ],
)
def test_fedpha_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, options: dict, num_clients: int
) -> None:
    arrays = golden(name)
    method = FedPHA(FedPHAOptions(alpha=float(arrays["alpha"]), **options), golden_clip.dims)
    keys = {"common": "prompt_learner.ctx_global", "own": "prompt_learner.ctx_local"}
    check(method, golden_clip, arrays, keys.__getitem__, num_clients)


@in_turn(
    ("name", "options", "atol"),
    [
        ("plot_N4", {}, 2e-5),
        ("plot_N3_eps0.02", {"num_prompts": 3, "eps": 0.02}, 2e-5),
        ("plot_N4_eps0.3", {"eps": 0.3}, 1e-4),  # its problems stop together
        ("plot_N4_pooled", {"pooled": True}, 2e-5),
    ],
)
def test_plot_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, options: dict, atol: float, num_clients: int
) -> None:
    method = PLOT(PLOTOptions(**options), golden_clip.dims)
    check(
        method, golden_clip, golden(name), lambda spec: "prompt_learner.ctx", num_clients, atol=atol
    )


@in_turn("name", ["prograd", "prograd_T2_lam0.5", "prograd_agree"])
def test_prograd_equals_the_published_code(
    golden_clip: FrozenCLIP, name: str, num_clients: int
) -> None:
    arrays = golden(name)
    arrays |= {"loss": arrays["loss_ce"]}
    options = ProGradOptions(temperature=float(arrays["T"]), strength=float(arrays["lam"]))
    method = ProGrad(options, golden_clip.dims)
    check(method, golden_clip, arrays, lambda spec: "prompt_learner.ctx", num_clients)
    layout, text = Layout(method.specs), class_text(golden_clip, NAMES, "a photo of a {}.")
    theta = rows_from(layout, arrays, "init", lambda spec: "prompt_learner.ctx", num_clients)
    trainer = LocalTrainer(
        method, layout, text, GoldenFeatures(golden_clip), LABELS.__getitem__, OptimConfig()
    )
    leaf = theta.requires_grad_()
    _, second = trainer._both(leaf, None, trainer._beside(leaf, batch_of(num_clients)), ())
    expected = torch.from_numpy(arrays["loss_kd"]).expand_as(second)
    near(method.name, arrays, "second loss", second, expected, atol=2e-5)
