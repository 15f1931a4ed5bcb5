"""Write a CLIP that knows few words: of its token embedding, the rows of those words alone."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pfedmma_dist.clip.weights import TOKEN_IDS

TOKENS = "token_embedding.weight"


def save(path: Path, state: dict[str, Tensor], ids: Tensor) -> None:
    """Write a state dict of open_clip's CLIP with the rows of some tokens, in half precision.

    ids: those of the tokens [n], ascending. state: its token embedding has the rows of all tokens,
    or of these n alone. `load.load` reads the file like any other.
    """
    rows = state[TOKENS]
    kept = {**state, TOKENS: rows if len(rows) == len(ids) else rows[ids]}
    kept = {key: x.detach().cpu().half().contiguous() for key, x in kept.items()}
    part = path.with_name(f"{path.name}.part")
    save_file({**kept, TOKEN_IDS: ids.to("cpu", torch.int32).contiguous()}, part)
    part.replace(path)
