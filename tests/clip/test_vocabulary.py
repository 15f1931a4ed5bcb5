"""Weights that hold few tokens work as those that hold all of them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_files import NAMES, TEMPLATE, ids_of, save_full, save_small
from tiny_files import Describe, loaded, state_of, uses_quick_gelu
from torch import Tensor

from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.vocabulary import TOKENS, save
from pfedmma_dist.config.keys import CacheMode

QUICK = {"quick_gelu": True}
POOLED = [QUICK, {"custom_text": True, "text": {"pool_type": "eos", "eos_id": 49407}}]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return tmp_path / "small.safetensors"


def pair(model: str, small: Path, **keys: object) -> list[FrozenCLIP]:
    """Load the same weights with few tokens and with all."""
    full = save_full(save_small(model, small), small.with_name("full.pt"))
    return [loaded(model, path, **keys) for path in (small, full)]


@pytest.mark.parametrize("mode", [CacheMode.auto, CacheMode.off], ids=["shortcuts", "plain"])
@pytest.mark.parametrize("changes", POOLED, ids=["argmax", "eos"])
def test_class_vectors_are_those_of_all_tokens(
    describe: Describe, small: Path, mode: CacheMode, changes: dict
) -> None:
    clips = pair(describe(**changes), small, cache=mode)
    few, every = (class_text(clip, NAMES, TEMPLATE).plain for clip in clips)
    assert torch.equal(few, every)


@pytest.mark.parametrize("mode", [CacheMode.auto, CacheMode.off], ids=["shortcuts", "plain"])
def test_prompts_with_a_context_are_those_of_all_tokens(
    describe: Describe, small: Path, mode: CacheMode
) -> None:
    context = torch.randn(2, 5, 16)
    clips = pair(describe(**QUICK), small, cache=mode)
    few, every = (class_text(clip, NAMES, TEMPLATE).with_context(context) for clip in clips)
    assert torch.equal(few, every)


def test_only_the_stored_rows_are_kept_in_memory(describe: Describe, small: Path) -> None:
    model = describe(**QUICK)
    save_small(model, small)
    assert loaded(model, small).embed_text.token.shape == (len(ids_of(model)), 16)


def test_numbers_are_stored_in_half_precision_and_ids_whole(
    describe: Describe, small: Path
) -> None:
    model = describe()
    save_small(model, small)
    state = load_file(small)
    ids = state.pop("token_ids")
    assert ids.dtype == torch.int32 and ids.tolist() == ids_of(model).tolist()
    assert {value.dtype for value in state.values()} == {torch.float16}


def test_rows_that_were_cut_before_are_stored_as_they_are(describe: Describe, small: Path) -> None:
    state, ids = state_of(), ids_of(describe())
    save(small, state, ids)
    whole = small.read_bytes()
    save(small, {**state, TOKENS: state[TOKENS][ids]}, ids)
    assert small.read_bytes() == whole


@pytest.mark.parametrize("quick", [True, False])
def test_half_precision_is_no_sign_of_openai_here(
    describe: Describe, small: Path, caplog: pytest.LogCaptureFixture, quick: bool
) -> None:
    model = describe(quick_gelu=quick)
    save_small(model, small)
    assert uses_quick_gelu(loaded(model, small)) is quick
    assert not caplog.records


def test_a_vocabulary_of_another_model_is_refused(describe: Describe, small: Path) -> None:
    save_small(describe(), small)
    with pytest.raises(ValueError, match="small.safetensors does not hold the weights of clip"):
        loaded(describe(text={"width": 32}), small)


ENDS = [49406, 49407]


@pytest.mark.parametrize(
    "ids",
    [[], [0, *ENDS, 5], [0, 5, 5, *ENDS], [5, *ENDS], [0, 5, 49407], [0, *ENDS, 49408]],
    ids=["none", "unsorted", "twice", "no padding", "no start", "beyond the last"],
)
def test_token_ids_that_cannot_be_are_refused(
    describe: Describe, small: Path, ids: list[int]
) -> None:
    rows = torch.zeros(len(ids), 16)
    save_file({**state_of(), TOKENS: rows, "token_ids": torch.tensor(ids)}, small)
    with pytest.raises(ValueError, match=r"clip\.pretrained: token_ids of .*small.* ascending"):
        loaded(describe(), small)


def test_ids_without_their_rows_are_refused(describe: Describe, small: Path) -> None:
    state: dict[str, Tensor] = {**state_of(), "token_ids": torch.tensor([0, *ENDS])}
    save_file(state, small)
    with pytest.raises(ValueError, match=r"does not hold the weights of clip\.model"):
        loaded(describe(), small)
