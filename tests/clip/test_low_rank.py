"""Low-rank terms inside attention, in every shortcut, against open_clip with merged weights."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from slow_form import DEPTH, SIDE, VOCABULARY, Words, assert_same, gradients, oracle, random_clip
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.low_rank import Inside, LowRank
from pfedmma_dist.clip.model import FINAL, ImageFeatures

RANK, NUM_IMAGES, TOKENS, LETTERS = 3, 4, 10, "qkvo"
NAMES, TEMPLATE = ("cat", "yin yang", "a b c d e f", "x y z"), "a photo of a {}."
WIDTH = {"image": 32, "text": 24}
STEM = {"image": "visual.transformer", "text": "transformer"}


@dataclass(frozen=True)
class Terms:
    """Low-rank terms in every block of one tower, one set per client."""

    tower: str
    letters: str
    down: Tensor  # [DEPTH, 4, G, R, W]
    up: Tensor  # [DEPTH, 4, G, W, R]

    @classmethod
    def random(cls, tower: str, letters: str, num_clients: int, dtype: torch.dtype) -> "Terms":
        generator, width = torch.Generator().manual_seed(num_clients), WIDTH[tower]
        down, up = (
            torch.randn(DEPTH, 4, num_clients, *shape, generator=generator) / 3
            for shape in ((RANK, width), (width, RANK))
        )
        return cls(tower, letters, down.to(dtype).requires_grad_(), up.to(dtype).requires_grad_())

    @property
    def leaves(self) -> list[Tensor]:
        return [self.down, self.up]

    def __call__(self, block: int) -> dict[str, LowRank]:
        places = {letter: LETTERS.index(letter) for letter in self.letters}
        return {
            letter: LowRank(self.down[block, i], self.up[block, i]) for letter, i in places.items()
        }

    def merged(self, g: int, start: int, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return open_clip's weights with client g's terms added, from block `start` on."""
        merged = {}
        for block in range(start, DEPTH):
            stem = f"{STEM[self.tower]}.resblocks.{block}.attn"
            for letter in self.letters:
                i = LETTERS.index(letter)
                product = self.up[block, i, g] @ self.down[block, i, g]
                name = f"{stem}.out_proj.weight" if letter == "o" else f"{stem}.in_proj_weight"
                if letter != "o":
                    product = F.pad(product, (0, 0, i * len(product), (2 - i) * len(product)))
                merged[name] = merged.get(name, weights[name]) + product
        return merged


def slow(terms: Terms, start: int, num_clients: int, pixels: Tensor, ids: Tensor) -> Tensor:
    """Return unit vectors [G * n, D] of images, or of texts, one client after another."""
    module, vectors = oracle(terms.down.dtype), []
    weights = dict(module.named_parameters())
    for g in range(num_clients):
        own = pixels.unflatten(0, (num_clients, -1))[g]
        merged = terms.merged(g, start, weights)
        images, texts, _ = torch.func.functional_call(module, merged, (own, ids))
        vectors.append(images if terms.tower == "image" else texts)
    return torch.cat(vectors)


def pixels_of(num_clients: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num_clients * NUM_IMAGES, 3, SIDE, SIDE, generator=generator).to(dtype)


IDS = Words(VOCABULARY - 1)([TEMPLATE.format(name) for name in NAMES])


def check(out: Tensor, expected: Tensor, leaves: list[Tensor]) -> None:
    """Compare values and all gradients."""
    assert_same(out, expected)
    for own, theirs in zip(gradients(out, leaves), gradients(expected, leaves), strict=True):
        assert_same(own, theirs)


@pytest.mark.pairwise
@pytest.mark.parametrize("plain", [False, True], ids=["shortcuts", "plain"])
@pytest.mark.parametrize("letters", [*LETTERS, "qv", "qkvo"])
@pytest.mark.parametrize(("num_clients", "start"), [(1, 2), (3, 1), (3, DEPTH - 1)])
def test_images_equal_those_of_merged_weights(
    dtype: torch.dtype, num_clients: int, start: int, letters: str, plain: bool
) -> None:
    clip, pixels = random_clip(dtype, plain=plain), pixels_of(num_clients, dtype)
    terms = Terms.random("image", letters, num_clients, dtype)
    kind = ImageFeatures(start=start, entry=True)
    [features] = clip.freeze(pixels, (kind,))
    assert features.shape[1:] == clip.record_shape(kind)
    out = clip.encode_image(features, kind, inside=terms)
    check(out, slow(terms, start, num_clients, pixels, IDS), terms.leaves)


