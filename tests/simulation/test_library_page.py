"""The page about the library, and the notebook: every block and cell is run, in order.

On noise and with a tiny CLIP, where the reader's world takes a minute.
"""

import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs import ROOT, blank, make_lab

from pfedmma_dist import Simulation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run import pictures, report

PAGE = ROOT / "docs" / "library.md"
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
BLOCK = re.compile(r"^```python( \w+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


LEFT = {"run.folder", "federation.rounds", "data.num_clients"}
"""Keys that keep what page and notebook say."""


def blocks() -> list[str]:
    """Return the blocks of the page; those that need what is not installed are left out."""
    found = BLOCK.findall(PAGE.read_text())
    assert len(found) > 7
    return [code for needs, code in found if not needs or importlib.util.find_spec(needs.strip())]


def cells() -> list[str]:
    """Return the code of the notebook."""
    found = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of its own with tiny data, blank pictures, and no method that was not there."""
    monkeypatch.chdir(tmp_path)
    lab, real = make_lab(tmp_path), Simulation.open
    own = [word for word in lab.words("one") if word.partition("=")[0] not in LEFT]
    monkeypatch.setattr(Simulation, "open", lambda *what, **more: real(*what, *own, **more))
    for module in (report, pictures):
        monkeypatch.setattr(module, "save", blank)
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


@pytest.mark.parametrize("parts", [blocks, cells], ids=["page", "notebook"])
def test_all_of_it_runs(parts: Callable[[], list[str]]) -> None:
    space: dict[str, object] = {"__name__": "somebody"}
    for number, code in enumerate(parts()):
        exec(compile(code, f"part {number} of the {parts.__name__}", "exec"), space)


def test_notebook_holds_what_it_printed_and_little_else() -> None:
    found = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in found if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = [output["output_type"] for cell in code for output in cell["outputs"]]
    assert len(kinds) > 4 and {*kinds} <= {"stream", "display_data", "execute_result"}
    assert NOTEBOOK.stat().st_size < 10_000
    assert not re.search(r"/(home|root|tmp|usr)/", NOTEBOOK.read_text())  # of this machine
