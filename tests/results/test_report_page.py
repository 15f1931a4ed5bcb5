"""The page about runs: it holds what they left, needs nothing else, and keeps what is another's."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from recorded import plan, record, round_row, three

from launch.report import main
from pfedmma_dist.results.markdown import text
from pfedmma_dist.results.outcome import read_outcome
from pfedmma_dist.results.tables import tables
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.result import write

ODD = "a<b> & 'c'"


class Reader(HTMLParser):
    """Checks that what is opened is closed, and keeps texts by the tag around them."""

    VOID = {"meta", "img"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder, rounds = tmp_path / "sweep", [round_row(0, 50.0), round_row(1, 51.0)]
    rows = []
    for seed in (1, 2):
        config = {"seed": seed, "method.name": "promptfl", "optim.lr": 0.01 * seed}
        run = RunFolder(folder / f"a-{seed}")
        record(run.path, three(50, 40, 60 + seed), rounds=rounds, config=config)
        write(run, json.loads(run.result.read_text()))  # with hashes of what is there
        rows.append({"row": ODD, "folder": f"a-{seed}", "seed": seed})
    return plan(folder, rows)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text())
    assert not reader.open
    return reader


def test_page_needs_no_other_file_and_holds_every_cell(sweep: Path) -> None:
    assert main([str(sweep)]) == 0
    found = read(sweep / "report.html")
    assert all(link.startswith(("data:", "#")) for link in found.links)
    assert sum(link.startswith("data:image/svg+xml") for link in found.links) >= 2
    words = {each for kind in ("td", "strong") for each in found.texts.get(kind, [])}
    assert ODD in words  # as it is, and no tag of it
    runs = [read_outcome(sweep / f"a-{seed}", ODD) for seed in (1, 2)]
    for table in tables(runs):
        for row in table.rows:
            assert {text(*pair) for pair in zip(row.cells, table.columns, strict=True)} <= words
    hashes = {run.result["files"]["config.yaml"] for run in runs}
    assert hashes <= words


def test_settings_are_a_configuration_and_what_differs(sweep: Path) -> None:
    main([str(sweep)])
    found = read(sweep / "report.html")
    common = yaml.safe_load("".join(found.texts["pre"]))
    assert common["method"]["name"] == "promptfl"
    assert "seed" not in common and "optim" not in common
    assert {"seed=1 optim.lr=0.01", "seed=2 optim.lr=0.02"} <= set(found.texts["td"])


def test_runs_that_did_not_finish_and_damage_are_told(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    record(sweep / "b", None, config={"method.name": "vpt"})
    metrics = sweep / "a-1" / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("51", "99"))
    page = sweep.parent / "page.html"
    assert main([str(sweep), str(sweep / "b"), "--out", str(page)]) == 1
    items = "".join(read(page).texts["li"])
    assert "metrics.csv is not as the run left it" in items
    assert "vpt: b" in items
    assert "written  " in capsys.readouterr().out


def test_page_of_several_needs_a_place_and_no_file_of_others_is_lost(
    sweep: Path, capsys: pytest.CaptureFixture
) -> None:
    runs = [str(sweep / "a-1"), str(sweep / "a-2")]
    assert main(runs) == 2
    assert main([*runs, "--out", str(sweep)]) == 2
    (sweep / "report.html").write_text("<p>mine</p>")
    assert main([str(sweep)]) == 2
    assert (sweep / "report.html").read_text() == "<p>mine</p>"
    told = capsys.readouterr().err
    assert len(re.findall(r"^error: (--out|.*report\.html was not made here)", told, re.M)) == 3
    assert main([runs[0]]) == 0
    assert main([runs[0]]) == 0  # its own page is written anew


def test_page_tells_what_a_run_was_resumed_on(sweep: Path) -> None:
    before = {"torch": "2.10.0", "numpy": "2.4.6"}
    now = {"torch": "2.14.1", "numpy": "2.4.6", "earlier": [before]}
    (sweep / "a-1" / "environment.json").write_text(json.dumps(now))
    main([str(sweep)])
    page = (sweep / "report.html").read_text()
    assert "before, torch" in page and "2.10.0" in page and "2.14.1" in page
    assert "before, numpy" not in page
