"""The lists of files in CONTRIBUTING.md are those that an example of each kind really has."""

import re

import pytest

from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.kgcoop import KgCoOp, KgCoOpOptions
from pfedmma_dist.quantities.scores import SCORES
from tests.cards.demands import demands
from tests.documentation.pages import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KINDS = {
    kind: (example, re.findall(r"^- `([^`]+)`", body, re.MULTILINE))
    for kind, example, body in re.findall(
        r"^## An? ([\w ]+), such as `(\w+)`\n(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL
    )
}
FILES = [(example, path) for example, paths in KINDS.values() for path in paths]


def test_four_kinds_are_told_and_their_examples_are_registered() -> None:
    examples = {kind: example for kind, (example, _) in KINDS.items()}
    assert list(examples) == ["method", "data set", "metric", "server rule"]
    assert examples["method"] in METHODS
    assert examples["data set"] in SOURCES
    assert any(quantity.key.endswith(examples["metric"]) for quantity in SCORES)
    assert examples["server rule"] in ServerRule.__members__


@pytest.mark.parametrize(("example", "path"), FILES)
def test_listed_file_is_there_and_has_the_example(example: str, path: str) -> None:
    file = ROOT / path.replace("NAME", example)
    assert file.exists()
    assert re.search(rf"\b(LOCAL_)?{example}\b", file.read_text(encoding="utf-8"), re.IGNORECASE)


class Novelty(KgCoOp):
    """Novelty: nothing that anybody has."""

    name = "novelty"
    Options = KgCoOpOptions


def test_list_of_a_method_has_every_place_that_is_demanded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, Novelty.name, Novelty)
    places = {demand.partition(":")[0].partition(",")[0] for demand in demands([Novelty.name])}
    listed = {path.replace("NAME", Novelty.name) for path in KINDS["method"][1]}
    assert places <= listed
