"""docs/keys.md: every key with its default, type, meaning and what it can reach."""

import re
from dataclasses import fields, is_dataclass

from pfedmma_dist.config.help import field_docs
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.meaning import MEANING, Meaning
from pfedmma_dist.config.merge import Leaf, leaves, shown
from pfedmma_dist.methods import METHODS
from tests.documentation.pages import DOCS

PAGE = DOCS / "keys.md"
INTRODUCTION = """\
<!-- Written by `python -m tests.documentation` from the source: do not edit. -->

# Every key

In a file the keys are nested, on a command line they are dotted words: `optim.lr=0.01`. This is
what `python -m pfedmma_dist.train --help` prints. A key decides the numbers unless it says that it
decides *how the numbers are rounded*, *where and with what the run works*, or *which numbers are
shown on the way*; only keys of the first two kinds can make a second run of one, and those of the
last two may be changed when a run goes on. Options of methods stand on [their pages](methods.md).
"""


def page() -> str:
    """Return the page in Markdown."""
    docs, known = field_docs(Config), leaves(Config)
    parts = [INTRODUCTION]
    alone = [item for item in fields(Config) if not is_dataclass(item.type)]
    parts.append("## Alone\n")
    for item in alone:
        if item.name != "method":
            parts.append(entry(known[item.name], docs[item.name]))
    names = ", ".join(f"[`{name}`](methods/{name}.md)" for name in METHODS)
    default = Config().method["name"]
    parts.append(f"- **`method.name`** = `{default}`. One of {names}; each has options of its own.")
    for item in fields(Config):
        if isinstance(item.type, type) and is_dataclass(item.type):
            parts.append(
                f"\n## {item.name}\n\n{escaped(' '.join((item.type.__doc__ or '').split()))}\n"
            )
            told = field_docs(item.type)
            parts += [
                entry(leaf, told.get(key.removeprefix(f"{item.name}."), ""))
                for key, leaf in leaves(item.type, f"{item.name}.").items()
            ]
    return "\n".join(parts) + "\n"


def entry(leaf: Leaf, doc: str) -> str:
    """Return the line of a key."""
    meaning = leaf.metadata.get(MEANING, Meaning())
    kind = escaped(leaf.expected)
    line = f"- **`{leaf.key}`** = `{shown(leaf.default)}` ({kind}). {escaped(doc)}"
    if meaning.where:
        refused = ", refused elsewhere" if meaning.refused else ""
        line += f" Read at {escaped(meaning.where)}{refused}."
    return line if meaning.role.name == "RESULT" else f"{line} *Decides {meaning.role.value}.*"


def escaped(text: str) -> str:
    """Return plain text as Markdown that reads the same, its code in backticks left alone."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece
        if piece.startswith("`")
        else re.sub(r"([\\*<\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", piece)
        for piece in pieces
    )
