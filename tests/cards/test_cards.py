"""The pages of docs are what the source says, and a method that lacks something is told what."""

import json
from pathlib import Path

import pytest
import torch
from agreement import SECOND, TELL, Golden, near

from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.kgcoop import KgCoOp, KgCoOpOptions
from tests.cards import measured
from tests.cards.compared import comparing, summary
from tests.cards.demands import demands
from tests.cards.differences import about, names_of
from tests.cards.pages import COMMAND, pages, stray
from tests.cards.presets import ROOT, SweepRow


def test_pages_are_those_that_the_source_makes() -> None:
    wanted = pages()
    stale = [
        path.relative_to(ROOT).as_posix()
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    stale += [path.relative_to(ROOT).as_posix() for path in stray(wanted)]
    assert not stale, f"run `{COMMAND}`, which writes them, and commit: {', '.join(stale)}"


def test_methods_have_all_that_is_demanded() -> None:
    lacking = demands()
    assert not lacking, f"`{COMMAND}` prints this:\n\n" + "\n\n".join(lacking)


class Toy(KgCoOp):
    """Toy: nothing that anybody has."""

    name = "toy"
    Options = KgCoOpOptions


def test_new_method_is_told_each_place_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, Toy.name, Toy)
    told = "\n".join(demands(["toy"]))
    for line in (
        "configs/method/toy.yaml: write",
        "configs/method/glyphs/toy.yaml: write",
        "quick_compare_all.yaml, below `rows:`: write\n      Toy: [configs/method/glyphs/toy.yaml]",
        "      Toy without sharing: [configs/method/toy.yaml, method.share=none]",
        "      DomainNet Toy: [configs/data/domainnet.yaml, configs/method/toy.yaml]",
        "| `toy` | what is trained; *what is averaged* | 8,192 | 8,192 / 8,192 | – | paper, venue ",
        "    assert costs(Toy) == ",
        'near(Toy.name, SECOND, "logits", found, expected, atol=1e-10)',
    ):
        assert line in told


def test_row_of_differences_belongs_to_whom_its_first_words_name() -> None:
    def first_cells(name: str) -> list[str]:
        return [row.cells[0] for row in about(name, first=True)]

    assert "Tip-Adapter's keys" in first_cells("tip_adapter")
    assert "Tip-Adapter's keys" not in first_cells("tip_adapter_f")
    assert {"FedIT's rate", "CLIP-LoRA"} <= set(first_cells("lora"))
    assert not any("" in names_of(name) for name in METHODS)  # it would be in every row


def test_what_was_not_measured_is_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "method,column,mean,deviation,n,published"
    for name, lines in (
        ("GLYPHS", [head, "A,hm,61.25,0.5,3,0", "B,hm,60.0,0.5,2,0", "A,local_mean,1,1,3,0"]),
        ("STEPS", [json.dumps({"half": {"with": {}, "forms": {measured.PLAIN: {}}}})]),
    ):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        monkeypatch.setattr(measured, name, path)
    measured._scores.cache_clear()
    rows = [SweepRow(measured.SWEEP, label, "", "", ()) for label in "ABC"]
    assert [measured.harmonic(row) for row in rows] == ["61.2 ± 0.5 (3)", measured.DASH, "–"]
    assert measured.step("half") == measured.step("none") == "–"
    measured._scores.cache_clear()


def test_comparison_is_told_with_its_largest_difference_and_refused_beyond_the_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, arrays = tmp_path / "lines", Golden("file", {"x": 1}) | {"y": 2}
    monkeypatch.setenv(TELL, str(path))
    ours = torch.tensor([1.0, 2.0])
    near("a", arrays, "step 1", ours, ours + torch.tensor([0.0, 0.25]), atol=0.5)
    near("a", arrays, "step 3", ours, ours, atol=0.0)
    with pytest.raises(AssertionError):
        near("b", SECOND, "logits", ours, ours + 1, atol=0.5)
    found = summary(map(json.loads, path.read_text().splitlines()))
    assert found["a"] == [{"against": "file", "recorded": True, "differences": {"steps": 0.25}}]
    (second,) = found["b"]
    assert second["differences"] == {"logits": 1.0} and not second["recorded"]
    assert second["against"].startswith("tests/cards/test_cards.py::test_comparison_is_told")


def test_tests_that_compare_are_found() -> None:
    assert {"tests/methods/test_golden.py", "tests/methods/test_fedtpg.py"} <= set(comparing())
