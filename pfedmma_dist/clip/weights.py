"""Read the weights of a CLIP from a local file, whatever its format, without running a pickle."""

import logging
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pfedmma_dist.clip import hugging_face
from pfedmma_dist.clip.formats import ANOTHER, Foreign, Format, recognise, shards
from pfedmma_dist.clip.rehearsal import rehearse
from pfedmma_dist.clip.tokens import END, PADDING, START
from pfedmma_dist.clip.unwrapped import Unwrapped, unwrap
from pfedmma_dist.spelling import listed, quoted, shortened, spelled

log = logging.getLogger(__name__)

OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")
"""Entries of OpenAI's published archives that no other checkpoint has."""

TOKEN_IDS = "token_ids"
"""Entry of files that hold the embedding of some tokens alone: their ids [n], ascending."""

UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, LookupError, AssertionError),
    *(TypeError, AttributeError, OverflowError, MemoryError),
    *(SafetensorError, UnpicklingError, zipfile.BadZipFile, struct.error),
)
"""What the readers raise on damaged and on foreign files, as seen by cutting and flipping bytes
and by putting other pickles into them."""

STATE_DICT_ALONE = "save its state dict alone, torch.save(model.state_dict(), FILE)"


class Weights(NamedTuple):
    """The tensors of a file under open_clip's or OpenAI's names, and what the file tells beside."""

    state: dict[str, Tensor]  # numbers in float32
    told: hugging_face.Told


def read_weights(path: Path) -> Weights:
    """Return the weights of a file.

    Reads safetensors, TorchScript archives, and what torch's weights-only reader accepts: tensors,
    no other pickled object.
    """
    try:
        kind = recognise(path)
        found = unwrap(_content(path, kind))
    except UNREADABLE as error:
        raise _refusal(path, error) from error
    if found is None:
        raise ValueError(
            f"clip.pretrained: {path} holds no state dict (names with tensors); {ANOTHER}"
        )
    _need_numbers(path, found.state)
    _say_what_is_left_out(path, found)
    state = found.state
    openai = kind is Format.TORCHSCRIPT or all(mark in state for mark in OPENAI_MARKS)
    told = hugging_face.Told(quick_gelu=True if openai else None)
    state = {key: x for key, x in state.items() if key not in OPENAI_MARKS}
    state = {key: x.float() if x.is_floating_point() else x for key, x in state.items()}
    need_finite(path, state)
    if hugging_face.names(state):
        told, state = hugging_face.told_beside(path), hugging_face.renamed(state)
    return Weights(state, told)


def need_readable(path: Path) -> None:
    """Refuse a file that is none of weights by its beginning."""
    try:
        recognise(path)
    except UNREADABLE as error:
        raise _refusal(path, error) from error


def need_finite(source: object, state: Mapping[str, Tensor]) -> None:
    """Refuse weights that hold NaN or infinity: whatever is computed of them is none either."""
    # A sum is not finite where a number is not, and is rather faster than to look at each.
    doubtful = {
        name: x
        for name, x in state.items()
        if x.is_floating_point() and not bool(x.sum().isfinite())
    }
    bad = {name: int((~x.isfinite()).sum()) for name, x in doubtful.items()}
    bad = {name: count for name, count in bad.items() if count}
    if bad:
        name, count = next(iter(bad.items()))
        rest = f", the first of {len(bad)} such tensors" if len(bad) > 1 else ""
        raise ValueError(
            f"clip.pretrained: {source} holds numbers that are not finite (NaN or infinite), "
            f"{count:,} of the {state[name].numel():,} in {quoted(name)}{rest}; it is damaged, or "
            "of a training that diverged: take an earlier or another file"
        )


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


def _content(path: Path, kind: Format) -> Any:
    """Return what a file holds: mostly a dictionary, with tensors somewhere in it."""
    if kind is Format.SAFETENSORS:
        return load_file(path)
    if kind is Format.SHARDS:
        content: dict[str, Tensor] = {}
        for shard in shards(path):
            part = recognise(shard)
            if part is Format.SHARDS:
                raise Foreign(f"lists {quoted(shard.name)}, which is a list itself", ANOTHER)
            content |= _content(shard, part)
        return content
    if kind is Format.TORCHSCRIPT:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # OpenAI publishes TorchScript alone
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    rehearse(path)
    # By its name torch would read what is called .safetensors so. What it warns of is refused.
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(file, map_location="cpu", weights_only=True)


def _need_numbers(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that claim more numbers than the file stores."""
    for key, x in state.items():
        if x.is_meta or x.layout is not torch.strided or _stored(x) < x.nbytes:
            raise ValueError(
                f"clip.pretrained: {path} says that {quoted(key)} has {x.numel():,} numbers, and "
                "holds fewer; fetch it again, or save its tensors dense and contiguous"
            )


def _stored(x: Tensor) -> int:
    """Return the bytes that a tensor is a view of."""
    return x.untyped_storage().nbytes()


def _say_what_is_left_out(path: Path, found: Unwrapped) -> None:
    if found.place:
        log.info("clip.pretrained: the CLIP of %s stands under %s", path, quoted(found.place))
    if found.elsewhere:
        named = listed(found.elsewhere)
        log.info("clip.pretrained: %s holds tensors elsewhere too, not used: %s", path, named)
    if found.beside:
        log.warning(
            "clip.pretrained: beside CLIP's towers %s holds what is left out (%d in all): %s",
            path, len(found.beside), listed(found.beside),
        )  # fmt: skip


def _refusal(path: Path, error: BaseException) -> ValueError:
    """Return what tells the user why a file cannot be read, and what to do."""
    what = f"it {error}" if isinstance(error, Foreign) else _reason(error)
    remedy = getattr(error, "remedy", None) or _remedy(what)
    return ValueError(f"clip.pretrained: {path} cannot be read as weights ({what}); {remedy}")


def _reason(error: BaseException) -> str:
    """Return what is wrong with a file, without torch's advice about trust."""
    text = str(error)
    named = re.search(r"GLOBAL `?([\w.]+)`?|unsupported GLOBAL ([\w.]+)", text)
    if named:
        name = shortened(named[1] or named[2])
        return f"it holds an object of Python, {name}, and only tensors are read from strangers"
    words = text.rpartition("WeightsUnpickler error:")[2].strip()
    words = re.split(r"\s*(?:\n|Please |Check the documentation )", words)[0]
    if words.startswith("Unsupported operand"):
        return "it is a pickle that torch did not write, or something unknown"
    if "weights_only" in words or not words:
        return "it is damaged, or of a form that torch no longer writes"
    if "incomplete metadata" in words or "MetadataIncompleteBuffer" in words:
        return "it has fewer bytes than its header says: it was cut"
    return shortened(" ".join(spelled(words).split()), 150)


def _remedy(what: str) -> str:
    return STATE_DICT_ALONE if "object of Python" in what else f"fetch it again, or {ANOTHER}"
