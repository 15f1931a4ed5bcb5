"""Every form of a head answers as the head does, and says why where it cannot hold it."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from exported import taken_of
from runs import Lab
from safetensors.torch import load_file
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import load
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.home.exporting import FORMS, best_form
from pfedmma_dist.home.folder import CHECK, export, need_room
from pfedmma_dist.home.forms import TOLD
from pfedmma_dist.home.linear import linear_of
from pfedmma_dist.home.taken import whole
from pfedmma_dist.home.trained import Trained

CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a prior of its own": ("own_prior", {}, "classes"),
    "weights of any length": ("linear_probe", {}, "classes"),
    "adapters with biases": ("pfedmma", {"bias": True, "blocks": 4}, "module"),
    "tokens from a block on": ("vpt", {"start": 2, "depth": 2}, "module"),
    "tokens by maps": ("maple", {}, "module"),
    "tokens beside plain features": ("promptsrc", {}, "module"),
    "a net beside the vector": ("clip_adapter", {}, "module"),
    "votes beside a prompt": ("pfedprompt", {}, "module"),
    "low rank everywhere": ("lora", {"projections": "qkvo", "scaling": "sqrt_r"}, "open_clip"),
    "lengths apart": ("lora", {"form": "decomposed"}, "open_clip"),
    "between frozen factors": ("fedsb", {}, "open_clip"),
}

ELSEWHERE = {
    "promptfl": "classes",
    "pfedmma": "module",
    "fedmgp": "module",
    "fedclip": "module",
    "cocoop": "module",
    "lora": "open_clip",
}
"""Whose best form is read where this program is not."""


class Blocked(MetaPathFinder):
    """Whoever asks for this program is told that it is not there."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] == "pfedmma_dist":
            raise ImportError("this program is not here")


