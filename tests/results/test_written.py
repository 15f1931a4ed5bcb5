"""Tables as people and programs read them: bold, marks, escapes, and CSV that reads back."""

import csv
import io
from dataclasses import replace

from pfedmma_dist.results.cells import Cell, Column, Row, Table
from pfedmma_dist.results.comma_separated import comma_separated
from pfedmma_dist.results.latex import latex
from pfedmma_dist.results.markdown import markdown

COLUMNS = (Column("local_mean", "Local"), Column("hm", "HM"))
FIRST, SECOND = (58.126, 60.126, 62.126), (39.0, 40.0, 41.0)
TABLE = Table(
    "pets_2, base to novel",
    ("Method", "Lr"),
    COLUMNS,
    (
        Row(("a & b", "0.1"), (Cell.of(dict(enumerate(FIRST)), 3), Cell(50.0, None, 1, 3))),
        Row(("50 %", ""), (Cell.of(dict(enumerate(SECOND)), 3), Cell(None, None, 0, 3))),
        Row(("a (paper)", ""), (Cell(88.93), Cell()), is_published=True),
    ),
    task="base_to_novel",
    data="pets_2",
)
COSTS = Table(
    "Cost",
    ("Method",),
    (Column("trained", "Trained", "numbers"), Column("up_bytes", "Up", "bytes")),
    (
        Row(("a",), (Cell(39936, num=2), Cell(12288, num=2))),
        Row(("b",), (Cell(), Cell(0, num=1))),
        Row(("b (paper)",), (Cell(8), Cell()), is_published=True),
    ),
    is_ranked=False,
)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_markdown_marks_best_missing_and_partial_cells() -> None:
    title, _, head, rule, first, second, paper, *_ = markdown([TABLE]).splitlines()
    assert title == "### pets_2, base to novel"
    assert cells(head) == ["Method", "Lr", "Local", "HM", "n"]
    assert len(rule) == len(head)
    assert cells(rule)[2].strip("-") == ":"
    assert cells(first) == ["a & b", "0.1", "**60.13 ± 2.00**", "50.00†", "1-3 of 3"]
    assert cells(second) == ["50 %", "", "40.00 ± 1.00", "–", "0-3 of 3"]
    assert cells(paper) == ["a (paper)", "", "88.93", "–", ""]


def test_markdown_says_what_its_marks_mean_and_no_more() -> None:
    told = markdown([TABLE]).splitlines()[-5:]
    assert told.pop(1).startswith("In bold: the best of a column, where the 95 % interval")
    assert told == [
        "Accuracies in percent: mean ± sample standard deviation over n seeds.",
        "HM is taken in every run, then averaged.",
        "† over fewer seeds than planned, and never in bold.",
        "(paper): published figures, not measured here and never in bold.",
    ]
    assert markdown([COSTS]).splitlines() == [
        "### Cost",
        "",
        "| Method    | Trained |     Up |   n |",
        "| --------- | ------: | -----: | --: |",
        "| a         |  39,936 | 12 KiB |   2 |",
        "| b         |       – |    0 B | 0-1 |",
        "| b (paper) |       8 |      – |     |",
        "",
        "n beside costs: the runs that agree on them.",
        "(paper): published figures, not measured here and never in bold.",
    ]


def test_line_alone_needs_no_word_about_bold() -> None:
    assert "In bold" not in markdown([replace(TABLE, rows=TABLE.rows[:1])])


def test_latex_escapes_what_it_would_not_print() -> None:
    text = latex([TABLE])
    assert r"\caption{pets\_2, base to novel}" in text
    assert r"a \& b & 0.1 & \textbf{60.13 $\pm$ 2.00} & 50.00$^{\dagger}$ & 1-3 of 3 \\" in text
    assert r"50 \% &  & 40.00 $\pm$ 1.00 & -- & 0-3 of 3 \\" in text
    assert "\\midrule\na (paper) &" in text
    assert text.count("{") == text.count("}")
    assert all(line.startswith("%") for line in text.splitlines() if "booktabs" in line)


def test_csv_reads_back_to_the_cells() -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated([TABLE, COSTS]))))
    assert len(rows) == 3 * 2 + 3 * 2
    assert rows[0] == {
        "task": "base_to_novel", "data": "pets_2", "method": "a & b", "lr": "0.1",
        "column": "local_mean", "unit": "percent", "mean": "60.126", "deviation": "2.0",
        "n": "3", "planned": "3", "best": "1", "published": "0",
    }  # fmt: skip
    assert [row["mean"] for row in rows if row["column"] == "hm"] == ["50.0", "", ""]
    assert [row["published"] for row in rows if row["method"] == "a (paper)"] == ["1", "1"]
    assert (rows[-3]["mean"], rows[-3]["lr"], rows[-3]["n"]) == ("0", "", "1")
