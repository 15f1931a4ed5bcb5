"""A small file of weights cannot ask for more time or memory than it is large."""

import json
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from tiny_files import Describe, loaded, state_of

from pfedmma_dist.clip.formats import LARGEST_PROGRAM
from pfedmma_dist.clip.weights import read_weights

NUMBER = b"\x80\x02K\x01q\x00"
UNFOLDED = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))
PICKLES = {
    "a key that unfolds": (NUMBER + UNFOLDED + b"}h\x3cK\x01s.", "a key that is a tuple, where"),
    "keys that unfold": (NUMBER + UNFOLDED + b"}(h\x3cK\x01u.", "a key that is a tuple, where"),
    "an ordered dict": (
        NUMBER + UNFOLDED + b"ccollections\nOrderedDict\n)R(h\x3cK\x01u.",
        "a key that is a tuple, where names belong",
    ),
    "a bytearray": (b"\x80\x02cbuiltins\nbytearray\nJ\0\0\0\x7f\x85R.", "asks for a bytearray"),
}


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as error:
        read_weights(path)
    told = str(error.value)
    assert told.startswith(f"clip.pretrained: {path} ")
    assert len(told) - len(str(path)) < 400
    return told


def packed(folder: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """Return torch's archive of three numbers with another pickle in it."""
    torch.save({"a": torch.ones(3)}, folder / "good.pt")
    with (
        zipfile.ZipFile(folder / "good.pt") as good,
        zipfile.ZipFile(folder / "w.pt", "w", compression) as bad,
    ):
        for name in good.namelist():
            bad.writestr(name, content if name.endswith("data.pkl") else good.read(name))
    return folder / "w.pt"


@pytest.mark.parametrize(("content", "words"), PICKLES.values(), ids=PICKLES)
def test_a_pickle_that_torch_would_not_come_back_from_is_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    assert words in refused(packed(tmp_path, content))
    (tmp_path / "old.pt").write_bytes(content)
    assert words in refused(tmp_path / "old.pt")


def test_an_archive_that_unfolds_is_refused_by_its_announced_size(tmp_path: Path) -> None:
    path = packed(tmp_path, bytes(LARGEST_PROGRAM + 10**6), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    assert "it would unpack to 68,1" in refused(path)


FEW = {
    "repeated": lambda: torch.ones(1).expand(10**12),
    "repeated halves": lambda: torch.ones(1).half().expand(10**12),
    "without numbers": lambda: torch.ones(3, device="meta"),
    "sparse": lambda: torch.sparse_coo_tensor([[0]], [1.0], (10**9,)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", FEW.values(), ids=FEW)
def test_a_tensor_of_more_numbers_than_are_stored_is_refused(tmp_path: Path, make) -> None:
    torch.save({"a": make()}, tmp_path / "w.pt")
    told = refused(tmp_path / "w.pt")
    assert "says that 'a' has " in told and "numbers, and holds fewer; fetch it again" in told


def test_keys_that_are_no_names_are_refused(tmp_path: Path) -> None:
    torch.save({1: torch.ones(1)}, tmp_path / "w.pt")
    assert "holds no state dict (names with tensors)" in refused(tmp_path / "w.pt")


ENTRY = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
HEADERS = {
    "more than there is": json.dumps({"a": ENTRY}).encode(),
    "depth": b'{"a":' * 100_000,
    "a negative size": json.dumps({"a": {**ENTRY, "shape": [-1]}}).encode(),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("announced", [None, 2**60])
def test_an_absurd_header_of_safetensors_is_refused(
    tmp_path: Path, header: bytes, announced: int | None
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", announced or len(header)) + header)
    assert "cannot be read as weights (" in refused(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_training_are_read_as_before(tmp_path: Path, zipped: bool) -> None:
    state = torch.nn.Linear(3, 3).state_dict()
    adam = torch.optim.Adam(torch.nn.Linear(2, 2).parameters()).state_dict()
    content = {"epoch": 3, "state_dict": state, "optimizer": adam}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    found, _ = read_weights(tmp_path / "w.pt")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("scale", [1e4, -1e30])
def test_a_scale_that_no_clip_has_is_refused(
    describe: Describe, tmp_path: Path, scale: float
) -> None:
    torch.save({**state_of(), "logit_scale": torch.tensor(scale)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"clip\.pretrained: .*logit_scale .*, where CLIP's is at"):
        loaded(describe(), tmp_path / "w.pt")


def test_weights_of_another_model_are_refused_in_few_words(
    describe: Describe, tmp_path: Path
) -> None:
    torch.save({f"a{i}": torch.ones(1) for i in range(1000)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="does not hold the weights of clip.model=") as error:
        loaded(describe(), tmp_path / "w.pt")
    assert len(str(error.value)) < 600


def test_a_rehearsed_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(pickle.dumps({"a": Trap(tmp_path / "sprung")}, protocol=2))
    refused(path)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """An object that would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)
