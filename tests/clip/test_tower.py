"""Each shortcut of a tower alone, against open_clip's own blocks."""

import pytest
import torch
import torch.nn.functional as F
from slow_form import (
    DEPTH,
    Adapters,
    assert_same,
    gradients,
    oracle,
    random_clip,
    random_module,
    slow_blocks,
)
from torch import Tensor, nn

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.tower import Tower

NUM, TOKENS, WIDTH = 3, 7, 32


def stream(dtype: torch.dtype) -> Tensor:
    """Return a random residual stream that wants a gradient."""
    x = torch.randn(NUM, TOKENS, WIDTH, generator=torch.Generator().manual_seed(5))
    return x.to(dtype).requires_grad_()


def plain_tower(dtype: torch.dtype, quick_gelu: bool = True) -> Tower:
    return random_clip(dtype, quick_gelu=quick_gelu, plain=True).image


def blocks_of(dtype: torch.dtype, quick_gelu: bool = True) -> nn.Module:
    return oracle(dtype, quick_gelu=quick_gelu).visual.transformer


def random_mask() -> Tensor:
    """Return whether a token reads another; every token reads itself."""
    mask = torch.rand(TOKENS, TOKENS, generator=torch.Generator().manual_seed(1)) < 0.5
    return mask | torch.eye(TOKENS, dtype=torch.bool)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the mask as open_clip's attention takes it."""
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, float("-inf"))


@pytest.mark.parametrize("masked", [False, True])
def test_run_equals_open_clips_blocks(dtype: torch.dtype, quick_gelu: bool, masked: bool) -> None:
    x, mask = stream(dtype), random_mask() if masked else None
    out = plain_tower(dtype, quick_gelu).run(x, 0, DEPTH, mask=mask)
    theirs = additive(mask, dtype) if masked else None
    expected = slow_blocks(blocks_of(dtype, quick_gelu), x, mask=theirs)
    assert_same(out, expected)
    assert_same(*gradients(out, [x]), *gradients(expected, [x]))


@pytest.mark.parametrize("start", range(DEPTH))
def test_branch_reads_ln_1_and_is_added_to_the_output(dtype: torch.dtype, start: int) -> None:
    x, adapters = stream(dtype), Adapters.random(1, WIDTH, dtype)
    tower = plain_tower(dtype)
    out = tower.run(tower.run(x, 0, start), start, DEPTH, adapters)
    expected = slow_blocks(blocks_of(dtype), x, adapters, start)
    assert_same(out, expected)
    for own, theirs in zip(
        gradients(out, adapters.leaves), gradients(expected, adapters.leaves), strict=True
    ):
        assert_same(own, theirs)


def test_folded_quick_gelu_equals_the_written_one(dtype: torch.dtype) -> None:
    x, tower = stream(dtype), random_clip(dtype).image
    assert tower.activation is F.silu
    out, expected = tower.run(x, 0, DEPTH), slow_blocks(blocks_of(dtype), x)
    assert_same(out, expected)
    assert_same(*gradients(out, [x]), *gradients(expected, [x]))


def test_folding_twice_folds_once() -> None:
    tower = freeze(random_module(), len, torch.device("cpu"), torch.float32).image
    before = tower.blocks[0].fc_weight
    tower.fold_quick_gelu()
    assert tower.blocks[0].fc_weight is before


def test_gelu_is_not_folded() -> None:
    tower = random_clip(torch.float32, quick_gelu=False).image
    assert tower.activation is F.gelu
    assert torch.equal(
        tower.blocks[0].fc_weight, plain_tower(torch.float32, False).blocks[0].fc_weight
    )


@pytest.mark.parametrize("index", range(DEPTH))
def test_fork_is_ln_1_and_the_frozen_block(dtype: torch.dtype, index: int) -> None:
    x, block = stream(dtype), blocks_of(dtype).resblocks[index]
    h, out = random_clip(dtype).image.fork(x, index)
    assert_same(h, block.ln_1(x))
    assert_same(out, block(x))


@pytest.mark.parametrize("trained", [False, True])
def test_last_row_equals_token_0_of_the_whole_block(
    dtype: torch.dtype, quick_gelu: bool, trained: bool
) -> None:
    x, tower = stream(dtype), random_clip(dtype, quick_gelu=quick_gelu).image
    branch = Adapters.random(1, WIDTH, dtype) if trained else None
    leaves = [x, *(branch.leaves if trained else [])]
    block = blocks_of(dtype, quick_gelu).resblocks[-1]
    out, expected = tower.last_row(x, branch), block(x)[:, 0]
    if trained:
        expected = expected + branch(DEPTH - 1, block.ln_1(x))[:, 0]
    assert_same(out, expected)
    for own, theirs in zip(gradients(out, leaves), gradients(expected, leaves), strict=True):
        assert_same(own, theirs)


@pytest.mark.parametrize("rows", [[0], [TOKENS - 1], [4, 1, 1], list(range(TOKENS))])
@pytest.mark.parametrize("masked", [False, True])
def test_last_rows_equal_the_whole_block(dtype: torch.dtype, rows: list[int], masked: bool) -> None:
    x, tower, adapters = stream(dtype), random_clip(dtype).image, Adapters.random(1, WIDTH, dtype)
    mask = random_mask() if masked else None
    block = blocks_of(dtype).resblocks[-1]
    out = tower.last_rows(x, torch.tensor(rows), adapters, mask[rows] if masked else None)
    expected = block(x, attn_mask=additive(mask, dtype) if masked else None)
    expected = (expected + adapters(DEPTH - 1, block.ln_1(x)))[:, rows]
    assert_same(out, expected)
    leaves = [x, *adapters.leaves]
    for own, theirs in zip(gradients(out, leaves), gradients(expected, leaves), strict=True):
        assert_same(own, theirs)


def test_head_gives_unit_vectors(dtype: torch.dtype) -> None:
    x, visual = stream(dtype), oracle(dtype).visual
    expected = F.normalize(visual.ln_post(x) @ visual.proj, dim=-1)
    assert_same(random_clip(dtype).image.head(x), expected)


def test_bfloat16_stays_within_3_percent_and_keeps_a_float32_stream() -> None:
    x = stream(torch.float32).detach()
    wide, narrow = random_clip(torch.float32).image, random_clip(torch.bfloat16).image
    for out, expected in [
        (narrow.run(x, 0, DEPTH), wide.run(x, 0, DEPTH)),
        (narrow.last_row(x), wide.last_row(x)),
        (narrow.last_rows(x, torch.arange(2)), wide.last_rows(x, torch.arange(2))),
    ]:
        assert out.dtype == torch.float32
        assert float((out - expected).norm() / expected.norm()) < 0.03


def test_norms_are_computed_in_float32_and_rounded_once() -> None:
    x = stream(torch.float32).detach()
    h, _ = random_clip(torch.bfloat16).image.fork(x, 1)
    assert torch.equal(h, blocks_of(torch.float32).resblocks[1].ln_1(x).bfloat16())


def test_bfloat16_gradients_of_the_branch_are_float32() -> None:
    adapters = Adapters.random(1, WIDTH, torch.float32)
    tower, x = random_clip(torch.bfloat16).image, stream(torch.float32).detach()
    out = tower.last_row(tower.run(x, 0, DEPTH - 1, adapters), adapters)
    for gradient in gradients(out, adapters.leaves):
        assert gradient.dtype == torch.float32
        assert gradient.isfinite().all() and gradient.any()
