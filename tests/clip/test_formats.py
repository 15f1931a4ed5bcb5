"""A file is what its content says; what holds no weights is told in few words with a remedy."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_files import Describe, loaded, state_of

from pfedmma_dist.clip.load import check
from pfedmma_dist.clip.weights import read_weights
from pfedmma_dist.config.keys import ClipConfig

Write = Callable[[Path], object]


def save_old(state: dict, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin", "w.pt", "w.ckpt", "w"])
@pytest.mark.parametrize("save", [save_file, torch.save, save_old], ids=["safe", "zip", "old"])
def test_weights_are_read_whatever_the_file_is_called(
    describe: Describe, tmp_path: Path, save: Callable, name: str
) -> None:
    state = state_of()
    save(state, tmp_path / name)
    assert torch.equal(
        loaded(describe(), tmp_path / name).image.projection, state["visual.proj"].float()
    )


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/config.json", "{}")


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as file:
        file.addfile(tarfile.TarInfo("model.bin"), io.BytesIO())


def npz(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, a=np.zeros(3))


def text(content: str) -> Write:
    return lambda path: path.write_text(content)


def raw(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


OTHERS: dict[str, tuple[Write, str]] = {
    "pointer": (
        text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n"),
        "(it is a pointer of Git LFS, not the file itself); fetch the file by `git lfs pull`",
    ),
    "page with a comment": (text("<!-- saved --><html>Denied"), "(it is a web page, not the"),
    "page": (text("\ufeff \n<!DOCTYPE HTML><html>"), "(it is a web page, not the file that was"),
    "page of a bucket": (text("<?xml version='1.0'?><Error/>"), "(it is a web page, not"),
    "error": (text('{"error": "no such \x1b[31mfile"}'), '(it is text in JSON: \'{"error":'),
    "config": (text('{"model_type": "clip"}'), "(it describes a model in JSON, and holds no"),
    "adapter's config": (text('{"peft_type": "LORA"}'), "(it describes an adapter in JSON"),
    "prose": (text("hello \x1b[31m" * 100), "(it is text: 'hello \\x1b[31mhello"),
    "gzip": (raw(gzip.compress(b"abc")), "(it is compressed by gzip); unpack it"),
    "tar": (tar, "(it is a tar archive); unpack it"),
    "zip": (archive, "(it is a zip archive of other files: 'model/config.json'); unpack it"),
    "npz": (npz, "(it is an archive of NumPy (.npz)); give the weights of a CLIP"),
    "gguf": (raw(b"GGUF\3\0\0\0" + bytes(99)), "(it is a model of llama.cpp (GGUF))"),
    "onnx": (raw(b"\x08\x07\x12\x07pytorch" + bytes(99)), "(it is a model of ONNX)"),
    "flax": (raw(b"\x83\xablogit_scale" + bytes(99)), "(it is a checkpoint of Flax"),
    "keras": (raw(b"\x89HDF\r\n\x1a\n" + bytes(99)), "(it is HDF5, as Keras and TensorFlow"),
    "empty": (raw(b""), "(it is empty); fetch it again"),
    "zeros": (raw(bytes(5000)), "(it begins with zeros, as a download does that was broken off"),
    "noise": (raw(b"\x03\x07" * 99), "(it is of no form that is known here)"),
    "escaping shards": (
        text(json.dumps({"weight_map": {"a": "../w.safetensors"}})),
        "(it lists the shard '../w.safetensors', which is no name of a file)",
    ),
    "absent shards": (
        text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})),
        "(it lists shards that do not lie beside it, 2 of 2: '1.safetensors', '2.safetensors')",
    ),
    "shards of shards": (
        lambda path: path.write_text(json.dumps({"weight_map": {"a": path.name}})),
        "which is a list itself)",
    ),
    "object": (
        lambda path: torch.save({"state_dict": state_of(), "best": np.float64(1)}, path),
        "multiarray.scalar, and only tensors are read from strangers); save its state dict alone",
    ),
    "module": (
        lambda path: torch.save(torch.nn.Linear(2, 2), path),
        "(it holds an object of Python, torch.nn.modules.linear.Linear, and only tensors",
    ),
}


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_file_of_weights_is_recognised(tmp_path: Path, kind: str, name: str) -> None:
    write, words = OTHERS[kind]
    path = tmp_path / name
    write(path)
    with pytest.raises(ValueError) as error:
        read_weights(path)
    told = str(error.value)
    assert told.startswith(f"clip.pretrained: {path} cannot be read as weights (")
    assert words in told
    assert len(told) - len(str(path)) < 300
    assert "\x1b" not in told and "weights_only" not in told


@pytest.mark.filterwarnings("error")
def test_a_refusal_is_all_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(pickle.dumps({"epoch": 1}))  # of protocol 4, which torch warns of
    with pytest.raises(ValueError, match="it is a pickle that torch did not write"):
        read_weights(path)


@pytest.mark.parametrize("save", [save_file, torch.save, save_old], ids=["safe", "zip", "old"])
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_a_cut_file_says_so(tmp_path: Path, save: Callable, kept: float) -> None:
    path = tmp_path / "w.bin"
    save(state_of(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"fewer bytes|lacks its end|unexpected EOF.*; fetch it"):
        read_weights(path)


def test_shards_are_read_by_their_list(describe: Describe, tmp_path: Path) -> None:
    state = state_of()
    names = sorted(state)
    for number, part in enumerate((names[:9], names[9:])):
        save_file({name: state[name] for name in part}, tmp_path / f"{number}.safetensors")
    listed = {name: f"{int(name in names[9:])}.safetensors" for name in names}
    (tmp_path / "w.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    clip = loaded(describe(), tmp_path / "w.index.json")
    assert torch.equal(clip.image.projection, state["visual.proj"])


def test_one_shard_of_several_points_at_the_list(describe: Describe, tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00002.safetensors"
    save_file({"visual.proj": torch.zeros(16, 8)}, path)
    with pytest.raises(ValueError, match=r"it is one shard of several; give the \.index\.json"):
        loaded(describe(), path)


def test_a_look_at_its_beginning_refuses_a_file(describe: Describe, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_text("<html>")
    with pytest.raises(ValueError, match="it is a web page"):
        check(ClipConfig(model=describe(), pretrained=str(tmp_path / "w.pt")))
