"""PromptFL: where its context starts, and what it means."""

import numpy as np
import pytest
import torch
from setting import STEPS, Setting
from tiny import CLASSES, NUM_BASE

from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.params import Layout


def test_context_starts_as_small_noise() -> None:
    start = Layout(PromptFL(PromptFLOptions(), dims("ViT-B-16")).specs).template(1)
    np.testing.assert_allclose(start.std(), 0.02, rtol=0.03)
    assert abs(start.mean()) < 1e-3


def test_context_of_words_is_the_prompt_of_these_words() -> None:
    setting = Setting("promptfl", {"num_context": 4})
    clip = setting.clip
    ids = clip.tokenizer(["a photo of a"])[0, 1:5]
    theta = clip.embed_text.token[ids].reshape(1, -1)
    written = ClassText(clip, CLASSES[:NUM_BASE], "a photo of a {}.").plain
    classes = setting.method.classes(setting.layout.views(theta), None, setting.text)
    torch.testing.assert_close(classes[0], written, rtol=0, atol=1e-12)
    assert setting.logits(theta, STEPS[0].rows[:1]).shape == (1, 4, NUM_BASE)


def test_prompt_without_context_is_refused() -> None:
    with pytest.raises(ValueError, match="method.num_context: 0; set 1 or more"):
        PromptFLOptions(num_context=0)
