"""The paper's table of costs, counted from the specs at the sizes of ViT-B/16; without weights."""

import pytest

from pfedmma_dist.clip.load import dims
from pfedmma_dist.config.choices import CorrectionName
from pfedmma_dist.config.keys import Config
from pfedmma_dist.cost import count, main
from pfedmma_dist.methods.clip_adapter import CLIPAdapter
from pfedmma_dist.methods.cocoop import CoCoOp
from pfedmma_dist.methods.dpfpl import DPFPL
from pfedmma_dist.methods.fedclip import FedCLIP
from pfedmma_dist.methods.fedmgp import FedMGP
from pfedmma_dist.methods.fedmvp import FedMVP
from pfedmma_dist.methods.fedotp import FedOTP
from pfedmma_dist.methods.fedpgp import ContextShare as PersonalPart
from pfedmma_dist.methods.fedpgp import FedPGP
from pfedmma_dist.methods.fedpha import FedPHA
from pfedmma_dist.methods.fedsb import FedSB, Init
from pfedmma_dist.methods.fedtpg import FedTPG
from pfedmma_dist.methods.ivlp import IVLP
from pfedmma_dist.methods.kgcoop import KgCoOp
from pfedmma_dist.methods.linear_probe import LinearProbe
from pfedmma_dist.methods.lora import LoRA
from pfedmma_dist.methods.lora_options import FactorShare as Matrices
from pfedmma_dist.methods.lora_options import Form, Train
from pfedmma_dist.methods.maple import MaPLe
from pfedmma_dist.methods.maple import PromptShare as Parts
from pfedmma_dist.methods.merging import Merge
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import AdapterShare as Adapters
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.methods.pfedprompt import PFedPrompt
from pfedmma_dist.methods.plot import PLOT
from pfedmma_dist.methods.proda import ProDA
from pfedmma_dist.methods.prograd import ProGrad
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.methods.promptfolio import PromptFolio
from pfedmma_dist.methods.promptsrc import PromptSRC
from pfedmma_dist.methods.share import CommonShare as TwoPrompts
from pfedmma_dist.methods.share import Share, TowerShare
from pfedmma_dist.methods.tcp import TCP
from pfedmma_dist.methods.tip_adapter import TipAdapter, TipAdapterF
from pfedmma_dist.methods.vpt import VPT
from pfedmma_dist.methods.zero_shot import ZeroShot
from pfedmma_dist.params import Layout

OUTER = 3 * 64 * (768 + 512)  # Down and Up of both towers, 32 wide each, in 3 blocks
MIX = 3 * 32 * 32


def costs(kind: type[Method], **options: object) -> tuple[int, int, int]:
    """Return the numbers (trained, sent, received) of a client and round."""
    method = kind(kind.Options(**options), dims("ViT-B-16"))
    layout = Layout(method.specs)
    cost = method.exchange(layout, layout.template(0), 0).cost()
    return method.num_trained(layout), cost.up, cost.down


def test_pfedmma() -> None:
    assert costs(PFedMMA) == (248_832, 3_072, 3_072)


def test_pfedmma_with_biases() -> None:
    assert costs(PFedMMA, bias=True) == (252_960, 3_168, 3_168)


def test_pfedmma_as_its_released_code_configures_it() -> None:
    assert costs(PFedMMA, bias=True, blocks=8) == (674_560, 8_448, 8_448)


@pytest.mark.parametrize("share", Adapters)
def test_ablations_of_pfedmma_train_the_same_and_send_what_they_say(share: Adapters) -> None:
    sent = {
        Adapters.shared: MIX,
        Adapters.all: OUTER + MIX,
        Adapters.none: 0,
        Adapters.up_down: OUTER,
    }[share]
    assert costs(PFedMMA, share=share) == (OUTER + MIX, sent, sent)


def test_promptfl() -> None:
    assert costs(PromptFL) == (8_192, 8_192, 8_192)


def test_local_prompts_send_nothing() -> None:
    assert costs(PromptFL, share=Share.none) == (8_192, 0, 0)


def test_kgcoop() -> None:
    assert costs(KgCoOp) == (8_192, 8_192, 8_192)
    assert costs(KgCoOp, ctx_init="a photo of a") == (2_048, 2_048, 2_048)
    assert costs(KgCoOp, share=Share.none) == (8_192, 0, 0)


@pytest.mark.parametrize(("share", "sent"), [("common", 8_192), ("all", 16_384), ("none", 0)])
@pytest.mark.parametrize("kind", [PromptFolio, FedPHA, DPFPL])
def test_methods_of_two_prompts_send_those_they_share(
    kind: type[Method], share: str, sent: int
) -> None:
    assert costs(kind, share=TwoPrompts[share]) == (16_384, sent, sent)


