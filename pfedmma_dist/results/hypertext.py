"""Write tables and pages as HTML that needs nothing else: no network, no script, no second file."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pfedmma_dist.results.cells import Table
from pfedmma_dist.results.markdown import lines_of, notes
from pfedmma_dist.run.labels import printable

STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --faint: #666; --rule: #ccc; --shade: #f5f5f2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: #fff; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid var(--rule); }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.faint, caption, figcaption { color: var(--faint); font-size: .9rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; font-weight: 600; color: var(--ink); }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-bottom: 1px solid var(--ink); vertical-align: bottom; }
tbody tr:nth-child(even) { background: var(--shade); }
.words td, .words th { text-align: left; white-space: normal; overflow-wrap: anywhere;
  vertical-align: top; min-width: 6.5rem; }
pre { overflow-x: auto; padding: .8rem; background: var(--shade); font-size: .85rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; }
nav a { margin-right: 1rem; white-space: nowrap; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2 { break-after: avoid; }
  figure, tr, table:not(.words) { break-inside: avoid; }
  .wide { overflow: visible; }
  th, td { padding: .15rem .4rem; white-space: normal; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; columns: 2 16rem; }
}
"""


@dataclass(frozen=True)
class Section:
    """A part of a page below a heading of its own."""

    title: str
    parts: tuple[str, ...]  # HTML

    @property
    def anchor(self) -> str:
        """Return what links to it name."""
        return "-".join(self.title.lower().split())


def page(title: str, lead: Sequence[str], sections: Iterable[Section]) -> str:
    """Return a whole page: its title, paragraphs that lead in, and sections that hold anything."""
    shown = [section for section in sections if section.parts]
    links = " ".join(f'<a href="#{s.anchor}">{escaped(s.title)}</a>' for s in shown)
    bodies = "".join(
        f'<section id="{s.anchor}">\n<h2>{escaped(s.title)}</h2>\n{"".join(s.parts)}</section>\n'
        for s in shown
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escaped(title)}</h1>\n{''.join(map(paragraph, lead))}"
        f"<nav>{links}</nav>\n{bodies}</body>\n</html>\n"
    )


def escaped(words: str) -> str:
    """Return words so that a browser shows them as they are."""
    return html.escape(printable(words))


def paragraph(words: str) -> str:
    """Return a paragraph."""
    return f"<p>{escaped(words)}</p>\n"


def bullets(lines: Iterable[str]) -> str:
    """Return a list of lines; nothing of none."""
    items = "".join(f"<li>{escaped(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>\n" if items else ""


def listing(words: str) -> str:
    """Return text of several lines as it stands."""
    lines = "\n".join(html.escape(printable(line)) for line in words.splitlines())
    return f"<pre>{lines}</pre>\n"


def picture(svg: bytes, caption: str) -> str:
    """Return a figure that holds its SVG; as an image, so that the names in it are its own."""
    inside = base64.b64encode(svg).decode()
    words = escaped(caption)
    return (
        f'<figure><img alt="{words}" src="data:image/svg+xml;base64,{inside}">'
        f"<figcaption>{words}</figcaption></figure>\n"
    )


def grid(
    title: str, heads: Sequence[str], lines: Iterable[Sequence[str]], *, numbers: bool = False
) -> str:
    """Return a table of words, which wrap; numbers: of what stays on one line."""
    body = "".join(_line("td", map(escaped, line)) for line in lines)
    kind = "" if numbers else ' class="words"'
    return _framed(title, _line("th", map(escaped, heads)), body, kind=kind)


def facts(title: str, found: Mapping[str, str]) -> str:
    """Return a table of names and what they are."""
    body = "".join(_line("td", map(escaped, pair)) for pair in found.items())
    return _framed(title, "", body, kind=' class="words"')


def hypertext(tables: Iterable[Table]) -> list[str]:
    """Return the tables, and below them what they mean."""
    found = list(tables)
    return [*map(_table, found), bullets(notes(found))]


def _table(table: Table) -> str:
    heads, lines = lines_of(table, escaped, "<strong>{}</strong>")
    body = "".join(_line("td", line) for line in lines)
    return _framed(table.title, _line("th", map(escaped, heads)), body)


def _line(cell: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{words}</{cell}>' for words in cells)}</tr>\n"


def _framed(title: str, head: str, body: str, kind: str = "") -> str:
    top = f"<thead>{head}</thead>" if head else ""
    caption = f"<caption>{escaped(title)}</caption>" if title else ""
    return f'<div class="wide"><table{kind}>{caption}{top}<tbody>\n{body}</tbody></table></div>\n'
