"""The words of `--help` and `--list`, taken from the source so that they cannot drift from it."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.meaning import MEANING, Meaning
from pfedmma_dist.config.merge import Leaf, Methods, leaves, shown
from pfedmma_dist.config.ruled import OPTIONS, RULE

WIDTH = 96
NONE: Methods = {}
"""What plugins have registered, without any."""

USAGE = """\
usage: python -m pfedmma_dist.train [FILE.yaml ...] [key=value ...]
       torchrun --nproc_per_node=N -m pfedmma_dist.train [FILE.yaml ...] [key=value ...]
       python -m pfedmma_dist.train --help | --list | [FILE.yaml ...] [key=value ...] --print-config

Files and key=value words are read from left to right and the last one wins. In a file the keys
are nested: `federation:` on one line, `  rounds: 50` on the next. Unknown keys and values of a
wrong type are refused. A list is written [a,b], in a shell "data.classes=[dog,sea horse]", with
quotes round what YAML takes for something else than text: "data.classes=['001','no']". A path
under configs/ that is not below the working folder is taken from the presets installed with the
program.

Without a file and without data.name, training begins in the embedded world, that is with
  configs/data/glyphs_base_to_novel.yaml configs/method/glyphs/<method.name>.yaml
and no data, weights or network are needed. The defaults listed below are those before any file.

  --help, -h      this text
  --list          methods and data sets
  --print-config  the resolved configuration as YAML, without running it

examples
  python -m pfedmma_dist.train
  python -m pfedmma_dist.train method.name=promptfl federation.rounds=20
  python -m pfedmma_dist.train data.name=caltech101 data.root=DATA method.name=promptfl
  torchrun --nproc_per_node=2 -m pfedmma_dist.train my.yaml federation.rounds=50 method.rank=16
  python -m pfedmma_dist.train runs/mine/config.yaml run.folder=runs/mine    # resume that run
"""


def manual(methods: Methods, rules: Methods = NONE) -> str:
    """Return every key with its default, its type and its docstring."""
    docs, known = field_docs(Config), leaves(Config)
    blocks = [USAGE]
    for item in fields(Config):
        if item.name == "method":
            blocks.append(_heading("method", docs["method"]) + _methods(methods))
        elif is_dataclass(item.type):
            table = _deciders() if item.name == "data" else ""
            section: Any = item.type
            entries = keys(section, item.name)
            entries += _rules(rules) if item.name == "server" else ""
            blocks.append(_heading(item.name, section.__doc__) + table + entries)
        else:
            if len(blocks) == 1:
                blocks.append(_heading("keys", Config.__doc__))
            blocks[-1] += _entry(known[item.name], docs[item.name])
    return "\n".join(blocks)


def listing(
    methods: Methods, sources: Mapping[str, Callable[..., Any]], rules: Methods = NONE
) -> str:
    """Return the names of methods and data sets, each with the first line of its docstring, and
    those of rules where plugins have any."""
    return "\n".join(
        f"{title} ({key})\n{_table(table)}"
        for title, key, table in (
            ("methods", "method.name", methods),
            ("data sets", "data.name", sources),
            ("rules of the server", RULE, rules),
        )
        if table
    )


def keys(schema: type, section: str = "") -> str:
    """Return the keys of one dataclass, each with its default, its type and its docstring."""
    docs, prefix = field_docs(schema), f"{section}." if section else ""
    return "".join(
        _entry(leaf, docs.get(key.removeprefix(prefix), ""))
        for key, leaf in leaves(schema, prefix).items()
    )


def field_docs(schema: type) -> dict[str, str]:
    """Return the docstring under each field of a dataclass, inherited ones included."""
    docs: dict[str, str] = {}
    for base in reversed([base for base in schema.__mro__ if is_dataclass(base)]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for line, below in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                docs[line.target.id] = " ".join(str(below.value.value).split())
    return docs


def _methods(methods: Methods) -> str:
    """Return the name key and one entry per method, its options below it."""
    name = Leaf("method.name", str, Config().method["name"])
    text = _entry(name, f"One of {', '.join(methods)}; each has its own options, below.")
    for method, kind in methods.items():
        text += _wrap(f"with method.name={method}: {_first_line(kind)}", "  ", "    ")
        text += keys(kind.Options, "method") or "    (no options)\n"
    return text


def _rules(rules: Methods) -> str:
    """Return one entry per rule of a plugin, its options below it."""
    text = ""
    for rule, kind in rules.items():
        text += _wrap(f"with {RULE}={rule}: {_first_line(kind)}", "  ", "    ")
        text += keys(kind.Options, OPTIONS) or "    (no options)\n"
    return text


def _heading(name: str, doc: str | None) -> str:
    return _wrap(f"{name}: {' '.join((doc or '').split())}", "", "  ")


def _deciders() -> str:
    """Return a table of the keys that a task, a partition or a data set alone reads."""
    readers: dict[str, list[str]] = {}
    for key, leaf in leaves(Config).items():
        for other, values in leaf.metadata.get(MEANING, Meaning()).only.items():
            for value in values:
                readers.setdefault(f"{other}={value}", []).append(key)
    lines = [
        _wrap(f"  {reader:<30}{' '.join(names)}", "  ", " " * 34)
        for reader, names in sorted(readers.items(), reverse=True)
    ]
    return "  keys that one choice reads and another does not:\n" + "".join(lines)


def _entry(leaf: Leaf, doc: str) -> str:
    told = leaf.metadata.get(MEANING, Meaning())
    if told.where:
        doc += f" Read at {told.where}{', refused elsewhere' if told.refused else ''}."
    title = f"  {leaf.key}={shown(leaf.default)}"
    return _wrap(f"{title:<48}{leaf.expected}", "", " " * 48) + _wrap(doc, " " * 6, " " * 6)


def _table(table: Mapping[str, Any]) -> str:
    width = max(map(len, table), default=0) + 2
    return "".join(
        _wrap(f"{name:<{width}}{_first_line(kind)}", "  ", " " * (width + 2))
        for name, kind in table.items()
    )


def _first_line(kind: Any) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _wrap(text: str, first: str, rest: str) -> str:
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    return "\n".join(lines) + "\n"
