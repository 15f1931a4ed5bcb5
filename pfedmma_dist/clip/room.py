"""Room: the words where a device's memory runs out, and what frozen towers take of it."""

import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.recipe import CHUNK
from pfedmma_dist.clip.storage import GIB

MIB = GIB / 1024


class OutOfRoom(ValueError):
    """A device has no memory left; names the keys that decide, and about how much each takes."""


@dataclass(frozen=True)
class Need:
    """What takes memory, under which key, and a value of it that takes less."""

    key: str
    value: object
    what: str  # takes it
    num_bytes: float  # nan: more than can be counted on this device
    less: object = None  # None: there is none

    def __str__(self) -> str:
        known = not math.isnan(self.num_bytes)
        size = f"about {self.num_bytes / MIB:,.0f} MiB" if known else "more than there is"
        return f"{self.key}={self.value}: {size} {self.what}"


@contextmanager
def within_room(
    device: torch.device, doing: str, needs: Callable[[], Sequence[Need]], also: str = ""
) -> Iterator[None]:
    """Raise OutOfRoom where the memory runs out.

    needs: what takes the memory, in the order in which its keys are to be changed; asked for once
    all that was under way has let go of its own. also: what else helps.
    """
    try:
        yield
        return
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # they hold the tensors of the step
    raise OutOfRoom(_words(device, doing, list(needs()), also)) from None


def _words(device: torch.device, doing: str, needs: list[Need], also: str) -> str:
    smaller = [f"{need.key}={need.less}" for need in needs if need.less is not None]
    advice = [f"set {' or '.join(smaller)} and another run.folder"] if smaller else []
    advice += [also] if also else []
    advice.append("make room on the device: what was saved is kept, and the same command goes on")
    key = next((need.key for need in needs if need.less is not None), needs[0].key)
    words = f"{key}: {_size(device)} has no room for {doing} ({'; '.join(map(str, needs))})"
    return f"{words}; {', or '.join(advice)}"


def _size(device: torch.device) -> str:
    """Name a device, with its memory and what others hold of it."""
    if device.type != "cuda":
        return str(device)
    free, total = torch.cuda.mem_get_info(device)
    others = total - free - torch.cuda.memory_reserved(device)
    return f"{device}, of {total / MIB:,.0f} MiB and {others / MIB:,.0f} of these held by others,"


def weights(module: nn.Module, dtype: torch.dtype) -> Need:
    """Return what weights take that are still to be copied to a device."""
    return _in_dtype(
        dtype, "for the weights", dtype.itemsize * sum(map(Tensor.numel, module.parameters()))
    )


def towers(clip: FrozenCLIP) -> Need:
    """Return what the weights take."""
    num_bytes = sum(x.numel() * x.element_size() for x in clip.weights())
    return _in_dtype(clip.text.dtype, "for the weights", num_bytes)


def chunk(clip: FrozenCLIP, kinds: Sequence[ImageFeatures]) -> Need:
    """Return what encoding images takes, beside the weights."""
    num_bytes = CHUNK * max(image_bytes(clip, kind) for kind in kinds)
    what = f"for {CHUNK} images that are encoded together"
    return _in_dtype(clip.text.dtype, what, num_bytes)


def image_bytes(clip: FrozenCLIP, kind: ImageFeatures) -> float:
    """Estimate what an image takes on its way through the blocks: its features as they are read and
    as they are widened, and what one block holds."""
    numbers = math.prod(clip.record_shape(kind))
    return numbers * (clip.text.dtype.itemsize + clip.wide.itemsize) + block_bytes(clip, kind)


def block_bytes(clip: FrozenCLIP, kind: ImageFeatures) -> float:
    """Estimate what a block holds of an image as it runs, beside what it keeps; 0 where features of
    this kind pass none."""
    if clip.image is None or (kind.start is None and not (kind.tokens or clip.plain)):
        return 0
    # its input and output; queries, keys, values, their mix and the hidden units
    per_number = 2 * clip.wide.itemsize + 8 * clip.image.dtype.itemsize
    return (clip.dims.vit.num_patches + 1) * clip.image.width * per_number


def _in_dtype(dtype: torch.dtype, what: str, num_bytes: float) -> Need:
    narrower = "bfloat16" if dtype.itemsize > 2 else None
    return Need("clip.dtype", str(dtype).removeprefix("torch."), what, num_bytes, narrower)
