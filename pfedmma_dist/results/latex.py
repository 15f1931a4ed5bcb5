"""Write tables as LaTeX, for papers; they need the package booktabs."""

from collections.abc import Iterable, Sequence

from pfedmma_dist.results.cells import Table
from pfedmma_dist.results.markdown import lines_of, notes
from pfedmma_dist.run.labels import printable

ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
    "β": r"$\beta$",
    "†": r"$^{\dagger}$",
}


def latex(tables: Iterable[Table]) -> str:
    """Return a table environment for each table, its caption its title; notes are comments."""
    found = list(tables)
    told = "".join(f"% {note}\n" for note in notes(found))
    return f"% \\usepackage{{booktabs}}\n{told}" + "".join(map(_table, found))


def escaped(words: str) -> str:
    """Return words so that LaTeX prints them as they are."""
    return "".join(ESCAPES.get(character, character) for character in printable(words))


def tabular(title: str, heads: Sequence[str], lines: Iterable[str]) -> str:
    """Return a table environment; lines: of the body, as LaTeX."""
    aligned = "l" + "r" * (len(heads) - 1)
    return (
        "\n\\begin{table}\n\\centering\n"
        f"\\caption{{{escaped(title)}}}\n"
        f"\\begin{{tabular}}{{{aligned}}}\n\\toprule\n"
        f"{' & '.join(map(escaped, heads))} \\\\\n\\midrule\n{''.join(lines)}\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def _table(table: Table) -> str:
    heads, lines = lines_of(table, escaped, r"\textbf{{{}}}")
    body, before = [], True
    for row, line in zip(table.rows, lines, strict=True):
        rule = "\\midrule\n" if row.is_published and not before else ""
        body.append(f"{rule}{' & '.join(line)} \\\\\n")
        before = row.is_published
    return tabular(table.title, heads, body)
