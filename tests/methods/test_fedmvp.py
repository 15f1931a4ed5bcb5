"""FedMVP: against a second computation in float64, and what becomes of a file of attributes."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from agreement import SECOND, Golden
from golden_clip import module
from published_mvp import PublishedMVP, recorded
from setting import STEPS, Setting
from test_golden import INPUTS, LABELS, NAMES, check, in_turn
from tiny import CLASSES, tiny_clip, tiny_federation

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.methods.attributes import Attributes
from pfedmma_dist.methods.fedmvp import FedMVP
from pfedmma_dist.methods.fedmvp_options import FedMVPOptions
from pfedmma_dist.params import Layout

TEXTS = {name: (f"a photo of a {name}.", f"photo of {name}", f"a {name} a.") for name in NAMES}


@in_turn(("mirrored", "low_rank"), [(True, False), (False, True)])
def test_fedmvp_equals_a_second_computation(
    golden_clip: FrozenCLIP, num_clients: int,
    mirrored: bool, low_rank: bool,
) -> None:  # fmt: skip
    method = FedMVP(FedMVPOptions(low_rank_from=0 if low_rank else 1), golden_clip.dims)
    method.attributes = Attributes(Path(), TEXTS)
    method.draw = lambda prepared, keys: torch.tensor((mirrored,) * num_clients)
    torch.manual_seed(3)
    ids = torch.stack([golden_clip.tokenizer(list(TEXTS[name])) for name in NAMES])
    model = PublishedMVP(module(), ids, rank=8)
    pixels = torch.from_numpy(INPUTS["images"]).double()
    told = recorded(model, pixels, torch.from_numpy(LABELS), mirrored, low_rank, 1e-3)
    check(method, golden_clip, Golden(SECOND, told), str, num_clients)


def test_coins_are_of_client_and_step_and_fall_on_both_sides() -> None:
    setting = Setting("fedmvp", {})
    steps = [next(setting.trainer.laid([batch], setting.theta)) for batch in STEPS]
    coins, again = (
        [setting.method.draw(None, step.keys).tolist() for step in steps] for _ in range(2)
    )
    assert coins == again
    assert {coin for step in coins for coin in step} == {False, True}


def test_terms_rest_before_their_round_and_the_block_from_then_on() -> None:
    method = FedMVP(FedMVPOptions(low_rank_from=2), tiny_clip().dims)
    before, after = (set(method.resting(None, index)) for index in (1, 2))
    assert before == {f"{part}.{x}" for part in ("query", "key", "value") for x in "AB"}
    assert before | after | {"text", "text.bias"} == {spec.name for spec in method.specs}
    assert not FedMVP(FedMVPOptions(low_rank_from=None), tiny_clip().dims).resting(None, 99)


def written(path: Path, content: object) -> FedMVPOptions:
    """Write a file of attributes; return the options that name it."""
    path.write_text(json.dumps(content))
    return FedMVPOptions(attributes=str(path))


def test_file_of_attributes_reaches_scores_and_tells_what_it_has_besides(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {name: [f"a {name} with legs", f"{name} {{}} outside"] for name in (*CLASSES, "gnu")}
    options = written(tmp_path / "attributes.json", content)
    caplog.set_level(logging.INFO)
    made, plain = (tiny_federation(FedMVP, options=one) for one in (options, None))
    made.rehearse()
    assert "method.attributes: 1 classes of" in caplog.text and "not read: 'gnu'" in caplog.text
    theirs, own = (one.evaluate(full=True).percent for one in (made, plain))
    assert any(not np.array_equal(theirs[name], own[name]) for name in own)


def test_other_texts_are_another_layout_and_another_order_of_classes_is_not(tmp_path: Path) -> None:
    texts = [
        {"ant": ["a"], "bee": ["b"]},
        {"bee": ["b"], "ant": ["a"]},
        {"ant": ["b"], "bee": ["b"]},
    ]

    def fingerprint(content: object) -> str:
        method = FedMVP(written(tmp_path / "attributes.json", content), tiny_clip().dims)
        return Layout(method.specs, method.frozen(1, tiny_clip())).fingerprint()

    first, turned, other = map(fingerprint, texts)
    assert first == turned != other


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"method\.attributes: cannot read .*attributes.json: No such file"),
        ("{", r"attributes.json is no valid JSON \(.*\); write an object such as"),
        ("{}", "attributes.json names no class"),
        ('{"ant": "six legs"}', "'ant' is not followed by a list of texts"),
        ('{"ant": []}', "'ant' is not followed by a list of texts"),
        ('{"ant": ["a"], "ant": ["b"]}', "the key 'ant' stands twice"),
        ('{"ant": ["a", "b"], "bee": ["a"]}', "'bee' has 1 texts, and 'ant' has 2"),
    ],
)  # fmt: skip
def test_file_that_is_none_of_attributes_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "attributes.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=message):
        FedMVP(FedMVPOptions(attributes=str(file)), tiny_clip().dims)


def test_classes_without_texts_are_named_before_any_image_is_encoded(tmp_path: Path) -> None:
    options = written(tmp_path / "attributes.json", {name: ["a"] for name in CLASSES[:-1]})
    words = r"^method\.attributes: .*no texts of 1 of 6 classes: 'fox'.*; add them, spelled as in"
    with pytest.raises(ValueError, match=words):
        tiny_federation(FedMVP, options=options).rehearse()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_tokens": 0}, "method.num_tokens: 0; set 1 or more"),
        ({"heads": 5}, "method.heads: 5 do not divide the 64 coordinates of a token"),
        ({"consistency": -1.0}, "method.consistency: -1.0; set a weight of 0 or more"),
        ({"low_rank_from": -1}, "method.low_rank_from: -1; set a round of 0 or later, or null"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FedMVP(FedMVPOptions(**options), tiny_clip().dims)
