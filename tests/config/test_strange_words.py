"""A run with weights that know few words refuses others before it encodes an image."""

from pathlib import Path

import open_clip
import pytest
from runs import CLIP, Lab, call, make_lab, refusal

from pfedmma_dist.clip.load import tokenizer
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.vocabulary import save

KNOWN = ["X a photo of a class 0 1 2 3 4 5 6 7."]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with weights that know its class names."""
    lab = make_lab(tmp_path_factory.mktemp("strange_words"))
    write_weights(lab, KNOWN, "known")
    write_weights(lab, [KNOWN[0].replace("6", ""), "5"], "all_but_6")
    write_weights(lab, [KNOWN[0].replace("X", "")], "all_but_x")
    return lab


def write_weights(lab: Lab, texts: list[str], name: str) -> None:
    ids = tokenizer(str(lab.path / "clip.json"))(texts).unique()
    save(weights(lab, name), open_clip.CLIP(**CLIP).state_dict(), ids)


def weights(lab: Lab, name: str) -> Path:
    return lab.path / f"{name}.safetensors"


def encode_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("an image was encoded")

    monkeypatch.setattr(FrozenCLIP, "freeze", fail)


@pytest.mark.parametrize("method", ["pfedmma", "promptfl", "zero_shot"])
@pytest.mark.parametrize(
    ("known", "changes", "told"),
    [
        ("all_but_6", {}, "not '6' in 'a photo of a class 6.'"),
        ("known", {"data__template": "a sketch of a {}."}, "not 'sketch' in 'a sketch of a class"),
    ],
    ids=["class name", "template"],
)
def test_names_and_template_are_refused_whatever_the_method(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    known: str,
    changes: dict[str, str],
    told: str,
) -> None:
    encode_nothing(monkeypatch)
    changes = {**changes, "clip__pretrained": weights(lab, known), "method__name": method}
    assert told in refusal(capsys, lab.words("refused", **changes))


@pytest.mark.parametrize(
    ("known", "num_context", "told"),
    [
        ("all_but_x", 4, "not 'X' in 'X X X X class"),
        ("known", 90, "does not fit the 77 tokens"),
    ],
)
def test_a_context_is_refused_before_an_image_is_encoded(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    known: str,
    num_context: int,
    told: str,
) -> None:
    encode_nothing(monkeypatch)
    changes = {
        "clip__pretrained": weights(lab, known),
        "method__name": "promptfl",
        "method__num_context": num_context,
    }
    assert told in refusal(capsys, lab.words("refused", **changes))


def test_known_words_make_a_run(lab: Lab) -> None:
    known = weights(lab, "known")
    assert call(lab.words("known", clip__pretrained=known, federation__rounds=1)) == 0