def test_pfedprompt() -> None:
    assert costs(PFedPrompt) == (8_192, 8_192, 8_192)


def test_prograd() -> None:
    assert costs(ProGrad) == (8_192, 8_192, 8_192)
    assert costs(ProGrad, share=Share.none) == (8_192, 0, 0)


def test_proda() -> None:
    assert costs(ProDA) == (262_144, 262_144, 262_144)
    assert costs(ProDA, share=Share.none) == (262_144, 0, 0)


def test_tcp() -> None:
    assert costs(TCP) == (331_904, 331_904, 331_904)
    assert costs(TCP, share=Share.none) == (331_904, 0, 0)


def test_fedmgp_sends_two_pairs_of_five() -> None:
    assert costs(FedMGP) == (5 * 2 * (512 + 768), 5_120, 5_120) == (12_800, 5_120, 5_120)
    assert costs(FedMGP, num_sent=5) == (12_800, 12_800, 12_800)
    assert costs(FedMGP, share=Share.none) == (12_800, 0, 0)


def test_fedpgp() -> None:
    assert costs(FedPGP) == (12_416, 8_192, 8_192)
    assert costs(FedPGP, bottleneck=4)[0] == 10_304


@pytest.mark.parametrize(("share", "sent"), [("all", 12_416), ("none", 0)])
def test_ablations_of_fedpgp_train_the_same_and_send_what_they_say(share: str, sent: int) -> None:
    assert costs(FedPGP, share=PersonalPart[share]) == (12_416, sent, sent)


def test_fedotp() -> None:
    assert costs(FedOTP) == (16_384, 8_192, 8_192)


@pytest.mark.parametrize(("share", "sent"), [("all", 16_384), ("none", 0)])
def test_ablations_of_fedotp_train_the_same_and_send_what_they_say(share: str, sent: int) -> None:
    assert costs(FedOTP, share=TwoPrompts[share]) == (16_384, sent, sent)


def test_plot() -> None:
    assert costs(PLOT) == (32_768, 32_768, 32_768)
    assert costs(PLOT, share=Share.none) == (32_768, 0, 0)


def test_pfedmoap() -> None:
    assert costs(PFedMoAP) == (74_240, 8_192, 73_728)


def test_prompt_that_pfedmoap_starts_from_is_counted_apart() -> None:
    method = PFedMoAP(PFedMoAP.Options(), dims("ViT-B-16"))
    layout = Layout(method.specs)
    assert method.exchange(layout, layout.template(0), 0).cost().start == 8_192
    for kind in (PFedMMA, PromptFL, FedPGP):
        method = kind(kind.Options(), dims("ViT-B-16"))
        layout = Layout(method.specs)
        assert method.exchange(layout, layout.template(0), 0).cost().start == 0


def test_cocoop() -> None:
    assert costs(CoCoOp) == (41_504, 41_504, 41_504)
    assert costs(CoCoOp, ctx_init="a photo of a") == (35_360, 35_360, 35_360)
    assert costs(CoCoOp, share=Share.none) == (41_504, 0, 0)


def test_fedtpg() -> None:
    assert costs(FedTPG) == (4_206_080, 4_206_080, 4_206_080)


def test_vpt() -> None:
    assert costs(VPT) == (3_072, *costs(PFedMMA)[1:]) == (3_072, 3_072, 3_072)
    assert costs(VPT, depth=None) == (27_648, 27_648, 27_648)
    assert costs(VPT, depth=None, start=9) == (9_216, 9_216, 9_216)
    assert costs(VPT, share=Share.none) == (3_072, 0, 0)


@pytest.mark.parametrize(
    ("share", "sent"), [("all", 46_080), ("text", 18_432), ("image", 27_648), ("none", 0)]
)
def test_ivlp_sends_the_prompts_of_the_towers_it_shares(share: str, sent: int) -> None:
    assert costs(IVLP, share=TowerShare[share]) == (46_080, sent, sent)


@pytest.mark.parametrize(("share", "sent"), [("all", 3_555_072), ("prompts", 9_216), ("none", 0)])
def test_maple_sends_the_parts_it_shares(share: str, sent: int) -> None:
    assert costs(MaPLe, share=Parts[share]) == (3_555_072, sent, sent)


def test_promptsrc() -> None:
    assert costs(PromptSRC) == (46_080, 46_080, 46_080)
    assert costs(PromptSRC, share=TowerShare.text) == (46_080, 18_432, 18_432)
    assert costs(PromptSRC, share=TowerShare.none) == (46_080, 0, 0)


