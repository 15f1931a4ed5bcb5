"""Every form of a head answers as the head does, and says why where it cannot hold it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from exported import small_run, taken_of
from safetensors.torch import load_file
from torch import Tensor

from pfedmma_dist.home.exporting import FORMS, best_form
from pfedmma_dist.home.folder import CHECK, export, need_room
from pfedmma_dist.home.forms import TOLD
from pfedmma_dist.home.linear import linear_of
from pfedmma_dist.home.trained import Trained

CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a prompt": ("promptfl", {}, "classes"),
    "a prior of its own": ("own_prior", {}, "classes"),
    "weights of any length": ("linear_probe", {}, "classes"),
    "several prompts": ("proda", {}, "classes"),
    "adapters": ("pfedmma", {}, "module"),
    "adapters with biases": ("pfedmma", {"bias": True, "blocks": 4}, "module"),
    "tokens": ("vpt", {}, "module"),
    "deep tokens": ("vpt", {"depth": None}, "module"),
    "tokens from a block on": ("vpt", {"start": 2, "depth": 2}, "module"),
    "tokens of both towers": ("ivlp", {}, "module"),
    "tokens by maps": ("maple", {}, "module"),
    "tokens beside plain features": ("promptsrc", {}, "module"),
    "groups of tokens": ("fedmgp", {}, "module"),
    "low rank": ("lora", {}, "open_clip"),
    "low rank everywhere": ("lora", {"projections": "qkvo", "scaling": "sqrt_r"}, "open_clip"),
    "lengths apart": ("lora", {"form": "decomposed"}, "open_clip"),
    "between frozen factors": ("fedsb", {}, "open_clip"),
}

FRESH = """
import importlib.abc, json, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pfedmma_dist":
            raise ImportError("this program is not here")
sys.meta_path.insert(0, Blocker())
import torch, open_clip
import torch.nn.functional as F
from safetensors.torch import load_file
for folder in sys.argv[1:]:
    check, told = load_file(folder + "/check.safetensors"), json.load(open(folder + "/export.json"))
    with torch.no_grad():
        if told["form"] == "open_clip":
            clip = open_clip.create_model("local-dir:" + folder).eval()
            seen = F.normalize(clip.encode_image(check["images"]), dim=1)
            found = told["scale"] * seen @ load_file(folder + "/classes.safetensors")["classes"].T
        else:
            sys.path.insert(0, folder)
            import personal_clip
            clip = open_clip.CLIP(**json.load(open(folder + "/clip_model.json")))
            found = personal_clip.load(folder, clip)(check["images"])
            del sys.modules["personal_clip"]; sys.path.pop(0)
    print(float((found - check["logits"]).abs().max()))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return small_run(tmp_path_factory.mktemp("forms"))


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


def test_folders_answer_alike_where_this_program_is_not(trained: Trained, tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("promptfl", "pfedmma", "fedmgp", "lora")]
    for folder in folders:
        taken = taken_of(trained, Path(folder).name)
        export(taken, best_form(taken), Path(folder), "0")
    ended = subprocess.run(
        [sys.executable, "-I", "-c", FRESH, *folders], capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    differences = list(map(float, ended.stdout.split()))
    assert len(differences) == len(folders) and max(differences) <= 2e-5


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
        ("lora", "module", "is no set of tokens or adapters"),
    ],
)
def test_form_that_cannot_hold_a_head_says_why(
    trained: Trained, name: str, form: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"--as {form}: .*{words}"):
        export(taken_of(trained, name), FORMS[form], tmp_path / "out", "0")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["fedclip", "fedotp", "clip_adapter"])
def test_what_no_table_holds_leaves_as_a_program(trained: Trained, name: str) -> None:
    assert best_form(taken_of(trained, name)).name == "torch"


def test_head_that_no_form_holds_is_told_so(trained: Trained) -> None:
    with pytest.raises(ValueError, match="no form holds what cocoop has learned .*torch: each"):
        best_form(taken_of(trained, "cocoop"))


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
