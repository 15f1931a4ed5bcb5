"""A random CLIP, and its forward pass with a trained branch as open_clip's own blocks do it."""

import functools
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.model import FrozenCLIP

SIDE, LENGTH, VOCABULARY, DEPTH = 12, 16, 64, 4
LIMITS = {torch.float64: 1e-10, torch.float32: 2e-5}
EOT = {"argmax": VOCABULARY - 1, "eos": 2}

VISION = {"layers": DEPTH, "width": 32, "head_width": 16, "patch_size": 4, "image_size": SIDE}
TEXT = {"layers": DEPTH, "width": 24, "heads": 3, "context_length": LENGTH}
TEXT |= {"vocab_size": VOCABULARY, "eos_id": EOT["eos"]}

Branch = Callable[[int, Tensor], Tensor]


@functools.cache
def random_module(pool: str = "argmax", quick_gelu: bool = True) -> nn.Module:
    """Return an open_clip CLIP, every bias and every norm away from its neutral value."""
    kind = open_clip.CustomTextCLIP if pool == "eos" else open_clip.CLIP
    module = kind(20, VISION, {**TEXT, "pool_type": pool}, quick_gelu=quick_gelu)
    module.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, x in module.named_parameters():
        noise = torch.randn(x.shape, generator=generator)
        if name.endswith(("embedding", "embedding.weight")):
            x.copy_(noise / 2)
        elif x.ndim == 1:
            x.copy_(0.3 * noise + (1 if "ln_" in name and name.endswith("weight") else 0))
        elif x.ndim > 1:
            x.copy_(1.5 * noise * x[0].numel() ** -0.5)
    return module


@dataclass(frozen=True)
class Words:
    """A tokenizer of one id per word; the end of a text need not have the largest id."""

    eot: int

    def __call__(self, texts: list[str]) -> Tensor:
        ids = torch.zeros(len(texts), LENGTH, dtype=torch.int64)
        for own, text in zip(ids, texts, strict=True):
            words = text.replace(".", " .").split()
            words = [3 + zlib.crc32(word.encode()) % (VOCABULARY - 4) for word in words]
            own[: len(words) + 2] = torch.tensor([1, *words, self.eot])
        return ids


@functools.cache
def random_clip(
    dtype: torch.dtype, pool: str = "argmax", quick_gelu: bool = True, *, plain: bool = False
) -> FrozenCLIP:
    """Return the frozen form of `random_module`."""
    module = random_module(pool, quick_gelu)
    return freeze(module, Words(EOT[pool]), torch.device("cpu"), dtype, plain=plain)


@functools.cache
def oracle(dtype: torch.dtype, pool: str = "argmax", quick_gelu: bool = True) -> nn.Module:
    """Return open_clip's module itself, in another precision."""
    return deepcopy(random_module(pool, quick_gelu)).to(dtype)


@dataclass(frozen=True)
class Adapters:
    """Trained parts beside every block, one set per client; a token's output is its own affair."""

    down: Tensor  # [DEPTH, G, W, 5]
    up: Tensor  # [DEPTH, G, 5, W]

    @classmethod
    def random(cls, num_clients: int, width: int, dtype: torch.dtype) -> "Adapters":
        generator = torch.Generator().manual_seed(num_clients)
        down = torch.randn(DEPTH, num_clients, width, 5, generator=generator) / 5
        up = torch.randn(DEPTH, num_clients, 5, width, generator=generator) / 5
        return cls(down.to(dtype).requires_grad_(), up.to(dtype).requires_grad_())

    @property
    def leaves(self) -> list[Tensor]:
        return [self.down, self.up]

    def of(self, client: int) -> "Adapters":
        return Adapters(self.down[:, client : client + 1], self.up[:, client : client + 1])

    def __call__(self, block: int, h: Tensor) -> Tensor:
        x = h.reshape(self.down.shape[1], -1, h.shape[-1])
        x = torch.tanh(x @ self.down[block].to(h.dtype)) @ self.up[block].to(h.dtype)
        return x.view(h.shape)


def slow_blocks(
    transformer: nn.Module,
    x: Tensor,
    branch: Branch | None = None,
    start: int = 0,
    mask: Tensor | None = None,
) -> Tensor:
    """Run all blocks on all tokens, a branch beside blocks start .. DEPTH - 1."""
    for index, block in enumerate(transformer.resblocks):
        out = block(x, attn_mask=mask)
        if branch is not None and index >= start:
            out = out + branch(index, block.ln_1(x))
        x = out
    return x


def slow_image(module: nn.Module, pixels: Tensor, branch: Branch | None, start: int) -> Tensor:
    """Return unit vectors [N, D]."""
    visual = module.visual
    x = slow_blocks(visual.transformer, visual._embeds(pixels), branch, start)
    return F.normalize(visual.ln_post(x)[:, 0] @ visual.proj, dim=-1)


def slow_text(
    module: nn.Module,
    ids: Tensor,
    eot: int,
    branch: Branch | None = None,
    start: int = 0,
    context: Tensor | None = None,
) -> Tensor:
    """Return unit vectors [C, D]; context [n, W] takes the place of tokens 1 .. n."""
    text = getattr(module, "text", module)
    x = text.token_embedding(ids)
    if context is not None:
        inserted = context.expand(len(ids), -1, -1)
        x = torch.cat([x[:, :1], inserted, x[:, 1 + len(context) :]], dim=1)
    x = x + text.positional_embedding
    x = text.ln_final(slow_blocks(text.transformer, x, branch, start, text.attn_mask))
    pooled = x[(ids == eot).nonzero(as_tuple=True)]
    return F.normalize(pooled @ text.text_projection, dim=-1)


def gradients(out: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Return the gradients of a fixed random functional of `out`."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(out.shape, generator=generator).to(out.dtype)
    return list(torch.autograd.grad((out * weight).sum(), leaves))


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Compare within 1e-10 in float64 and 2e-5 in float32, of the largest entry where above 1."""
    limit = LIMITS[expected.dtype] * max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(actual, expected, atol=limit, rtol=0)
