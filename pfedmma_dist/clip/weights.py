"""Read the weights of a CLIP from a local file, whatever its format, without running a pickle."""

import re
import struct
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pfedmma_dist.clip.rehearsal import rehearse
from pfedmma_dist.clip.tokens import END, PADDING, START
from pfedmma_dist.spelling import quoted

OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")
"""Entries of OpenAI's published archives that no other checkpoint has."""

TOKEN_IDS = "token_ids"
"""Entry of files that hold the embedding of some tokens alone: their ids [n], ascending."""

LARGEST_PROGRAM = 2**26
"""Bytes of text in an archive, OpenAI's have 0.3 million."""

UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, LookupError, AssertionError),
    *(TypeError, AttributeError, OverflowError, MemoryError),
    *(SafetensorError, UnpicklingError, zipfile.BadZipFile, struct.error),
)
"""What the readers raise on damaged and on foreign files, as seen by cutting and flipping bytes
and by putting other pickles into them."""


def read_weights(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return (state dict with numbers in float32, whether it is OpenAI's archive).

    Reads safetensors, TorchScript archives, and what torch's weights-only reader accepts: tensors,
    no other pickled object.
    """
    openai = False
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        elif _is_torchscript(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # OpenAI publishes TorchScript alone
                state, openai = torch.jit.load(str(path), map_location="cpu").state_dict(), True
        else:
            rehearse(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(
            f"clip.pretrained: {path} cannot be read as weights ({_reason(error)}); give a file of "
            "safetensors, OpenAI's .pt, or a state dict"
        ) from error
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(x, Tensor) for key, x in state.items()
    ):
        raise ValueError(f"clip.pretrained: {path} holds no state dict (names with tensors)")
    for key, x in state.items():
        if x.is_meta or x.layout is not torch.strided or _stored(x) < x.nbytes:
            raise ValueError(
                f"clip.pretrained: {path} says that {quoted(key)} has {x.numel():,} numbers, and "
                "holds fewer; fetch it again, or save its tensors dense and contiguous"
            )
    state = {key.removeprefix("module."): value for key, value in state.items()}
    openai = openai or all(mark in state for mark in OPENAI_MARKS)
    state = {key: x for key, x in state.items() if key not in OPENAI_MARKS}
    return {key: x.float() if x.is_floating_point() else x for key, x in state.items()}, openai


def holds_half(state: dict[str, Tensor]) -> bool:
    """Say whether the blocks hold half-precision numbers; OpenAI's norms and embeddings do not."""
    inner = [x for key, x in state.items() if ".attn." in key or ".mlp." in key]
    return bool(inner) and all(torch.equal(x, x.half().float()) for x in inner)


def take_token_ids(state: dict[str, Tensor], path: Path) -> Tensor | None:
    """Remove the ids of the stored tokens from a state dict; None where all tokens are stored."""
    ids = state.pop(TOKEN_IDS, None)
    if ids is None:
        return None
    known = ids.flatten().tolist()
    if known != sorted(set(known)) or known[:1] + known[-2:] != [PADDING, START, END]:
        raise ValueError(
            f"clip.pretrained: {TOKEN_IDS} of {path} are not ids of CLIP's vocabulary, ascending "
            f"from {PADDING} to {START} and {END}; write the file with clip.vocabulary.save"
        )
    return ids


def _stored(x: Tensor) -> int:
    """Return the bytes that a tensor is a view of."""
    return x.untyped_storage().nbytes()


def _is_torchscript(path: Path) -> bool:
    """Say whether a file is OpenAI's kind of archive; ValueError for one that would unfold.

    Tensors are stored as they are, and only a program's text may be compressed.
    """
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > path.stat().st_size + LARGEST_PROGRAM:
            raise ValueError(f"it would unpack to {size:,} bytes, far more than it has")
        return any("/code/" in name for name in archive.namelist())


def _reason(error: BaseException) -> str:
    """Return what is wrong with a file, without torch's advice about trust."""
    words = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return re.split(r"\s*(?:\n|Please |Check the documentation )", words)[0][:300]
