"""The frozen CLIP as methods see it: image features of a declared kind, and their encoding."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pfedmma_dist.clip.block import Block, Norm
from pfedmma_dist.clip.dims import Dims
from pfedmma_dist.clip.embeddings import ImageEmbedding, TextEmbedding
from pfedmma_dist.clip.low_rank import Inside, nothing_inside
from pfedmma_dist.clip.prompted import Prompted, Prompts, unprompted
from pfedmma_dist.clip.tower import Branch, Tower

Tokenizer = Callable[[list[str]], Tensor]
"""Texts -> token ids [N, L] int64; a text too long for the model raises ValueError."""


@dataclass(frozen=True)
class ImageFeatures:
    """What a method reads of an image, and so what is cached of it."""

    start: int | None = None
    """None: the final unit vector [D]. Else the fork [2, T, W] at this block: the block's ln_1
    output and its output without a branch (see `tower.Tower.fork`)."""
    patches: bool = False
    """In place of the final vector, that of every patch [M, D]: all tokens but CLS, each through
    the final norm and the projection. Plain ViTs alone have them."""
    entry: bool = False
    """In place of the fork, what enters the block `start` [T, W]: all that stays frozen where parts
    inside that block are trained, or prompts are given to it."""
    tokens: bool = False
    """In place of the final vector, all tokens as they are embedded [T, W], before the norm in
    front of block 0: what is learned of them joins them there."""
    mirrored: bool = False
    """The final vector of the image with its left and right exchanged."""


FINAL = ImageFeatures()
PATCHES = ImageFeatures(patches=True)
TOKENS = ImageFeatures(tokens=True)
MIRRORED = ImageFeatures(mirrored=True)


@dataclass
class FrozenCLIP:
    """Both towers, the logit scale and the tokenizer. Nothing here is ever trained."""

    dims: Dims
    text: Tower
    embed_text: TextEmbedding
    image: Tower | None  # None where the image tower is not a plain ViT
    embed_image: ImageEmbedding | None
    image_module: torch.nn.Module | None
    """open_clip's own image tower, kept only where `image` is None."""
    scale: float
    """exp(logit_scale)."""
    tokenizer: Tokenizer
    mean: tuple[float, ...]
    std: tuple[float, ...]
    plain: bool = False
    """Run the plain form, without any shortcut: pixels in, all tokens of all blocks."""

    def __post_init__(self) -> None:
        if not self.plain:
            for tower in (self.image, self.text):
                if tower is not None:
                    tower.fold_quick_gelu()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embed_text.token.device

    @property
    def wide(self) -> torch.dtype:
        """Type of residual streams, unit vectors and logits: float32, or float64 in tests."""
        return self.embed_text.position.dtype

    def record_shape(self, kind: ImageFeatures) -> tuple[int, ...]:
        """Return the shape of one image's features."""
        if self.plain:
            return (3, self.dims.image_size, self.dims.image_size)
        if kind.patches:
            return (self.dims.vit.num_patches, self.dims.embed_dim)
        if kind.start is None and not kind.tokens:
            return (self.dims.embed_dim,)
        vit = self.dims.vit
        if kind.entry or kind.tokens:
            return (vit.num_patches + 1, vit.width)
        rows = 1 if kind.start == vit.blocks - 1 else vit.num_patches + 1
        return (2, rows, vit.width)

    def weights(self) -> Iterator[Tensor]:
        """Yield the tensors of both towers."""
        for tower in filter(None, (self.text, self.image)):
            yield from _tensors([tower.blocks, tower.final_norm, tower.projection])
        yield from _tensors([self.embed_text, self.embed_image])
        if self.image_module is not None:
            yield from self.image_module.parameters()

    def vit(self) -> tuple[Tower, ImageEmbedding]:
        """Return the image tower and its embedding; who asks has seen that it is a plain ViT."""
        assert self.image is not None and self.embed_image is not None
        return self.image, self.embed_image

    def image_hash(self) -> str:
        """Return a sha256 over the image side: weights, and how they are used."""
        if self.image_module is not None:
            return _hash(repr(self.image_module), self.image_module.state_dict().values())
        return _tower_hash(*self.vit())

    def text_hash(self) -> str:
        """Return a sha256 over the text side, and over the scale of the logits."""
        return _tower_hash(self.text, self.embed_text, f", scale {self.scale!r}")

    @torch.no_grad()
    def freeze(self, pixels: Tensor, kinds: tuple[ImageFeatures, ...]) -> list[Tensor]:
        """Map normalised pixels [N, 3, H, H] to the features of each kind [N, *record_shape].

        In the plain form the features are the pixels themselves.
        """
        pixels = pixels.to(self.device)
        if self.plain:
            return [pixels.flip(-1) if kind.mirrored else pixels for kind in kinds]
        if MIRRORED in kinds:
            [mirrored] = self.freeze(pixels.flip(-1), (FINAL,))
            others = iter(self.freeze(pixels, tuple(kind for kind in kinds if kind != MIRRORED)))
            return [mirrored if kind == MIRRORED else next(others) for kind in kinds]
        if self.image_module is not None:
            return [self._whole(pixels) for _ in kinds]
        tower, embed = self.vit()
        tokens, done = embed.tokens(pixels), 0
        found = {TOKENS: tokens} if TOKENS in kinds else {}
        x = embed.normed(tokens)
        inner = [(kind.start, kind) for kind in kinds if kind.start is not None]
        for start, kind in sorted(inner, key=lambda pair: (pair[0], not pair[1].entry)):
            x, done = tower.run(x, done, start), start
            if kind.entry:
                found[kind] = x
                continue
            h, out = tower.fork(x, start)
            rows = self.record_shape(kind)[1]
            found[kind] = torch.stack([h[:, :rows].to(out.dtype), out[:, :rows]], dim=1)
            x, done = out, start + 1
        if PATCHES in kinds:
            x, done = tower.run(x, done, tower.depth), tower.depth
            found[PATCHES] = tower.head(x[:, 1:])
        if FINAL in kinds:
            last = tower.depth - 1
            row = x[:, 0] if done > last else tower.last_row(tower.run(x, done, last))
            found[FINAL] = tower.head(row)
        return [found[kind] for kind in kinds]

    def encode_image(
        self,
        features: Tensor,
        kind: ImageFeatures,
        branch: Branch | None = None,
        inside: Inside = nothing_inside,
        prompts: Prompted = unprompted,
    ) -> Tensor:
        """Map features [N, *record_shape] of a kind to unit vectors, what is trained included.

        They are [N, D], or [N, M, D] of PATCHES. A fork is followed by branches beside blocks, an
        entry by terms inside them, or by prompts.
        """
        if self.plain:
            return self._encode_pixels(features, kind, branch, inside, prompts)
        start = 0 if kind.tokens else kind.start
        if start is None:
            return features.to(self.wide)
        tower, embed = self.vit()
        if kind.entry or kind.tokens:
            x = features.to(self.wide)
            x = embed.normed(x) if kind.tokens else x
            x = tower.run(x, start, tower.depth - 1, inside=inside, prompts=prompts)
            return tower.head(tower.last_row(x, inside=inside, prompts=prompts))
        x = features[:, 1].to(self.wide)
        if branch is not None:
            x = x + branch(start, features[:, 0].to(tower.dtype))
        if start == tower.depth - 1:
            return tower.head(x[:, 0])
        x = tower.run(x, start + 1, tower.depth - 1, branch)
        return tower.head(tower.last_row(x, branch))

    def image_tokens(self, features: Tensor) -> Tensor:
        """Return the tokens [N, T, W] of features of TOKENS [N, *record_shape]."""
        return self.vit()[1].tokens(features) if self.plain else features.to(self.wide)

    def image_prompts(self, vectors: Mapping[int, Tensor]) -> Prompts:
        """Return prompts of the image tower, behind its other tokens: block -> [G, k, W].

        Those of block 0 stand before the norm in front of it, as every token there does.
        """
        norm, vectors = self.vit()[1].ln_pre, dict(vectors)
        if 0 in vectors and norm is not None:
            vectors[0] = norm(vectors[0].to(self.wide))
        return Prompts(self.dims.vit.num_patches + 1, vectors)

    def _encode_pixels(
        self,
        pixels: Tensor,
        kind: ImageFeatures,
        branch: Branch | None,
        inside: Inside,
        prompts: Prompted,
    ) -> Tensor:
        if self.image_module is not None:
            return self._whole(pixels)
        tower, embed = self.vit()
        start = 0 if kind.tokens else tower.depth if kind.start is None else kind.start
        x = tower.run(embed(pixels), 0, start)
        x = tower.run(x, start, tower.depth, branch, None, inside, prompts)
        return tower.head(x[:, 1:] if kind.patches else x[:, 0])

    def _whole(self, pixels: Tensor) -> Tensor:
        """Return the unit vectors [N, D] that a tower which is no plain ViT makes of pixels."""
        assert self.image_module is not None
        features = self.image_module(pixels.to(self.text.dtype))
        return F.normalize(features.to(self.wide), dim=-1)


def _tower_hash(tower: Tower, embed: ImageEmbedding | TextEmbedding, more: str = "") -> str:
    activation = tower.activation.__name__
    form = f"{tower.num_heads} heads, eps {tower.final_norm.eps}, {activation}{more}"
    return _hash(form, _tensors([embed, tower.blocks, tower.final_norm, tower.projection]))


def _hash(form: str, weights: Iterable[Tensor]) -> str:
    digest = hashlib.sha256(form.encode())
    for weight in weights:
        flat = weight.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(part: object) -> Iterator[Tensor]:
    """Walk lists and dataclasses of weights."""
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, list | Block | Norm | ImageEmbedding | TextEmbedding):
        for inner in part if isinstance(part, list) else vars(part).values():
            yield from _tensors(inner)