@pytest.mark.pairwise
@pytest.mark.parametrize("plain", [False, True], ids=["shortcuts", "plain"])
@pytest.mark.parametrize("letters", [*LETTERS, "qv", "qkvo"])
@pytest.mark.parametrize(("num_clients", "start"), [(1, 2), (3, 1), (3, DEPTH - 1)])
def test_class_vectors_equal_those_of_merged_weights(
    dtype: torch.dtype, num_clients: int, start: int, letters: str, plain: bool
) -> None:
    terms = Terms.random("text", letters, num_clients, dtype)
    text = class_text(random_clip(dtype, plain=plain), NAMES, TEMPLATE)
    out = text.adapted(terms, start, num_clients)
    expected = slow(terms, start, num_clients, pixels_of(num_clients, dtype), IDS)
    check(out, expected.view(out.shape), terms.leaves)


@pytest.mark.parametrize("letters", [*LETTERS, "qkvo"])
def test_last_row_equals_the_whole_block(dtype: torch.dtype, letters: str) -> None:
    tower, terms = random_clip(dtype).image, Terms.random("image", letters, 2, dtype)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(6, TOKENS, WIDTH["image"], generator=generator).to(dtype).requires_grad_()
    rows = torch.tensor([4, 1, 1])
    whole = [tower.run(x, DEPTH - 1, DEPTH, inside=terms) for _ in range(2)]
    check(tower.last_row(x, inside=terms), whole[0][:, 0], [x, *terms.leaves])
    check(tower.last_rows(x, rows, inside=terms), whole[1][:, rows], [x, *terms.leaves])


@pytest.mark.parametrize("letters", [*LETTERS, "qkvo"])
def test_last_row_of_terms_that_drop_inputs_equals_the_whole_block(letters: str) -> None:
    tower, whole = (
        random_clip(torch.float64).image,
        Terms.random("image", letters, 2, torch.float64),
    )
    kept = torch.arange(WIDTH["image"]) % 3 > 0

    def terms(block: int) -> dict[str, LowRank]:
        return {
            letter: LowRank(term.down, term.up, lambda rows: 1.5 * rows * kept)
            for letter, term in whole(block).items()
        }

    x = torch.randn(6, TOKENS, WIDTH["image"]).double().requires_grad_()
    out = tower.last_row(x, inside=terms)
    check(out, tower.run(x, DEPTH - 1, DEPTH, inside=terms)[:, 0], [x, *whole.leaves])
    assert not torch.allclose(out, tower.last_row(x, inside=whole))


def test_terms_of_one_client_leave_the_others_alone() -> None:
    terms = Terms.random("image", "qkvo", 3, torch.float64)
    clip, kind = random_clip(torch.float64), ImageFeatures(start=1, entry=True)
    [features] = clip.freeze(pixels_of(3, torch.float64), (kind,))
    out = clip.encode_image(features, kind, inside=terms).unflatten(0, (3, -1))
    [gradient] = gradients(out[1], [terms.up])
    assert gradient[1:, :, 1].any()
    assert not gradient[:, :, [0, 2]].any()


def test_entry_fork_and_final_of_one_image_come_from_one_pass() -> None:
    clip, pixels = random_clip(torch.float64), pixels_of(1, torch.float64)
    kinds = [ImageFeatures(start=s, entry=e) for s in (1, 3) for e in (False, True)]
    kinds = (FINAL, *kinds)
    together = clip.freeze(pixels, kinds)
    for kind, features in zip(kinds, together, strict=True):
        assert_same(features, clip.freeze(pixels, (kind,))[0])


def test_terms_in_bfloat16_are_near_and_their_gradients_are_float32() -> None:
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        terms = Terms.random("image", "qkvo", 2, torch.float32)
        clip, kind = random_clip(dtype), ImageFeatures(start=2, entry=True)
        [features] = clip.freeze(pixels_of(2, torch.float32), (kind,))
        found.append(clip.encode_image(features, kind, inside=narrowed(terms, dtype)))
        assert found[-1].dtype == torch.float32
        for gradient in gradients(found[-1], terms.leaves):
            assert gradient.dtype == torch.float32
            assert gradient.isfinite().all() and gradient.any()
    assert float((found[0] * found[1]).sum(dim=-1).min().detach()) > 0.99


def narrowed(terms: Terms, dtype: torch.dtype) -> Inside:
    """Return the terms as a method hands them to towers of this type."""
    return lambda block: {
        letter: LowRank(term.down.to(dtype), term.up.to(dtype))
        for letter, term in terms(block).items()
    }
