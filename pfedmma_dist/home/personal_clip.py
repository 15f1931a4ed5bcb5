"""One client's own CLIP over a model of open_clip; needs torch, safetensors, numpy and Pillow.

    model = load(FOLDER, clip)                     # clip: the open_clip model that README.md names
    logits = model(preprocess(Image.open("cat.jpg"), model.told)[None])
    print(model.told["class_names"][logits.argmax()])

What is the client's own lies in personal.safetensors: class vectors, tokens that are given to
blocks of the image tower, adapters beside its blocks, what changes the image's vector or votes on
it, or a context that is shifted by the image and runs through the text tower with every class.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn


class PersonalCLIP(nn.Module):
    """Images [B, 3, H, H] to logits [B, C]."""

    def __init__(self, clip: Any, own: dict[str, Tensor], told: dict[str, Any]) -> None:
        super().__init__()
        self.clip: Any = clip
        self.visual: Any = clip.visual
        self.told = told
        self.own = nn.ParameterDict({name: nn.Parameter(x, False) for name, x in own.items()})
        self.changes_tower = any(name.startswith(("tokens_", "up_")) for name in own)

    def forward(self, images: Tensor) -> Tensor:
        own, told, scale = self.own, self.told, self.told["scale"]
        seen = self._encoded(images) if self.changes_tower else self.visual(images)[None]
        x = F.normalize(seen, dim=-1)  # [N, B, D] of N groups of tokens, mostly one
        if told["answer"] == "texts":
            return scale * torch.stack([self._texts(row) @ row for row in x[0]])
        if told["answer"] == "gate":
            h = F.linear(told["feature_norm"] * x, own["first"], own["first_bias"]).tanh()
            weights = F.linear(h, own["second"], own["second_bias"]).softmax(dim=-1)
            x = F.normalize(weights * x, dim=-1)
        if told["answer"] == "adapter":
            h = F.linear(F.linear(x, own["first"]).relu(), own["second"]).relu()
            x = F.normalize(told["ratio"] * h + (1 - told["ratio"]) * x, dim=-1)
        logits = (scale * x @ own["classes"].mT).mean(dim=0)  # classes: [C, D] or [N, C, D]
        if told["answer"] == "votes":
            near = torch.exp(-told["beta"] * (1 - x[0] @ own["kept"].mT))
            logits = logits + told["alpha"] * near @ own["votes"]
        return logits + own["bias"] if "bias" in own else logits

    def _texts(self, x: Tensor) -> Tensor:
        """Return the class vectors [C, D] that an image's vector [D] asks for."""
        own = self.own
        h = F.linear(x, own["net_down"], own["net_down_bias"]).relu()
        context = own["context"] + F.linear(h, own["net_up"], own["net_up_bias"])  # [n, W]

        def spoken(module: nn.Module, ids: Any, words: Tensor) -> Tensor:
            own = context.expand(len(words), -1, -1)
            return torch.cat([words[:, :1], own, words[:, 1 + len(context) :]], dim=1)

        embedding = getattr(self.clip, "text", self.clip).token_embedding
        hook = embedding.register_forward_hook(spoken)
        try:
            return F.normalize(self.clip.encode_text(own["ids"]), dim=-1)
        finally:
            hook.remove()

    def _encoded(self, images: Tensor) -> Tensor:
        """Run the image tower with what is the client's own: [N, B, D]."""
        visual = self.visual
        patches = visual.conv1(images).flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(images), 1, -1)
        x = torch.cat([first, patches], dim=1) + visual.positional_embedding
        tokens = [own for name, own in self.own.items() if name.startswith("tokens_")]
        groups = range(len(tokens[0]) if tokens else 1)
        rows = torch.stack([self._through_blocks(x, group) for group in groups])
        rows = visual.ln_post(rows)
        return rows if visual.proj is None else rows @ visual.proj

    def _through_blocks(self, x: Tensor, group: int) -> Tensor:
        """Return what the last block leaves of CLS [B, W]."""
        length = x.shape[1]
        x = self.visual.ln_pre(self._with_tokens(x, 0, group, length))
        for index, block in enumerate(self.visual.transformer.resblocks):
            if index:
                x = self._with_tokens(x, index, group, length)
            h = block.ln_1(x)
            out = x + self._attended(block.attn, h)
            out = out + block.mlp(block.ln_2(out))
            x = out + self._adapted(h, index) if f"up_{index}" in self.own else out
        return x[:, 0]

    def _with_tokens(self, x: Tensor, block: int, group: int, length: int) -> Tensor:
        """Put the tokens of a block behind the patches, in place of those of the block below."""
        if f"tokens_{block}" not in self.own:
            return x
        tokens = self.own[f"tokens_{block}"][group].expand(len(x), -1, -1)
        return torch.cat([x[:, :length], tokens], dim=1)

    def _attended(self, attention: nn.MultiheadAttention, h: Tensor) -> Tensor:
        if attention.batch_first:
            return attention(h, h, h, need_weights=False)[0]
        h = h.transpose(0, 1)
        return attention(h, h, h, need_weights=False)[0].transpose(0, 1)

    def _adapted(self, h: Tensor, block: int) -> Tensor:
        """Return what an adapter makes of its block's ln_1 output."""
        for name in ("down", "mix", "up"):
            bias = self.own.get(f"{name}_{block}_bias", None)
            h = F.linear(h, self.own[f"{name}_{block}"], bias)
            h = h if name == "up" else torch.relu(h)
        return self.told["alpha"] * h


def load(folder: str | Path, clip: Any) -> PersonalCLIP:
    """Return the model of an exported folder; its towers are filled where the folder has them."""
    from safetensors.torch import load_file

    folder = Path(folder)
    told = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    for name, part in (("image_tower", clip.visual), ("clip", clip)):
        if (folder / f"{name}.safetensors").exists():
            part.load_state_dict(load_file(folder / f"{name}.safetensors"))
    own = load_file(folder / "personal.safetensors")
    return PersonalCLIP(clip.eval(), own, told).eval().requires_grad_(False)


def preprocess(image: Image.Image, told: dict[str, Any]) -> Tensor:
    """Return pixels [3, H, H]: shorter side scaled, centre cropped, normalised."""
    size, width, height = told["image"]["size"], *image.size
    wide, high = (size, int(size * height / width))
    if width > height:
        wide, high = (int(size * width / height), size)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    image = image.convert("RGB").resize((wide, high), Image.Resampling.BICUBIC)
    pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float32) / 255
    pixels = (pixels - np.float32(told["image"]["mean"])) / np.float32(told["image"]["std"])
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
