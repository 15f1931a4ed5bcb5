"""The tiny CLIP whose weights and words the golden vectors were recorded with."""

import functools

import open_clip
import torch
from tiny import golden

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.model import FrozenCLIP


class ReducedTokenizer:
    """CLIP's tokenizer with the 16 token ids of the golden inputs numbered from 0."""

    def __init__(self) -> None:
        self.ids = torch.from_numpy(golden("inputs")["vocab_ids"]).long()
        self.full = open_clip.SimpleTokenizer()

    def __call__(self, texts: list[str]) -> torch.Tensor:
        full = self.full(texts)
        reduced = torch.searchsorted(self.ids, full)
        assert torch.equal(self.ids[reduced], full)
        return reduced


@functools.cache
def module() -> torch.nn.Module:
    """Return the open_clip module that holds the golden weights."""
    arrays = golden("clip_tiny")
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in arrays.items() if k != "config"}
    made = open_clip.CLIP(
        embed_dim=state["text_projection"].shape[1],
        vision_cfg={
            "layers": 4,
            "width": 128,
            "head_width": 64,
            "patch_size": 8,
            "image_size": 32,
        },
        text_cfg={"context_length": 77, "vocab_size": 16, "width": 64, "heads": 1, "layers": 4},
        quick_gelu=True,
    )
    made.load_state_dict(state)
    return made.eval()


@functools.cache
def frozen(*, plain: bool = False) -> FrozenCLIP:
    """Return the golden CLIP, with every shortcut or in the plain form."""
    cpu = torch.device("cpu")
    return freeze(module(), ReducedTokenizer(), cpu, torch.float32, plain=plain)