def test_fedmvp() -> None:
    norms, text = 3 * 2 * 768, 768 * (512 + 1)
    attention, net = 4 * 768 * (768 + 1), 6144 * (768 + 1) + 768 * (3072 + 1)
    terms = 3 * 2 * 768 * 8
    assert norms + text + attention + net + terms == 9_882_624
    assert costs(FedMVP) == 3 * (9_882_624,)
    assert costs(FedMVP, low_rank_from=None) == 3 * (9_882_624 - terms,)


def test_fedclip() -> None:
    assert costs(FedCLIP) == (525_312, 525_312, 525_312)
    assert costs(FedCLIP, share=Share.none) == (525_312, 0, 0)


def test_feature_adapters() -> None:
    assert costs(CLIPAdapter) == (131_072, 131_072, 131_072)
    assert costs(LinearProbe) == (25_600, 25_600, 25_600)
    assert costs(LinearProbe, share=Share.none) == (25_600, 0, 0)
    assert costs(TipAdapter) == (0, 0, 0)
    assert costs(TipAdapterF) == (40_960, 0, 0)


@pytest.mark.parametrize("share", Matrices)
def test_lora_sends_the_matrices_it_shares(share: Matrices) -> None:
    half = 3 * 2 * 8 * (768 + 512)  # A of q and v, 8 wide, in 3 blocks of both towers; B as large
    sent = {Matrices.all: 2 * half, Matrices.A: half, Matrices.none: 0}[share]
    assert costs(LoRA, share=share) == (2 * half, sent, sent)


@pytest.mark.parametrize(("share", "sent"), [("all", 61_440), ("none", 0)])
def test_lora_with_a_frozen_trains_and_sends_half(share: str, sent: int) -> None:
    assert costs(LoRA, train=Train.B, share=Matrices[share]) == (61_440, sent, sent)


def test_lora_that_alternates_sends_half_a_round() -> None:
    assert costs(LoRA, train=Train.alternate) == (122_880, 61_440, 122_880)


@pytest.mark.parametrize(
    ("merge", "down"), [(Merge.residual, 122_880 + 5_111_808), (Merge.product, 5_111_808)]
)
def test_lora_that_merges_receives_whole_matrices(merge: Merge, down: int) -> None:
    assert costs(LoRA, merge=merge) == (122_880, 122_880, down)


def test_dora_adds_a_length_per_output() -> None:
    assert costs(LoRA, form=Form.decomposed) == (122_880 + 3 * 2 * (768 + 512),) * 3


def test_clip_lora() -> None:
    assert costs(LoRA, blocks=12, projections="qkv", rank=2) == (184_320,) * 3


@pytest.mark.parametrize("init", Init)
def test_fedsb_exchanges_as_much_as_pfedmma(init: Init) -> None:
    assert costs(FedSB, init=init) == (3_072, 3_072, 3_072)
    assert costs(FedSB, init=init)[1:] == costs(PFedMMA)[1:]
    assert costs(FedSB, share=Share.none) == (3_072, 0, 0)


def test_zero_shot() -> None:
    assert costs(ZeroShot) == (0, 0, 0)


def test_options_have_the_papers_sizes() -> None:
    adapters, prompts = PFedMMAOptions(), PromptFLOptions()
    assert (adapters.blocks, adapters.rank, adapters.alpha, adapters.bias) == (3, 32, 1e-3, False)
    assert prompts.num_context == 16


def test_correction_is_counted_where_it_is_configured() -> None:
    cfg = Config()
    cfg.correction.name = CorrectionName.scaffold
    _, cost = count(PFedMMA(PFedMMAOptions(), dims("ViT-B-16")), cfg)
    assert (cost.up, cost.down) == (2 * 3_072, 2 * 3_072)
    with pytest.raises(ValueError, match=r"^correction\.name: .* shares nothing"):
        count(ZeroShot(ZeroShot.Options(), dims("ViT-B-16")), cfg)


def test_noise_leaves_of_each_method_what_the_specification_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Numbers of capabilities.md 3.3: federations of 100, 1,000, 10,000 and 100,000 clients,
    and the default one of 10, 10 / (5.22 sqrt S)."""
    assert main(["--privacy", "privacy.name=central", "privacy.accountant=integer_rdp"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = {words[0]: words[1:] for words in lines if len(words) > 1}
    assert rows["pfedmma"] == ["3,072", "(0.24)", "2.0", "3.5", "34", "(0.035)"]
    assert rows["promptfl"] == ["8,192", "(0.15)", "1.2", "2.1", "21", "(0.021)"]
    assert rows["lora"] == ["122,880", "(0.038)", "(0.32)", "(0.55)", "5.4", "(0.0055)"]
    assert ZeroShot.name not in rows
