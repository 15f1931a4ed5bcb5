"""The two towers in training: the product's own `Tower` over weights that are still parameters.

Weights bear open_clip's state-dict names. Of the token embedding only the rows of the vocabulary
are kept, so that a step does not touch 49,408 of them; ids are positions among these rows.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pfedmma_dist.clip.block import Block, Norm
from pfedmma_dist.clip.freeze import OPENAI_MEAN, OPENAI_STD
from pfedmma_dist.clip.load import untrained
from pfedmma_dist.clip.tower import Tower

TOKENS = "token_embedding.weight"
EPS = 1e-5
"""Of open_clip's layer norms."""


@dataclass(frozen=True)
class Towers:
    """All weights of a CLIP with QuickGELU that pools at its class token and at EOT."""

    weights: dict[str, nn.Parameter]
    image_heads: int
    text_heads: int

    @classmethod
    def start(cls, model: Path, token_ids: np.ndarray, seed: int) -> "Towers":
        """Return the random start of a model file, with the rows of these token ids."""
        sizes = json.loads(model.read_text(encoding="utf-8"))
        vision, text = sizes["vision_cfg"], sizes["text_cfg"]
        state = untrained(str(model), seed).state_dict()
        state = {
            name: x for name, x in state.items() if x.is_floating_point() and name != "attn_mask"
        }
        state[TOKENS] = state[TOKENS][torch.from_numpy(token_ids).long()]
        weights = {name: nn.Parameter(x.detach().clone()) for name, x in state.items()}
        return cls(weights, vision["width"] // vision["head_width"], text["heads"])

    @property
    def scale(self) -> Tensor:
        """Return the factor of the logits."""
        return self.weights["logit_scale"].exp()

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Map pixels [N, S, S, 3] uint8 to unit vectors [N, D]."""
        mean, std = torch.tensor(OPENAI_MEAN), torch.tensor(OPENAI_STD)
        x = (pixels.float() / 255 - mean) / std
        kernel = self.weights["visual.conv1.weight"]
        side = kernel.shape[-1]
        x = x.unfold(1, side, side).unfold(2, side, side)  # [N, rows, columns, 3, side, side]
        x = F.linear(x.flatten(3).flatten(1, 2), kernel.flatten(1))
        first = self.weights["visual.class_embedding"].expand(len(x), 1, -1)
        x = torch.cat([first, x], dim=1) + self.weights["visual.positional_embedding"]
        tower = self._tower("visual.", self.image_heads, "visual.ln_post", "visual.proj")
        x = tower.run(self._norm("visual.ln_pre")(x), 0, tower.depth - 1)
        return tower.head(tower.last_row(x))

    def encode_text(self, ids: Tensor) -> Tensor:
        """Map texts [N, L] to unit vectors [N, D]; cut at the longest, as causal towers may be."""
        ends = ids.argmax(dim=1)  # EOT has the largest id
        length = int(ends.max()) + 1
        x = F.embedding(ids[:, :length], self.weights[TOKENS])
        x = x + self.weights["positional_embedding"][:length]
        tower = self._tower("", self.text_heads, "ln_final", "text_projection")
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        x = tower.run(x, 0, tower.depth, mask=mask)
        return tower.head(x[torch.arange(len(x)), ends])

    def _tower(self, side: str, num_heads: int, final: str, projection: str) -> Tower:
        """Return a tower through which gradients reach the weights."""
        stem = f"{side}transformer.resblocks."
        blocks: list[Block] = []
        while f"{stem}{len(blocks)}.ln_1.weight" in self.weights:
            blocks.append(self._block(f"{stem}{len(blocks)}."))
        tower = Tower(
            blocks,
            num_heads,
            self._norm(final),
            self.weights[projection],
            quick_gelu=True,
            dtype=torch.float32,
        )
        tower.fold_quick_gelu()
        return tower

    def _block(self, stem: str) -> Block:
        weights = self.weights
        return Block(
            ln_1=self._norm(f"{stem}ln_1"),
            qkv_weight=weights[f"{stem}attn.in_proj_weight"],
            qkv_bias=weights[f"{stem}attn.in_proj_bias"],
            out_weight=weights[f"{stem}attn.out_proj.weight"],
            out_bias=weights[f"{stem}attn.out_proj.bias"],
            ln_2=self._norm(f"{stem}ln_2"),
            fc_weight=weights[f"{stem}mlp.c_fc.weight"],
            fc_bias=weights[f"{stem}mlp.c_fc.bias"],
            proj_weight=weights[f"{stem}mlp.c_proj.weight"],
            proj_bias=weights[f"{stem}mlp.c_proj.bias"],
        )

    def _norm(self, name: str) -> Norm:
        return Norm(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], EPS)
