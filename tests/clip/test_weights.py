"""Weights from every kind of file, and clear words where a file holds none that fit."""

import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_files import Describe, loaded, state_of, uses_quick_gelu
from torch import Tensor, nn

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.weights import OPENAI_MARKS, read_weights

quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
"""torch deprecates the TorchScript that OpenAI's archives are made of."""


def half_blocks(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Store attention and MLPs in half precision, norms and embeddings in single, as OpenAI did."""
    return {k: v.half() if ".attn." in k or ".mlp." in k else v for k, v in state.items()}


def save_archive(state: dict[str, Tensor], path: Path, marks: tuple = OPENAI_MARKS) -> None:
    """Write a TorchScript archive with these entries and OpenAI's marks."""

    class Empty(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    root = Empty()
    for key, value in {**state, **dict.fromkeys(marks, torch.tensor(7))}.items():
        *folders, name = key.split(".")
        place = root
        for folder in folders:
            if not hasattr(place, folder):
                place.add_module(folder, Empty())
            place = getattr(place, folder)
        place.register_buffer(name, value)
    torch.jit.save(torch.jit.script(root), str(path))


def assert_holds(clip: FrozenCLIP, state: dict[str, Tensor]) -> None:
    expected = state["transformer.resblocks.1.attn.in_proj_weight"].float()
    assert torch.equal(clip.text.blocks[1].qkv_weight, expected)
    assert torch.equal(clip.image.projection, state["visual.proj"].float())


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_file_of_weights_is_loaded(describe: Describe, tmp_path: Path, name: str) -> None:
    state = state_of()
    (save_file if name.endswith("safetensors") else torch.save)(state, tmp_path / name)
    assert_holds(loaded(describe(), tmp_path / name), state)


def test_a_training_checkpoint_with_prefixes_is_loaded(describe: Describe, tmp_path: Path) -> None:
    state = state_of()
    prefixed = {f"module.{key}": value for key, value in state.items()}
    torch.save({"epoch": 3, "state_dict": prefixed}, tmp_path / "w.pt")
    assert_holds(loaded(describe(), tmp_path / "w.pt"), state)


def test_weights_under_openais_names_fit_a_model_with_a_text_module(
    describe: Describe, tmp_path: Path
) -> None:
    state = state_of()
    torch.save(state, tmp_path / "w.pt")
    assert_holds(loaded(describe(custom_text=True), tmp_path / "w.pt"), state)


@quietly
@pytest.mark.parametrize("marks", [OPENAI_MARKS, ()])
def test_openais_archive_gets_quick_gelu_with_a_warning(
    describe: Describe, tmp_path: Path, caplog: pytest.LogCaptureFixture, marks: tuple
) -> None:
    state = half_blocks(state_of())
    save_archive(state, tmp_path / "w.pt", marks)
    clip = loaded(describe(), tmp_path / "w.pt")
    assert_holds(clip, state)
    assert uses_quick_gelu(clip)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "names GELU" in record.getMessage() and "trained with QuickGELU" in record.getMessage()


@quietly
def test_openais_archive_for_a_quick_gelu_model_needs_no_warning(
    describe: Describe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_archive(half_blocks(state_of()), tmp_path / "w.pt")
    assert uses_quick_gelu(loaded(describe(quick_gelu=True), tmp_path / "w.pt"))
    assert not caplog.records


def test_openais_marks_betray_its_weights_in_other_formats(
    describe: Describe, tmp_path: Path
) -> None:
    marks = {mark: torch.tensor(7) for mark in OPENAI_MARKS}
    save_file({**state_of(), **marks}, tmp_path / "w.safetensors")
    assert uses_quick_gelu(loaded(describe(), tmp_path / "w.safetensors"))


def test_half_precision_blocks_without_marks_are_told_of(
    describe: Describe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {key: value.float() for key, value in half_blocks(state_of()).items()}
    save_file(state, tmp_path / "w.safetensors")
    assert not uses_quick_gelu(loaded(describe(), tmp_path / "w.safetensors"))
    [record] = caplog.records
    assert "half-precision" in record.getMessage() and "-quickgelu" in record.getMessage()


def test_single_precision_weights_are_loaded_in_silence(
    describe: Describe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_file(state_of(), tmp_path / "w.safetensors")
    loaded(describe(), tmp_path / "w.safetensors")
    assert not caplog.records


def test_weights_of_another_model_are_refused(describe: Describe, tmp_path: Path) -> None:
    save_file(state_of({"width": 32}), tmp_path / "w.safetensors")
    with pytest.raises(
        ValueError, match=r"w\.safetensors does not hold the weights of clip\.model"
    ):
        loaded(describe(), tmp_path / "w.safetensors")


@quietly
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "archive.pt"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    save = {"w.safetensors": save_file, "w.pt": torch.save, "archive.pt": save_archive}[name]
    save({"a": torch.ones(99)}, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=rf"clip\.pretrained: .*{name} cannot be read as weights"):
        read_weights(tmp_path / name)


def test_a_damaged_table_of_contents_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(99)}, tmp_path / "w.pt")
    raw = bytearray((tmp_path / "w.pt").read_bytes())
    raw[raw.index(b"PK\x01\x02")] ^= 0xFF
    (tmp_path / "w.pt").write_bytes(raw)
    with pytest.raises(ValueError, match=r"clip\.pretrained: .*w\.pt cannot be read as weights"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize(
    "text", ["version https://git-lfs.github.com/spec/v1\n", "<html>", "{}", "hello"]
)
def test_a_text_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.pt").write_text(text)
    with pytest.raises(ValueError, match=r"clip\.pretrained: .*w\.pt cannot be read as weights"):
        read_weights(tmp_path / "w.pt")


class Trap:
    """A pickled object that would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, protocol=2))]
)
def test_a_pickle_of_other_objects_is_refused_and_not_run(
    tmp_path: Path, write: Callable[..., object]
) -> None:
    write({"a": Trap(tmp_path / "sprung")}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"clip\.pretrained: .*w\.pt cannot be read as weights"):
        read_weights(tmp_path / "w.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [[1, 2], torch.ones(2), {"model": {1: torch.ones(1)}}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"clip\.pretrained: .* holds no state dict"):
        read_weights(tmp_path / "w.pt")
