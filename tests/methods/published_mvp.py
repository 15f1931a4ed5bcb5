"""FedMVP once more, in float64: torch's layers, open_clip's towers, torch.optim."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = {
    "text": "text",
    "norm_asked": "norm",
    "norm_names": "norm_context",
    "out": "attention.out_proj",
    "norm_inner": "net.0",
    "up": "net.1",
    "down": "net.2",
}
TERMS = [f"{part}.{factor}" for part in ("query", "key", "value") for factor in "AB"]


class PublishedMVP(nn.Module):
    """The net beside a CLIP of open_clip: patches read attributes and become image tokens."""

    def __init__(self, module: nn.Module, attributes: Tensor, rank: int) -> None:
        """attributes: ids [C, a, L] of the texts of each class."""
        super().__init__()
        self.clip = deepcopy(module).double().requires_grad_(False)
        width = self.clip.visual.class_embedding.numel()
        vectors = self.clip.encode_text(attributes.flatten(0, 1), normalize=True)
        self.attributes = vectors.unflatten(0, attributes.shape[:2])
        self.text = nn.Linear(vectors.shape[1], width)
        self.norm, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.net = nn.ModuleList(
            [nn.LayerNorm(width), nn.Linear(width, 8 * width), nn.Linear(4 * width, width)]
        )
        self.terms = nn.ParameterDict(
            {
                name.replace(".", "_"): nn.Parameter(
                    0.1 * torch.randn((width, rank) if name.endswith("A") else (rank, width))
                )
                for name in TERMS
            }
        )
        self.double()

    def forward(self, pixels: Tensor, labels: Tensor, mirrored: bool) -> tuple[Tensor, Tensor]:
        """Return logits [B, C] and the loss."""
        visual, scale = self.clip.visual, self.clip.logit_scale.exp()
        x = visual.conv1(pixels).flatten(2).mT
        x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = x + visual.positional_embedding
        x = torch.cat([x, self.prompts(x[:, 1:])], dim=1)
        x = visual.ln_post(visual.transformer(visual.ln_pre(x))[:, 0]) @ visual.proj
        x = F.normalize(x, dim=1)
        logits = torch.stack([(scale * x @ own.T).mean(dim=1) for own in self.attributes], dim=1)
        seen = pixels[..., torch.arange(pixels.shape[3] - 1, -1, -1)] if mirrored else pixels
        apart = 1 - F.cosine_similarity(x, self.clip.encode_image(seen)).mean()
        return logits, F.cross_entropy(logits, labels) + 10 * apart

    def prompts(self, patches: Tensor) -> Tensor:
        """Return four tokens [B, 4, W] of patches [B, M, W]."""
        read = self.text(self.attributes.flatten(0, 1)).expand(len(patches), -1, -1)
        asked, key, value = (
            x + x @ self.terms[f"{part}_A"] @ self.terms[f"{part}_B"]
            for part, x in (("query", patches), ("key", read), ("value", read))
        )
        found, _ = self.attention(self.norm(asked), self.norm_context(key), value)
        norm, up, down = self.net
        inner, gates = up(norm(found)).chunk(2, dim=2)
        made = found + down(inner * F.gelu(gates))
        return nn.AdaptiveAvgPool1d(4)(made.mT).mT

    def own(self, grad: bool = False) -> dict[str, Tensor]:
        """Return what is trained, or its gradient, by our names."""
        named = {
            name: x.grad if grad else x.detach()
            for name, x in self.named_parameters()
            if not name.startswith("clip.")
        }
        found = {name: named[f"terms.{name.replace('.', '_')}"] for name in TERMS}
        for ours, theirs in LAYERS.items():
            found[ours], found[f"{ours}.bias"] = named[f"{theirs}.weight"], named[f"{theirs}.bias"]
        maps = named["attention.in_proj_weight"].chunk(3)
        found |= zip(("query", "key", "value"), maps, strict=True)
        found["attention.bias"] = named["attention.in_proj_bias"].view(3, -1)
        return {name: x.clone() for name, x in found.items()}


def recorded(
    model: PublishedMVP, pixels: Tensor, labels: Tensor, mirrored: bool, low_rank: bool, lr: float
) -> dict[str, object]:
    """Return logits, loss, gradient, and parameters after one and three steps, as golden files have
    them. low_rank: train the terms and the layer of the texts, else all but the terms."""
    arrays: dict[str, Tensor] = {}

    def record(prefix: str, values: dict[str, Tensor]) -> None:
        arrays.update({f"{prefix}/{name}": x for name, x in values.items()})

    record("init", model.own())
    trained = [
        x
        for name, x in model.named_parameters()
        if x.requires_grad and (name.startswith("text.") or name.startswith("terms.") == low_rank)
    ]
    optimiser = torch.optim.SGD(trained, lr=lr, momentum=0.9, weight_decay=5e-4)
    for step in range(1, 4):
        model.zero_grad()
        logits, loss = model(pixels, labels, mirrored)
        loss.backward()
        if step == 1:
            arrays |= {"logits": logits.detach(), "loss": loss.detach()}
            record("grad", model.own(grad=True))
        optimiser.step()
        record(f"step{step}", model.own())
    return {"lr": lr, **{name: x.float().numpy() for name, x in arrays.items()}}
