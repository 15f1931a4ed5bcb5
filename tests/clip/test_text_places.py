"""Vectors around, and behind, the names, and tokens of each class, against whole sequences."""

import pytest
import torch
import torch.nn.functional as F
from slow_form import DEPTH, EOT, LENGTH, assert_same, oracle, random_clip
from test_text import TEMPLATE, WIDTH, check, context_of, ids_of, names, plain
from torch import Tensor

from pfedmma_dist.clip.forms import class_text

__all__ = ["names", "plain"]  # fixtures
HOLDERS = ("a", "a X", "a X X")
"""Names that go on as the places of the vectors behind them do."""


def written_out(
    pool: str,
    dtype: torch.dtype,
    names: tuple[str, ...],
    context: Tensor,  # [n, W]
    before: int,
    tokens: Tensor | None = None,  # [C, n, W] from block `start` on
    start: int = 0,
) -> Tensor:
    """Return unit vectors [C, D] of sequences put together vector by vector."""
    module, rows = oracle(dtype, pool), []
    text = getattr(module, "text", module)
    for index, name in enumerate(names):
        ids = ids_of([f"{name} ."], pool)[0]
        end = int((ids == EOT[pool]).nonzero()[0])
        e = text.token_embedding(ids)
        parts = [e[:1], context[:before], e[1 : end - 1], context[before:], e[end - 1 :]]
        x = torch.cat(parts)[:LENGTH] + text.positional_embedding
        for block, layer in enumerate(text.transformer.resblocks):
            if tokens is not None and block == start:
                x = torch.cat([x[:1], tokens[index], x[1 + len(context) :]])
            x = layer(x[None], attn_mask=text.attn_mask)[0]
        rows.append(text.ln_final(x)[end + len(context)] @ text.text_projection)
    return F.normalize(torch.stack(rows), dim=-1)


@pytest.mark.pairwise
@pytest.mark.parametrize("before", [0, 1, 3])
def test_context_around_names_equals_whole_sequences(
    dtype: torch.dtype, pool: str, names: tuple[str, ...], before: int, plain: bool
) -> None:
    context = context_of(2, 3, dtype)
    text = class_text(random_clip(dtype, pool, plain=plain), names, TEMPLATE)
    expected = torch.stack([written_out(pool, dtype, names, own, before) for own in context])
    check(text.with_context(context, before), expected, [context])


def test_names_that_look_like_places_share_no_vector(plain: bool) -> None:
    context = context_of(2, 3, torch.float64)
    text = class_text(random_clip(torch.float64, plain=plain), HOLDERS, TEMPLATE)
    each = [written_out("argmax", torch.float64, HOLDERS, own, 0) for own in context]
    check(text.with_context(context, 0), torch.stack(each), [context])


def test_context_without_a_name_is_that_of_an_empty_one(
    dtype: torch.dtype, pool: str, plain: bool
) -> None:
    context = context_of(2, 3, dtype)
    text = class_text(random_clip(dtype, pool, plain=plain), ("cat", "dog"), TEMPLATE)
    expected = torch.cat([written_out(pool, dtype, ("",), own, 3) for own in context])
    check(text.without_name(context), expected, [context])


@pytest.mark.pairwise
@pytest.mark.parametrize("start", [1, 2, DEPTH - 1])
def test_tokens_of_each_class_equal_whole_sequences(
    dtype: torch.dtype, pool: str, names: tuple[str, ...], start: int, plain: bool
) -> None:
    context = context_of(2, 3, dtype)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, len(names), 3, WIDTH, generator=generator).to(dtype).requires_grad_()
    text = class_text(random_clip(dtype, pool, plain=plain), names, TEMPLATE)
    expected = torch.stack(
        [
            written_out(pool, dtype, names, own, 3, of_class, start)
            for own, of_class in zip(context, tokens, strict=True)
        ]
    )
    check(text.with_class_tokens(context, tokens, start), expected, [context, tokens])


def test_vectors_behind_names_are_not_those_before_them() -> None:
    context = context_of(1, 3, torch.float64)
    text = class_text(random_clip(torch.float64), ("cat", "yin yang"), TEMPLATE)
    found = [text.with_context(context, before).detach() for before in (0, 1, 3)]
    assert min(float((a - b).abs().max()) for a in found for b in found if a is not b) > 1e-3
    assert_same(text.with_context(context).detach(), found[-1])
