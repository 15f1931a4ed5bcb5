"""What stored features depend on, as words that people can read; the key of a cache is their hash.

The number of threads is not among them: with 1 and 2 threads the mini-CLIP and ViT-B/16 (float32)
gave the same bits.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures

VERSION = 1
"""Of the frozen towers in model.py and tower.py: raise it with any change that reaches a bit of a
feature, so that features which were stored before are made anew."""

CHUNK = 64
"""Images encoded together."""

DIGITS = 20
"""Hexadecimal digits that a hash is cut to."""

Views = tuple[np.ndarray, np.ndarray]
"""(image rows [n], views [n]); view 0 is the centre crop."""


def recipe(
    clip: FrozenCLIP,
    kinds: tuple[ImageFeatures, ...],
    order: Views,
    dtype: torch.dtype,
    identity: str,
    made_by: str,
) -> dict[str, str]:
    """Return all that a stored feature depends on.

    identity: of the images. made_by: versions of what makes pixels of them.
    """
    rows = hashlib.sha256()
    for part in order:
        rows.update(np.ascontiguousarray(part).tobytes())
    return {
        "images": identity,
        "rows": f"{len(order[0])} {rows.hexdigest()[:DIGITS]}",
        "pixels": f"{clip.dims.image_size} {clip.mean} {clip.std}",
        "model": clip.image_hash()[:DIGITS],
        "features": " ".join(map(file_name, kinds)),
        "stored": str(dtype),
        "arithmetic": arithmetic(clip.text.dtype, clip.device),
        "device": device(clip.device),
        **versions(made_by),
    }


def versions(made_by: str) -> dict[str, str]:
    """Return the words that are the same for everything that this installation makes."""
    return {
        "made by": f"{made_by}, towers {VERSION} by {CHUNK} images",
        "torch": str(torch.__version__),
    }


def key(words: Mapping[str, str]) -> str:
    """Return the hash of all words."""
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:DIGITS]


def file_name(kind: ImageFeatures) -> str:
    """Return the name of the file that holds features of one kind."""
    if kind.start is None:
        named = ("patches", "tokens", "mirrored")
        return f"{next((name for name in named if getattr(kind, name)), 'final')}.bin"
    return f"{'entry' if kind.entry else 'fork'}{kind.start}.bin"


def arithmetic(dtype: torch.dtype, device: torch.device) -> str:
    """Say what products are computed in: TF32, where it is allowed, keeps 10 bits of float32."""
    backends: Any = torch.backends  # whose types know no convolutions
    if device.type == "cuda":
        products, convolutions = backends.cuda.matmul, backends.cudnn.conv
    else:
        products, convolutions = backends.mkldnn.matmul, backends.mkldnn.conv
    return f"{dtype}, matmul {products.fp32_precision}, conv {convolutions.fp32_precision}"


def device(device: torch.device) -> str:
    """Name what computes: other kernels round otherwise."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"
