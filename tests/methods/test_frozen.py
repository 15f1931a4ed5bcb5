"""Frozen parameters may be the CLIP's own; a whole run reads several kinds of cached features."""

from pathlib import Path
from typing import Any

import pytest
import torch
from distilled import Distilled
from runs import alone, call, make_lab
from tiny import tiny_federation
from torch import Tensor

from pfedmma_dist import evaluate
from pfedmma_dist.clip.model import Dims, FrozenCLIP
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.promptfl import PromptFLOptions
from pfedmma_dist.params import ParamSpec, zeros


class Spanned(Method):
    """A context within the span of some token embeddings: coefficients times what is frozen."""

    name = "spanned"
    Options = PromptFLOptions
    first = 0

    def __init__(self, options: PromptFLOptions, dims: Dims) -> None:
        self.specs = (
            ParamSpec("basis", (4, dims.text_width), zeros, frozen=True),
            ParamSpec("coefficients", (2, 4), zeros, shared=True),
        )

    def frozen(self, seed: int, clip: FrozenCLIP) -> dict[str, Tensor]:
        return {"basis": clip.embed_text.token[self.first : self.first + 4].float()}

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        return text.with_context(params["coefficients"] @ params["basis"])


def test_method_may_freeze_what_the_clip_holds() -> None:
    federation = tiny_federation(Spanned)
    token = federation.clip.embed_text.token[:4]
    assert torch.equal(federation.layout.frozen["basis"], token)
    federation.round(0)
    assert federation.exchange.shared.shape == (8,)
    assert federation.exchange.shared.any()
    assert torch.equal(federation.layout.frozen["basis"], token)
    assert federation.evaluate(full=True).num_images > 0


def test_whole_run_caches_every_kind_that_a_method_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, Distilled.name, Distilled)
    lab = make_lab(tmp_path)
    changes = {"method__name": Distilled.name, "clip__cache": "disk", "federation__rounds": 1}
    assert call(lab.words("run", **changes)) == 0
    stored = [
        sorted(f.name for f in path.parent.glob("*.bin")) for path in tmp_path.rglob("final.bin")
    ]
    assert stored == [["final.bin", "patches.bin"]] * 2  # of training and of test images


def test_checkpoint_beside_other_frozen_values_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METHODS, Spanned.name, Spanned)
    lab = make_lab(tmp_path)
    words = lab.words("run", method__name=Spanned.name, federation__rounds=1)
    assert call(words) == 0
    with alone():
        assert evaluate.main([str(lab.folder("run"))]) == 0
    monkeypatch.setattr(Spanned, "first", 4)
    with alone():
        assert evaluate.main([str(lab.folder("run"))]) == 2
    assert "parameter layout" in capsys.readouterr().err
