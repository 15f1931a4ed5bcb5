"""What is cheap to refuse is refused before the first image is decoded."""

from pathlib import Path

import pytest
import torch
from runs import Lab, make_lab, refusal

from pfedmma_dist.build import assemble
from pfedmma_dist.clip import fit, load, weights
from pfedmma_dist.config.command_line import read
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.logs import SAME_EVERYWHERE
from pfedmma_dist.world import World


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("cheap_first"))


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where an image is decoded."""
    monkeypatch.setattr(Files, "inspect", lambda *_: pytest.fail("images were decoded"))


LORA = {"method__name": "lora"}
WRONG = {
    "model": ({"clip__model": "ViT-B/16"}, "did you mean ViT-B-16?"),
    "tag": ({"clip__pretrained": "opnai"}, "is neither a file nor a tag"),
    "task": ({"data__num_clients": 5}, "5 clients cannot share 4 base classes"),
    "prompt": ({"data__template": "'" + "very " * 90 + "{}'"}, "does not fit the 77 tokens"),
    "option": ({"method__blocks": 9}, "method.blocks"),
    "disk": ({"clip__cache": "disk", "clip__cache_folder": "/dev/null"}, "/dev/null is no folder"),
}


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize(
    ("kind", "skip"),
    [*((kind, "false") for kind in WRONG), ("model", "true"), ("tag", "true")],
)
def test_what_needs_no_image_is_refused_without_one(
    lab: Lab, capsys: pytest.CaptureFixture[str], kind: str, skip: str
) -> None:
    changes, words = WRONG[kind]
    told = refusal(capsys, lab.words("refused", data__skip_corrupt=skip, **changes))
    assert words in told


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("skip", ["false", "true"])
@pytest.mark.parametrize("content", [{"ctx": torch.ones(2)}, {"visual.proj": torch.ones(2)}])
def test_weights_that_do_not_fit_are_refused_without_an_image(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path, skip: str, content: dict
) -> None:
    torch.save(content, tmp_path / "w.pt")
    words = lab.words("refused", data__skip_corrupt=skip, clip__pretrained=tmp_path / "w.pt")
    assert "does not hold the weights of clip.model" in refusal(capsys, words)


@pytest.mark.usefixtures("undecoded")
def test_a_look_at_names_comes_before_the_images_are_listed(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, lab.words("refused", clip__model="RN51", data__root=lab.path / "absent"))
    assert told.startswith("error: clip.model: open_clip knows no model 'RN51'")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"correction__name": "fedbabu", "method__name": "promptfl"}, "correction.name: fedbabu"),
        ({"correction__name": "moon", "method__name": "tip_adapter"}, "correction.name: moon"),
        ({"control__shared": "at_start", "method__name": "own_prior"}, "control.shared: at_start"),
        ({"federation__proximal": 0.5, "method__name": "class_means"}, "takes no step that"),
        (
            {"evaluate__finetune": "private", "evaluate__finetune_epochs": 1, **LORA},
            "evaluate.finetune: private",
        ),
    ],
)
def test_what_does_not_fit_the_method_is_refused_before_data_and_weights(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict,
    told: str,
) -> None:
    monkeypatch.setattr(load, "_need_memory", lambda *_: pytest.fail("weights were loaded"))
    words = lab.words("refused", data__root=lab.path / "absent", **changes)
    assert told in refusal(capsys, words)


@pytest.mark.parametrize("skip", ["false", "true"])
def test_phases_are_called_by_what_is_done(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, skip: str
) -> None:
    seen: list[str] = []

    def note(thing: object, name: str, words: str) -> None:
        real = getattr(thing, name)
        monkeypatch.setattr(thing, name, lambda *a, **k: (seen.append(words), real(*a, **k))[1])

    note(Files, "inspect", "inspected")
    note(load, "_need_memory", "loaded")
    entering = World.entering
    monkeypatch.setattr(
        World, "entering", lambda self, phase: (seen.append(phase), entering(self, phase))[1]
    )
    cfg = read(lab.words("phases", data__skip_corrupt=skip), methods=METHODS, sources=SOURCES)
    cfg.federation.cohort_size, cfg.federation.first_round_all = 1, False
    assemble(cfg, World.alone())
    assert seen == ["reading data", "loading CLIP", "loaded", "reading images", "inspected"]


def test_what_is_said_of_weights_is_said_by_one_rank() -> None:
    assert {module.log.name for module in (load, weights, fit)} <= set(SAME_EVERYWHERE)
