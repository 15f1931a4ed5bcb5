"""The template ensemble is a mean of vectors, unit ones or not; published sets are published."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
from slow_form import Words, oracle, random_clip
from tiny import tiny_federation

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.templates import PUBLISHED, spelled_out
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions

NAMES = ("cat", "sea horse", "yin yang")
TEMPLATES = ("a {}.", "my {} in a photo.", "{}")


@pytest.mark.parametrize("plain", [False, True], ids=["shortcuts", "plain"])
def test_ensemble_is_the_mean_of_unit_vectors_made_a_unit_vector(plain: bool) -> None:
    module, ids = oracle(torch.float64, "argmax"), Words(63)
    each = [
        module.encode_text(ids([template.format(name) for name in NAMES]), normalize=True)
        for template in TEMPLATES
    ]
    expected = F.normalize(torch.stack(each).mean(dim=0), dim=1)
    text = class_text(random_clip(torch.float64, plain=plain), NAMES, "a photo of a {}.")
    torch.testing.assert_close(text.ensemble(TEMPLATES), expected, rtol=0, atol=1e-10)
    assert text.ensemble(TEMPLATES) is text.ensemble(TEMPLATES)  # computed once
    raw = [
        module.encode_text(ids([template.format(name) for name in NAMES])) for template in TEMPLATES
    ]
    expected = F.normalize(torch.stack(raw).mean(dim=0), dim=1)
    found = text.ensemble(TEMPLATES, unit=False)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert not torch.equal(found, text.ensemble(TEMPLATES))


def test_texts_of_classes_stand_as_they_are_however_many_run_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pfedmma_dist.clip.text.TOGETHER", 4)
    texts = tuple((f"a {name}", f"{{}} of {name}s.") for name in NAMES)
    text = class_text(random_clip(torch.float64), NAMES, "a photo of a {}.")
    module, ids = oracle(torch.float64, "argmax"), Words(63)
    expected = [module.encode_text(ids(list(own)), normalize=True) for own in texts]
    torch.testing.assert_close(text.described(texts), torch.stack(expected), rtol=0, atol=1e-10)
    assert text.described(texts) is text.described(texts)  # computed once


def test_published_sets_are_those_that_open_clip_ships() -> None:
    theirs = {
        "clip7": open_clip.SIMPLE_IMAGENET_TEMPLATES,
        "clip80": open_clip.OPENAI_IMAGENET_TEMPLATES,
        "promptsrc60": open_clip.OPENAI_IMAGENET_TEMPLATES[:60],
    }
    assert {name: tuple(t("{}") for t in each) for name, each in theirs.items()} == PUBLISHED
    assert spelled_out(["clip7", "my {}."]) == (*PUBLISHED["clip7"], "my {}.")


@pytest.mark.parametrize("templates", [[], ["a photo"], ["clip9"], ["{} and {}"]])
def test_what_is_no_template_is_refused(templates: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^method\.templates: .*clip7, clip80"):
        ZeroShotOptions(templates=templates)


def test_zero_shot_scores_with_the_ensemble_where_it_is_told_to() -> None:
    federation = tiny_federation(ZeroShot, options=ZeroShotOptions(templates=["clip7", "my {}."]))
    text = federation.train_text
    vectors = federation.method.classes({}, None, text)
    assert torch.equal(vectors[0], text.ensemble((*PUBLISHED["clip7"], "my {}.")))
    assert not torch.equal(vectors[0], text.plain)
