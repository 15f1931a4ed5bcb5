"""What a file of weights is, by its content: its name may say anything."""

import re
import struct
import zipfile
from enum import Enum, auto
from pathlib import Path
from typing import Any

from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import listed, quoted

HEAD = 512
"""Bytes that tell what a file is."""

LARGEST_PROGRAM = 2**26
"""Bytes of text in an archive, OpenAI's have 0.3 million."""

LARGEST_INDEX = 2**24
"""Bytes of a list of shards; that of a model of 70 billion numbers has 0.1 million."""

AGAIN = "fetch it again"
ANOTHER = "give the weights of a CLIP: safetensors, OpenAI's .pt, or a state dict"
UNPACK = "unpack it, and give the file of weights inside"


class Format(Enum):
    """The kinds of file that weights are read from."""

    SAFETENSORS = auto()
    TORCHSCRIPT = auto()
    TORCH = auto()
    SHARDS = auto()


class Foreign(ValueError):
    """Say what a file is in place of weights (completes "it ..."), and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


BEGINNINGS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the file itself",
     "fetch the file by `git lfs pull` in its folder"),
    (0, b"\x1f\x8b", "is compressed by gzip", UNPACK),
    (0, b"BZh", "is compressed by bzip2", UNPACK),
    (0, b"\xfd7zXZ", "is compressed by xz", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "is compressed by zstd", UNPACK),
    (0, b"7z\xbc\xaf", "is an archive of 7-Zip", UNPACK),
    (0, b"Rar!", "is an archive of RAR", UNPACK),
    (257, b"ustar", "is a tar archive", UNPACK),
    (0, b"GGUF", "is a model of llama.cpp (GGUF)", ANOTHER),
    (0, b"ggml", "is a model of ggml", ANOTHER),
    (0, b"lmgg", "is a model of ggml", ANOTHER),
    (0, b"\x89HDF\r\n", "is HDF5, as Keras and TensorFlow write it", ANOTHER),
    (0, b"\x93NUMPY", "is an array of NumPy (.npy)", ANOTHER),
    (4, b"TFL3", "is a model of TensorFlow Lite", ANOTHER),
    (0, b"PAR1", "is a table of Parquet", ANOTHER),
    (0, b"%PDF", "is a PDF", ANOTHER),
    (0, b"\x89PNG", "is an image", ANOTHER),
    (0, b"\xff\xd8\xff", "is an image", ANOTHER),
    (0, bytes(64), "begins with zeros, as a download does that was broken off", AGAIN),
)  # fmt: skip
"""(place, bytes there, what a file is that has them, what to do)."""

PAGE = re.compile(rb"<(!doctype|!--|html|head|body|title|meta|script|\?xml|error)", re.IGNORECASE)
SHORT_TEXT = 60
"""Characters of a text that a message shows."""


def recognise(path: Path) -> Format:
    """Return what a file is; raise Foreign for what holds no weights that can be read."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head:
        raise Foreign("is empty", AGAIN)
    if _is_safetensors(head, size):
        return Format.SAFETENSORS
    for place, marks, what, remedy in BEGINNINGS:
        if head[place:].startswith(marks):
            raise Foreign(what, remedy)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _in_zip(path, size)
    if head[0] == 0x08 and re.search(rb"onnx|pytorch|tf2", head[:64]):
        raise Foreign("is a model of ONNX", ANOTHER)
    if 0x81 <= head[0] <= 0x8F and 0xA1 <= head[1:2].ljust(1)[0] <= 0xDB:
        raise Foreign("is a checkpoint of Flax (msgpack)", ANOTHER)
    if _is_text(head):
        return _in_text(path, head, size)
    if not head.startswith(b"\x80"):  # the first of a pickle, which torch's old files are
        raise Foreign("is of no form that is known here", ANOTHER)
    return Format.TORCH


def _is_safetensors(head: bytes, size: int) -> bool:
    """Say whether a file begins as safetensors do: the header's length, then its brace."""
    if head[8:9] != b"{" or _is_text(head):
        return False
    [length] = struct.unpack("<Q", head[:8])
    # With a header of less than 16 MiB it is one, even if it was cut.
    return length + 8 <= size or length < 2**24


def _in_zip(path: Path, size: int) -> Format:
    """Tell torch's archives from others; Foreign for one that would unfold.

    Tensors are stored as they are, and only a program's text may be compressed.
    """
    if not zipfile.is_zipfile(path):
        raise Foreign("begins as an archive of torch and lacks its end", AGAIN)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > size + LARGEST_PROGRAM:
        raise Foreign(f"would unpack to {unpacked:,} bytes, far more than it has", AGAIN)
    if any("/code/" in name for name in names):
        return Format.TORCHSCRIPT
    if any(name.endswith("data.pkl") for name in names):
        return Format.TORCH
    if names and all(name.endswith(".npy") for name in names):
        raise Foreign("is an archive of NumPy (.npz)", ANOTHER)
    raise Foreign(f"is a zip archive of other files: {listed(names) or 'none'}", UNPACK)


def _is_text(head: bytes) -> bool:
    """Say whether bytes are printed text; one character may be cut at their end."""
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        return False
    text = head.decode("utf-8", "replace")
    return "\ufffd" not in text[:-1]


def _in_text(path: Path, head: bytes, size: int) -> Format:
    """Return SHARDS for a list of shards; raise Foreign for every other text."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if PAGE.match(start):
        raise Foreign(
            "is a web page, not the file that was asked for",
            f"{AGAIN}, by an address that answers with the file (on Hugging Face /resolve/, not "
            "/blob/)",
        )
    shown = quoted(" ".join(start.decode("utf-8", "replace").split())[:SHORT_TEXT])
    if start[:1] not in (b"{", b"["):
        raise Foreign(f"is text: {shown}", ANOTHER)
    found = _json(path, size)
    if isinstance(found, dict) and isinstance(found.get("weight_map"), dict):
        return Format.SHARDS
    if isinstance(found, dict) and found.keys() & {"model_type", "model_cfg", "embed_dim"}:
        raise Foreign("describes a model in JSON, and holds no weights", "give the file beside it")
    if isinstance(found, dict) and found.keys() & {"peft_type", "lora_alpha"}:
        raise Foreign("describes an adapter in JSON, and holds no weights", ANOTHER)
    raise Foreign(f"is text in JSON: {shown}", ANOTHER)


def _json(path: Path, size: int) -> Any:
    if size > LARGEST_INDEX:
        return None
    try:
        return from_json(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return None


def shards(path: Path) -> list[Path]:
    """Return the files that a list of shards names, all of which lie beside it."""
    index = _json(path, path.stat().st_size)
    named = sorted({str(name) for name in index["weight_map"].values()})
    outside = [name for name in named if Path(name).name != name or name in ("", ".", "..")]
    if outside:
        raise Foreign(f"lists the shard {quoted(outside[0])}, which is no name of a file", AGAIN)
    found = [path.with_name(name) for name in named]
    absent = [file.name for file in found if not file.is_file()]
    if absent:
        raise Foreign(
            f"lists shards that do not lie beside it, {len(absent)} of {len(found)}: "
            f"{listed(absent)}",
            "fetch them into the same folder",
        )
    return found
