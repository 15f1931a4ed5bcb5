"""Put a state dict into a module of open_clip, or say why it does not fit."""

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pfedmma_dist.clip import foreign
from pfedmma_dist.clip.hugging_face import Told
from pfedmma_dist.spelling import quoted

log = logging.getLogger(__name__)

TEXT_SIDE = (
    "text_projection",
    "positional_embedding",
    "token_embedding",
    "transformer",
    "ln_final",
)
"""Beginnings of the names that stand below `text.` where the text tower is a module of its own."""
SCALE = "logit_scale"
POSITIONS = "positional_embedding"
OF_IMAGES = f"visual.{POSITIONS}"


class Misfit(ValueError):
    """Say what keeps weights out of a model (completes "it ..."), and what to do if known."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


def fill(module: nn.Module, state: Mapping[str, Tensor], told: Told, source: object) -> None:
    """Give a module, which may be on the meta device, the tensors of a state dict.

    Position embeddings of another image size or context length are resized, as open_clip does, with
    a warning. source: names the weights there. Raises Misfit.
    """
    wanted = {name: tuple(x.shape) for name, x in module.state_dict().items()}
    state = dict(state)
    if "text.token_embedding.weight" in wanted and POSITIONS in state:
        state = {f"text.{k}" if k.startswith(TEXT_SIDE) else k: x for k, x in state.items()}
    if SCALE in state and state[SCALE].numel() == 1:  # some store it as a vector of one
        state[SCALE] = state[SCALE].reshape(wanted[SCALE])
    _need_names(wanted, state)
    _resize(module, wanted, state, source)
    _need_shapes(wanted, state)
    _need_heads(module, told)
    module.load_state_dict(state, assign=True)


def grid_resized(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """Return position embeddings [1 + n * n, W], the class token's first, for another grid."""
    side = math.isqrt(len(x) - 1)
    grid = x[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=sides, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([x[:1], grid[0].flatten(1).t()])


def length_resized(x: Tensor, length: int) -> Tensor:
    """Return position embeddings [L, W] of another number of tokens."""
    line = F.interpolate(x.t()[None], size=length, mode="linear", align_corners=False)
    return line[0].t()


def _need_names(wanted: Iterable[str], state: Mapping[str, Tensor]) -> None:
    wanted = list(wanted)
    missing = [name for name in wanted if name not in state]
    own = set(wanted)
    more = [name for name in state if name not in own]
    if not missing and not more:
        return
    told = foreign.explained(state, wanted)
    if told is None and len(missing) == len(wanted):
        told = foreign.unknown(state)
    if told is not None:
        raise Misfit(*told)
    words = []
    if missing:
        words.append(f"lacks {len(missing):,} of the model's, the first {quoted(missing[0])}")
    if more:
        words.append(f"has {len(more):,} that the model has not, the first {quoted(more[0])}")
    raise Misfit(f"holds other tensors: it {' and '.join(words)}")


def _resize(
    module: nn.Module,
    wanted: Mapping[str, tuple[int, ...]],
    state: dict[str, Tensor],
    source: object,
) -> None:
    """Resize position embeddings where the patches are of one size, and nothing else differs."""
    texts = f"text.{POSITIONS}" if f"text.{POSITIONS}" in wanted else POSITIONS
    others = {name for name in wanted if state[name].shape != wanted[name]} - {OF_IMAGES, texts}
    sides = getattr(module.visual, "grid_size", None)
    if others:
        return
    said = (
        "clip.pretrained: position embeddings of %s are resized from %s to %s, as clip.model asks"
    )
    x = state.get(OF_IMAGES)
    if x is not None and sides is not None and _differs_in_length(x, wanted[OF_IMAGES]):
        side = math.isqrt(len(x) - 1)
        if side * side == len(x) - 1 > 0:
            state[OF_IMAGES] = grid_resized(x, tuple(sides))
            log.warning(said, source, f"{side}x{side} patches", f"{sides[0]}x{sides[1]}")
    x = state[texts]
    if _differs_in_length(x, wanted[texts]) and len(x) > 0:
        state[texts] = length_resized(x, wanted[texts][0])
        log.warning(said, source, f"{len(x)} tokens", str(wanted[texts][0]))


def _differs_in_length(x: Tensor, shape: tuple[int, ...]) -> bool:
    return x.ndim == 2 and x.shape[1] == shape[1] and x.shape[0] != shape[0]


def _need_shapes(wanted: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> None:
    for name, shape in wanted.items():
        if state[name].shape != shape:
            found = tuple(state[name].shape)
            raise Misfit(f"has {quoted(name)} of shape {found}, and the model {tuple(shape)}")
        if not state[name].is_floating_point() and not name.endswith("num_batches_tracked"):
            kind = str(state[name].dtype).removeprefix("torch.")
            raise Misfit(
                f"has {quoted(name)} in {kind}, which is quantized or cut",
                "give weights in float32, float16 or bfloat16",
            )


def _need_heads(module: Any, told: Told) -> None:
    """Refuse weights that were trained with another number of heads, which no shape shows."""
    if told.heads is None:
        return
    text = getattr(module, "text", module).transformer.resblocks[0].attn.num_heads
    blocks = getattr(getattr(module.visual, "transformer", None), "resblocks", None)
    image = blocks[0].attn.num_heads if blocks else told.heads[1]
    if told.heads != (text, image):
        raise Misfit(
            f"was trained with {told.heads[0]} heads in the text and {told.heads[1]} in the image "
            f"tower, as config.json beside it says, and the model has {text} and {image}",
            "describe it by a .json in clip.model",
        )
