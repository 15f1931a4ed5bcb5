"""VPT, IVLP and MaPLe: prompts from a block on as its definition has them, and what is refused."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from setting import STEPS, Setting
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.model import ImageFeatures
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.maple import MaPLe, MaPLeOptions, PromptShare
from pfedmma_dist.params import Layout

FROM = [
    ("vpt", {"start": 2, "depth": None}),
    ("vpt", {"start": 3}),
    ("ivlp", {"start": 1, "text_depth": 2, "image_depth": 3}),
    ("maple", {"start": 2}),
]
FORMS = [("shortcuts", torch.float64, 1e-10), ("plain", torch.float64, 1e-10)]
FORMS += [("shortcuts", torch.bfloat16, 0.5), ("plain", torch.bfloat16, 0.5)]  # at a scale of 14


def by_hand(setting: Setting, client: int) -> Tensor:
    """Return logits [B, C] of a client: one sequence for itself, one block at a time, and vectors
    put where they belong in front of each."""
    params = {n: x[client] for n, x in setting.layout.views(setting.theta).items()}
    clip, start, rows = setting.clip, setting.method.options.start, STEPS[0].rows[client]
    images = setting.features.rows(setting.method.images, (rows, None))  # pixels
    length = len(clip.embed_text.position)
    causal = torch.ones(length, length, dtype=torch.bool).tril()

    def image(pixels: Tensor) -> Tensor:
        x = clip.embed_image(pixels[None])
        for block in range(clip.image.depth):
            tokens = params.get(f"image.{block}")
            if f"map.{block}" in params:
                tokens = F.linear(
                    params[f"text.{block}"], params[f"map.{block}"], params[f"map.{block}.bias"]
                )
            if tokens is not None:
                x = torch.cat([x[:, : 1 + clip.dims.num_patches], tokens[None]], dim=1)
            x = clip.image.run(x, block, block + 1)
        return clip.image.head(x[0, 0])

    def words(name: str) -> Tensor:
        ids = clip.tokenizer([setting.text.template.format(name)])
        x = clip.embed_text.token[ids].to(clip.wide) + clip.embed_text.position
        for block in range(clip.text.depth):
            if f"text.{block}" in params:
                vectors = params[f"text.{block}"]
                x = torch.cat([x[:, :1], vectors[None], x[:, 1 + len(vectors) :]], dim=1)
            x = clip.text.run(x, block, block + 1, mask=causal)
        return clip.text.head(x[0, int(clip.embed_text.eot_index(ids))])

    assert start > 0
    seen, classes = (torch.stack([f(x) for x in xs]) for f, xs in
                     ((image, images), (words, setting.text.names)))  # fmt: skip
    return clip.scale * seen @ classes.T


@pytest.mark.parametrize(("form", "dtype", "atol"), FORMS)
@pytest.mark.parametrize(("name", "options"), FROM)
def test_prompts_from_a_block_on_are_those_of_the_definition(
    name: str, options: dict[str, Any], form: str, dtype: torch.dtype, atol: float
) -> None:
    reference = Setting(name, options, plain=True)
    setting = Setting(name, options, dtype, plain=form == "plain")
    kind = ImageFeatures(start=options["start"], entry=True)
    assert setting.method.images == kind  # what is below is run once, and kept
    found = setting.logits(setting.theta, STEPS[0].rows)
    expected = torch.stack([by_hand(reference, client) for client in range(3)])
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=atol)
    if dtype == torch.float64:
        theirs = reference.gradient(reference.theta, STEPS[0])
        found = setting.gradient(setting.theta, STEPS[0])
        torch.testing.assert_close(found, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("vpt", {"start": 12}, "method.start: 12; set 0 to 11, a block of both towers"),
        ("vpt", {"start": -1}, "method.start: -1; set 0 to 11"),
        ("vpt", {"start": 9, "depth": 4}, "method.depth: 4 blocks from block 9 on, of a tower of "
         "12; set 1 to 3"),
        ("vpt", {"num_tokens": 0}, "method.num_tokens: 0; set 1 or more"),
        ("ivlp", {"text_depth": 0}, "method.text_depth: 0 blocks"),
        ("ivlp", {"image_depth": 13}, "method.image_depth: 13 blocks"),
        ("ivlp", {"num_context": 5}, "method.num_context: 5 vectors cannot take the places of the "
         "4 words of method.ctx_init='a photo of a'"),
        ("maple", {"num_context": 5}, "method.num_context: 5 vectors cannot take the places"),
        ("maple", {"depth": 13}, "method.depth: 13 blocks from block 0 on"),
        ("maple", {"start": 1, "ctx_init": "a sketch"}, "method.ctx_init: 'a sketch' is read at "
         "method.start=0 alone, where method.start=1 has data.template"),
    ],
)  # fmt: skip
def test_options_that_no_tower_has_room_for_are_refused(
    name: str, options: dict[str, Any], words: str
) -> None:
    kind = METHODS[name]
    with pytest.raises(ValueError, match=words):
        kind(kind.Options(**options), dims("ViT-B-16"))


@pytest.mark.parametrize("plain", [False, True])
def test_more_vectors_than_words_of_the_template_are_refused(plain: bool) -> None:
    setting = Setting("ivlp", {"start": 1}, plain=plain)
    text = class_text(setting.clip, ("owl", "bee"), "a {}.")
    words = "method.num_context: 4 vectors .* data.template='a {}.' has 1 tokens there; set fewer"
    with pytest.raises(ValueError, match=words):
        setting.method.classes(setting.layout.views(setting.theta), None, text)


@pytest.mark.parametrize("start", [0, 1])
def test_maps_above_the_first_start_as_copies_of_one_draw(start: int) -> None:
    setting = Setting("maple", {"start": start})
    layout = setting.layout
    row = setting.method.template(layout, 1, setting.clip)
    params = layout.views(row[None])
    for end in ("", ".bias"):
        first, second, *deep = (params[f"map.{block}{end}"] for block in setting.method.blocks)
        assert not torch.equal(first, second) and len(deep) > 0
        assert all(torch.equal(own, second) for own in deep)
    words = setting.clip.tokenizer(["a photo"])[0, 1:3]
    is_spelled = torch.equal(
        params[f"text.{start}"][0], setting.clip.embed_text.token[words].float()
    )
    assert is_spelled == (start == 0)


def test_maple_that_shares_prompts_leaves_each_client_its_maps() -> None:
    method = MaPLe(MaPLeOptions(share=PromptShare.prompts), dims("ViT-B-16"))
    private = {
        spec.name.partition(".")[0] for spec in Layout(method.specs).specs if not spec.shared
    }
    assert private == {"map"}
