"""The text side in every shortcut, against whole sequences through open_clip's own blocks."""

import pytest
import torch
from slow_form import (
    DEPTH,
    EOT,
    Adapters,
    Words,
    assert_same,
    gradients,
    oracle,
    random_clip,
    slow_text,
)
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.plain_text import PlainText
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.clip.text_tree import Tree, barred

TEMPLATE = "a photo of a {}."
WIDTH = 24
NAMES = {
    "ragged": ("cat", "yin yang", "a b c d e f", "x y z"),
    "single": ("sea horse",),
    "sharing": ("sea horse", "sea lion", "sea"),
    "twins": ("cat", "cat"),
}


@pytest.fixture(params=NAMES)
def names(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Class names whose token sequences differ in length, share tokens, or are alone."""
    return NAMES[request.param]


@pytest.fixture(params=[False, True], ids=["shortcuts", "plain"])
def plain(request: pytest.FixtureRequest) -> bool:
    """Whether the CLIP runs in its plain form, which must agree with the slow one too."""
    return request.param


def ids_of(texts: list[str], pool: str = "argmax") -> Tensor:
    return Words(EOT[pool])(texts)


def context_of(num_clients: int, num_context: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(num_context)
    x = torch.randn(num_clients, num_context, WIDTH, generator=generator) / 2
    return x.to(dtype).requires_grad_()


def grown(*sequences: list[int], eot: int = 9) -> Tree:
    ids = torch.tensor(sequences)
    return Tree.grow(ids, (ids == eot).int().argmax(dim=1))


def test_tree_holds_the_common_prefix_once_and_nothing_behind_an_end() -> None:
    tree = grown([1, 5, 6, 9, 0, 0], [1, 5, 7, 8, 9, 0])
    assert tree.ids.tolist() == [1, 5, 6, 9, 7, 8, 9]
    assert tree.position.tolist() == [0, 1, 2, 3, 2, 3, 4]
    assert tree.rows.tolist() == [3, 6]


def test_a_token_reads_what_stands_before_it_in_its_own_sequence() -> None:
    tree = grown([1, 6, 9, 0], [1, 7, 8, 9])
    assert tree.mask.int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 0, 0, 1, 0, 0],
        [1, 0, 0, 1, 1, 0],
        [1, 0, 0, 1, 1, 1],
    ]


def test_mask_that_a_gpu_adds_bars_what_is_not_read_and_starts_rows_at_16_bytes() -> None:
    mask = grown([1, 6, 9, 0], [1, 7, 8, 9]).mask
    added = barred(mask, torch.bfloat16)
    assert torch.equal(added == 0, mask) and torch.equal(added == -torch.inf, ~mask)
    assert added.stride() == (8, 1)


def test_every_sequence_keeps_an_end_of_its_own() -> None:
    tree = grown([1, 5, 9, 0], [1, 5, 9, 0], [1, 5, 9, 7])
    assert tree.ids.tolist() == [1, 5, 9, 9, 9]
    assert tree.rows.tolist() == [2, 3, 4]


def test_sequences_without_a_common_token_stand_side_by_side() -> None:
    tree = grown([1, 9], [2, 9])
    assert tree.ids.tolist() == [1, 9, 2, 9]
    assert not tree.mask[2:, :2].any() and not tree.mask[:2, 2:].any()


def test_prompts_of_16_vectors_and_50_names_are_a_few_hundred_tokens() -> None:
    sequences = [[1, *[3] * 16, 10 + name, 4, 9] for name in range(50)]
    assert len(grown(*sequences).ids) == 17 + 3 * 50  # of 50 x 77


@pytest.mark.pairwise
@pytest.mark.parametrize("template", [TEMPLATE, "{} in a photo.", "{}"])
def test_class_vectors_equal_open_clips(
    dtype: torch.dtype,
    pool: str,
    quick_gelu: bool,
    names: tuple[str, ...],
    template: str,
    plain: bool,
) -> None:
    clip = random_clip(dtype, pool, quick_gelu, plain=plain)
    ids = ids_of([template.format(name) for name in names], pool)
    expected = oracle(dtype, pool, quick_gelu).encode_text(ids, normalize=True)
    assert_same(class_text(clip, names, template).plain, expected)


@pytest.mark.pairwise
@pytest.mark.parametrize("num_clients", [1, 3])
@pytest.mark.parametrize("start", range(DEPTH))
def test_trained_branches_equal_the_slow_form(
    dtype: torch.dtype, pool: str, start: int, num_clients: int, plain: bool
) -> None:
    names, adapters = NAMES["ragged"], Adapters.random(num_clients, WIDTH, dtype)
    text = class_text(random_clip(dtype, pool, plain=plain), names, TEMPLATE)
    module, ids = oracle(dtype, pool), ids_of([TEMPLATE.format(name) for name in names], pool)
    expected = torch.stack(
        [slow_text(module, ids, EOT[pool], adapters.of(g), start) for g in range(num_clients)]
    )
    check(text.branched(adapters, start, num_clients), expected, adapters.leaves)


@pytest.mark.pairwise
@pytest.mark.parametrize("start", [0, 2, DEPTH - 1])
@pytest.mark.parametrize("template", [TEMPLATE, "{} in a photo."])
def test_trained_branches_equal_the_plain_form_for_all_names(
    dtype: torch.dtype, quick_gelu: bool, names: tuple[str, ...], template: str, start: int
) -> None:
    adapters = Adapters.random(3, WIDTH, dtype)
    out, expected = (
        class_text(
            random_clip(dtype, quick_gelu=quick_gelu, plain=plain), names, template
        ).branched(adapters, start, 3)
        for plain in (False, True)
    )
    check(out, expected, adapters.leaves)


@pytest.mark.pairwise
@pytest.mark.parametrize("num_clients", [1, 3])
@pytest.mark.parametrize("num_context", [1, 4])
def test_trained_context_equals_the_slow_form(
    dtype: torch.dtype,
    pool: str,
    names: tuple[str, ...],
    num_clients: int,
    num_context: int,
    plain: bool,
) -> None:
    context = context_of(num_clients, num_context, dtype)
    text = class_text(random_clip(dtype, pool, plain=plain), names, TEMPLATE)
    module, holders = oracle(dtype, pool), "X " * num_context
    ids = ids_of([f"{holders}{name}." for name in names], pool)
    expected = torch.stack([slow_text(module, ids, EOT[pool], context=own) for own in context])
    check(text.with_context(context), expected, [context])


def test_branches_of_one_client_leave_the_others_alone(plain: bool) -> None:
    text = class_text(random_clip(torch.float64, plain=plain), NAMES["ragged"], TEMPLATE)
    adapters = Adapters.random(3, WIDTH, torch.float64)
    [gradient] = gradients(text.branched(adapters, 1, 3)[1], [adapters.down])
    assert gradient[1:, 1].any()
    assert not gradient[:, [0, 2]].any()


def test_class_vectors_of_a_context_in_bfloat16_are_near_and_its_gradient_is_float32() -> None:
    context = context_of(2, 4, torch.float32)
    out, expected = (
        class_text(random_clip(dtype), NAMES["ragged"], TEMPLATE).with_context(context)
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert_near(out, expected)
    [gradient] = gradients(out, [context])
    assert gradient.dtype == torch.float32 and gradient.isfinite().all() and gradient.any()


def test_class_vectors_of_adapters_in_bfloat16_are_near_and_their_gradients_are_float32() -> None:
    adapters = Adapters.random(2, WIDTH, torch.float32)
    out, expected = (
        class_text(random_clip(dtype), NAMES["ragged"], TEMPLATE).branched(adapters, 1, 2)
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert_near(out, expected)
    for gradient in gradients(out, adapters.leaves):
        assert gradient.dtype == torch.float32 and gradient.isfinite().all() and gradient.any()


def test_plain_class_vectors_need_no_gradient(plain: bool) -> None:
    clip = random_clip(torch.float32, plain=plain)
    assert not class_text(clip, NAMES["ragged"], TEMPLATE).plain.requires_grad


def test_frozen_inputs_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    clip = random_clip(torch.float32)
    text, adapters = (
        ClassText(clip, NAMES["ragged"], TEMPLATE),
        Adapters.random(1, WIDTH, clip.wide),
    )
    run = clip.text.run
    monkeypatch.setattr(
        clip.text, "run", lambda *args, **kw: calls.append(args[1:3]) or run(*args, **kw)
    )
    first = text.branched(adapters, 2, 1)
    before = len(calls)
    assert torch.equal(text.branched(adapters, 2, 1), first)
    assert calls[before:] == [(3, 3)]  # only what stands between the fork and the last block


@pytest.mark.parametrize("form, kind", [(False, ClassText), (True, PlainText)])
def test_the_form_of_the_clip_decides_the_form_of_its_text(form: bool, kind: type) -> None:
    assert type(class_text(random_clip(torch.float32, plain=form), ("cat",), TEMPLATE)) is kind


def check(out: Tensor, expected: Tensor, leaves: list[Tensor]) -> None:
    """Compare values and all gradients."""
    assert_same(out, expected)
    for own, theirs in zip(gradients(out, leaves), gradients(expected, leaves), strict=True):
        assert_same(own, theirs)


def assert_near(out: Tensor, expected: Tensor) -> None:
    """Compare unit vectors in bfloat16 and in float32: a cosine of 0.999 or more."""
    assert out.dtype == torch.float32
    assert float((out * expected).sum(dim=-1).min().detach()) > 0.999


@pytest.mark.parametrize("num_context", [1, 3])
def test_a_placeholder_is_the_prompt_that_writes_an_x_for_every_vector(
    names: tuple[str, ...], plain: bool, num_context: int
) -> None:
    clip = random_clip(torch.float64, plain=plain)
    text, words = class_text(clip, names, TEMPLATE), "X " * num_context + "{}."
    placeholder = text.placeholder(num_context)
    assert_same(placeholder, class_text(clip, names, words).plain)
    assert text.placeholder(num_context) is placeholder  # frozen, so computed once
    assert not placeholder.requires_grad
