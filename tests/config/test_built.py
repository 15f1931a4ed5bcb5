"""Values are typed one by one, as the whole tree would type them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pfedmma_dist.config import built
from pfedmma_dist.config.built import merged
from pfedmma_dist.config.documents import Layer
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import leaves
from pfedmma_dist.config.optioned import tree_of
from pfedmma_dist.config.words import word_layer
from pfedmma_dist.methods import METHODS

PRESETS = Path(__file__).parents[2] / "configs" / "data"
WORDS = [
    ["optim.lr=1", "federation.rounds=10", "clip.dtype=bfloat16", "data.classes=['001',no]"],
    ["clip.pretrained=null", "run.folder='null'", "run.threads=null", "data.template='a {}'"],
    [str(PRESETS / "glyphs_base_to_novel.yaml"), "data={num_clients: 3, beta: 1}", "seed=7"],
    [str(PRESETS / "pacs.yaml"), "data.class_names=null", "clip.cache=off"],
]


@dataclass(kw_only=True)
class Inner:
    names: list[str] = field(default_factory=lambda: ["a"])
    weight: float = 1


@dataclass(kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    rows: dict[str, list[int]] = field(default_factory=dict)
    needed: float


@pytest.mark.parametrize("words", WORDS, ids=range(len(WORDS)))
def test_value_by_value_equals_the_whole_tree(words: list[str]) -> None:
    layers = [word_layer(word) for word in words]
    found, slow = (
        form(Config, leaves(Config), layers) for form in (built._leaf_by_leaf, built._resolved)
    )
    assert found == slow
    assert repr(found) == repr(slow)  # 1 and 1.0 are equal, and do not look so


def test_defaults_of_every_method_are_typed_as_omegaconf_types_them() -> None:
    for name, method in METHODS.items():
        tree = tree_of(None, name, method.Options, None)
        slow = OmegaConf.to_object(OmegaConf.structured(tree))
        assert repr(built._defaults(tree)) == repr(slow)


def test_value_that_is_remembered_is_refused_where_it_stands() -> None:
    good = Layer("", {"optim": {"lr": 1}})
    assert repr(merged(Config, [good]).optim.lr) == repr(merged(Config, [good]).optim.lr) == "1.0"
    for value in (True, "much", float("nan")):
        for _ in range(2):
            with pytest.raises(ValueError, match=r"optim\.lr: .* \(in a.yaml\)"):
                merged(Config, [Layer("a.yaml", {"optim": {"lr": value}})])


def test_result_shares_nothing_with_the_next() -> None:
    layer = Layer("", {"rows": {"a": [1]}, "needed": 2.0})
    one, other = (merged(Outer, [layer]) for _ in range(2))
    one.inner.names.append("b")
    one.rows["a"].append(2)
    assert other == Outer(inner=Inner(names=["a"], weight=1.0), rows={"a": [1]}, needed=2.0)
    assert layer.tree == {"rows": {"a": [1]}, "needed": 2.0}


def test_reference_is_resolved_and_a_missing_value_is_named() -> None:
    found = merged(Outer, [Layer("", {"needed": "${inner.weight}", "inner": {"weight": 3}})])
    assert (found.needed, found.inner.weight) == (3.0, 3.0)
    with pytest.raises(ValueError, match="needed: "):
        merged(Outer, [])
