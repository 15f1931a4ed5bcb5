"""A CLIP is found under whatever stands before its names, and what is left out is told."""

import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_files import Describe, loaded, state_of
from torch import Tensor

from pfedmma_dist.clip.unwrapped import unwrap

NAMES = ("token_embedding.weight", "visual.conv1.weight", "visual.proj", "logit_scale")
SMALL = {name: torch.zeros(1) for name in NAMES}
PREFIXES = ("module.", "model.", "_orig_mod.", "state_dict.", "clip.", "clip_model.", "net.")
KEYS = ("state_dict", "model", "model_state_dict", "network", "weights", "params", "module")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PREFIXES), max_size=4), st.lists(st.sampled_from(KEYS), max_size=4))
def test_prefixes_and_dictionaries_in_any_order_are_taken_off(
    prefixes: list[str], keys: list[str]
) -> None:
    content: dict = {"".join(prefixes) + name: x for name, x in SMALL.items()}
    for key in keys:
        content = {key: content, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": 1.0}}}}
    found = unwrap(content)
    assert found is not None and tuple(found.state) == NAMES
    assert not found.beside and not found.elsewhere


@pytest.mark.parametrize(
    "prefix", ["visual.module.", "visual._orig_mod.", "visual._orig_mod.module."]
)
def test_wrappers_within_names_are_taken_off(
    describe: Describe, tmp_path: Path, prefix: str
) -> None:
    state = state_of()
    torch.save({k.replace("visual.", prefix): x for k, x in state.items()}, tmp_path / "w.pt")
    clip = loaded(describe(), tmp_path / "w.pt")
    assert torch.equal(clip.image.projection, state["visual.proj"])


def test_two_tensors_that_a_wrapper_alone_tells_apart_are_refused(
    describe: Describe, tmp_path: Path
) -> None:
    torch.save({**state_of(), "module.visual.proj": torch.ones(16, 8)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"has two tensors 'visual\.proj'"):
        loaded(describe(), tmp_path / "w.pt")


def test_a_file_of_two_clips_is_refused_by_their_names(describe: Describe, tmp_path: Path) -> None:
    torch.save({"model": state_of(), "model_ema": state_of()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"holds 2 CLIPs, under 'model' and 'model_ema'.*; save"):
        loaded(describe(), tmp_path / "w.pt")


def test_of_several_that_of_state_dict_is_read_and_told(
    describe: Describe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_of()
    torch.save({"ema": state_of(), "state_dict": state}, tmp_path / "w.pt")
    with caplog.at_level(logging.INFO):
        clip = loaded(describe(), tmp_path / "w.pt")
    assert torch.equal(clip.image.projection, state["visual.proj"])
    assert "stands under 'state_dict'" in caplog.text and "not used: 'ema'" in caplog.text


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_head_beside_the_towers_is_left_out_with_a_warning(
    describe: Describe, tmp_path: Path, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    state: dict[str, Tensor] = {f"{prefix}{key}": x for key, x in state_of().items()}
    torch.save({**state, "loss.weight": torch.ones(2)}, tmp_path / "w.pt")
    loaded(describe(), tmp_path / "w.pt")
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "left out (1 in all): 'loss.weight'" in record.getMessage()


def test_parts_within_the_towers_are_never_left_out(describe: Describe, tmp_path: Path) -> None:
    inside = {"visual.transformer.resblocks.1.adapter.weight": torch.ones(2)}
    torch.save({**state_of(), **inside}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"has 1 that the model has not, the first 'visual\.tr"):
        loaded(describe(), tmp_path / "w.pt")


def test_a_dictionary_in_itself_is_looked_into_once() -> None:
    content: dict = {"model": dict(SMALL)}
    content["model"]["again"] = content
    found = unwrap(content)
    assert found is not None and tuple(found.state) == NAMES