@pytest.fixture
def without_us(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Take this program away; a process of its own does so in benchmarks.take_home."""

    def take_away() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pfedmma_dist"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Blocked(), *sys.meta_path])

    yield take_away
    sys.modules.pop("personal_clip", None)


def read_without_us(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """Return the logits of a folder as its own files and open_clip give them, and ours."""
    check = load_file(folder / CHECK)
    if (folder / "open_clip_config.json").exists():
        told = json.loads((folder / TOLD).read_text())
        clip = open_clip.create_model(f"local-dir:{folder}").eval()
        seen = F.normalize(clip.encode_image(check["images"]), dim=1)
        classes = load_file(folder / "classes.safetensors")["classes"]
        return told["scale"] * seen @ classes.T, check["logits"]
    with monkeypatch.context() as context:
        context.syspath_prepend(folder)
        sys.modules.pop("personal_clip", None)
        module = importlib.import_module("personal_clip")
    clip = open_clip.CLIP(**json.loads((folder / "clip_model.json").read_text()))
    return module.load(folder, clip)(check["images"]), check["logits"]


@pytest.fixture(scope="module")
def trained(finished: Lab) -> Trained:
    return Trained.open(finished.folder("done"))


@pytest.mark.parametrize("case", CASES)
def test_best_form_answers_as_the_head_does(trained: Trained, case: str, tmp_path: Path) -> None:
    name, options, expected = CASES[case]
    taken = taken_of(trained, name, **options)
    form = best_form(taken)
    assert form.name == expected
    told = export(taken, form, tmp_path / "out", "0")
    assert told["check"]["largest_difference"] <= 2e-5
    assert json.loads((tmp_path / "out" / TOLD).read_text()) == json.loads(json.dumps(told))
    kept = load_file(tmp_path / "out" / CHECK)
    torch.testing.assert_close(taken.head.logits(kept["images"]), kept["logits"])
    assert len(kept["images"]) == 2 and told["class_names"] == trained.class_names


@torch.no_grad()
def test_folders_answer_alike_where_this_program_is_not(
    trained: Trained,
    tmp_path: Path,
    without_us: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, form in ELSEWHERE.items():
        taken = taken_of(trained, name)
        assert export(taken, best_form(taken), tmp_path / name, "0")["form"] == form
    without_us()
    with pytest.raises(ImportError, match="this program is not here"):
        importlib.import_module("pfedmma_dist")
    for name in ELSEWHERE:
        found, ours = read_without_us(tmp_path / name, monkeypatch)
        assert float((found - ours).abs().max()) <= 2e-5, name


def test_adapter_of_peft_answers_as_the_head_does(trained: Trained, tmp_path: Path) -> None:
    """Of DoRA, whose lengths have a name of their own; of the others by benchmarks.take_home."""
    taken = taken_of(trained, "lora", form="decomposed", projections="qo")
    told = export(taken, FORMS["peft"], tmp_path / "out", "0")
    assert told["check"]["largest_difference"] <= 2e-5
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["use_dora"] and config["r"] == 8
    assert str(tmp_path) not in (tmp_path / "out" / "adapter_config.json").read_text()


@pytest.mark.parametrize(
    ("name", "form", "words"),
    [
        ("pfedmma", "classes", "it trains inside the image tower"),
        ("fedclip", "classes", "its logits are no linear map of the image's vector"),
        ("promptfl", "open_clip", "no terms inside attention that could be merged"),
        ("promptfl", "peft", "no terms inside attention that an adapter could hold"),
        (
            "lora",
            "module",
            "nothing that the module knows .*; try --as open_clip, peft",
        ),
    ],
)
def test_form_that_cannot_hold_a_head_says_why(
    trained: Trained, name: str, form: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"--as {form}: .*{words}"):
        export(taken_of(trained, name), FORMS[form], tmp_path / "out", "0")
    assert not any(tmp_path.iterdir())


def test_what_no_table_holds_leaves_as_a_program(trained: Trained) -> None:
    assert best_form(taken_of(trained, "fedotp")).name == "torch"


def test_failure_of_the_tracer_is_told_with_the_forms_that_hold(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        sys.stderr.write("the whole graph so far")
        raise RuntimeError("Could not guard on an expression.\n\nFor more information, run with")

    monkeypatch.setattr(torch.export, "export", failing)
    told = r"--as onnx: torch.export cannot trace it \(.* an expression\); try --as module$"
    with pytest.raises(ValueError, match=told):
        export(taken_of(trained, "fedclip"), FORMS["onnx"], tmp_path / "out", "0")
    assert not any(tmp_path.iterdir()) and capsys.readouterr().err == ""


def test_class_matrix_is_that_of_the_method(trained: Trained) -> None:
    taken = taken_of(trained, "promptfl")
    found = linear_of(taken.head)
    assert not isinstance(found, str) and found.bias is None
    torch.testing.assert_close(found.classes, taken.head.classes[0], rtol=1e-6, atol=1e-7)


def test_what_answers_otherwise_is_not_kept(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, taken = FORMS["classes"], taken_of(trained, "promptfl")
    off = taken.logits + 3e-5 * (torch.arange(len(taken.logits)) == 1)[:, None]

    def answered(*_: Any) -> Tensor:
        return off

    monkeypatch.setattr(type(form), "read_back", answered)
    with pytest.raises(ValueError, match="logits differ by .*, and 2.0e-05 is allowed; nothing is"):
        export(taken, form, tmp_path / "out", "0")
    assert not any(tmp_path.iterdir())


def test_interrupted_export_leaves_nothing(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = FORMS["classes"]

    def interrupted(*_: Any) -> Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(form), "read_back", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(taken_of(trained, "promptfl"), form, tmp_path / "out", "0")
    assert not any(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    need_room(tmp_path / "new")
    need_room(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="holds something already; name a new or an empty folder"):
        need_room(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        need_room(tmp_path / "file")


def test_empty_folder_is_filled(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(taken_of(trained, "promptfl"), FORMS["classes"], tmp_path / "out", "0")
    assert (tmp_path / "out" / "README.md").is_file()


def test_no_folder_of_this_machine_is_told(trained: Trained, tmp_path: Path) -> None:
    export(taken_of(trained, "pfedmma"), FORMS["module"], tmp_path / "out", "0")
    for name in (TOLD, "README.md"):
        text = (tmp_path / "out" / name).read_text()
        assert str(trained.folder.path.parent) not in text and str(tmp_path) not in text


@torch.no_grad()
def test_module_with_weights_of_a_file_runs_texts_as_we_do() -> None:
    cfg = ClipConfig(model="mini-clip", pretrained="glyphs")
    frozen = load(cfg, 1, torch.device("cpu"))
    text = class_text(frozen, ("red circle", "blue cross"), "a photo of a {}.")
    ids = frozen.tokenizer(["a photo of a red circle.", "a photo of a blue cross."])
    found = F.normalize(whole(cfg, 1).encode_text(ids), dim=1)
    torch.testing.assert_close(found, text.plain, rtol=0, atol=1e-6)
