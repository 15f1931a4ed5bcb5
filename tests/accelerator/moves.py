"""Mutants: the package with one of its moves to a device taken away."""

import ast
import importlib.abc
import importlib.machinery
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pfedmma_dist"
FOLDERS = ("clip", "exchange", "federation", "methods", "params.py")
OUT_OF_REACH = tuple(f"clip/{name}.py" for name in ("hub", "load", "rehearsal", "vocabulary"))
"""The guard neither loads weights nor saves any."""


@dataclass(frozen=True)
class Mutant:
    """A file without one of its moves."""

    path: Path
    lines: range
    was: str
    tree: ast.Module  # its lines are those of the file

    @property
    def sites(self) -> set[str]:
        """How the pretended device calls its lines."""
        return {f"{self.path.relative_to(PACKAGE).as_posix()}:{line}" for line in self.lines}

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE).as_posix()}:{self.lines[0]}"


class Left(ast.NodeTransformer):
    """Takes the device out of the n-th call that names one."""

    def __init__(self, which: int) -> None:
        self.which, self.seen, self.lines, self.was = which, 0, range(0), ""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        changed = without_device(node)
        if changed is not None:
            self.seen += 1
            if self.seen == self.which:
                self.lines = range(node.lineno, node.end_lineno + 1)
                self.was = ast.unparse(node)
                return changed
        return node


def without_device(node: ast.Call) -> ast.AST | None:
    """Return a call that moves nothing; None where this one does not."""
    named = [word for word in node.keywords if word.arg == "device"]
    if named:
        kept = [word for word in node.keywords if word.arg != "device"]
        return ast.Call(node.func, node.args, kept)
    if not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr == "cpu" and not node.args:
        return node.func.value
    if node.func.attr != "to" or not node.args:
        return None
    first = ast.unparse(node.args[0])
    if "dtype" in first or "wide" in first or "torch." in first:
        return None
    rest = node.args[1:]
    if not rest and "device" not in first and first != "'cpu'":  # .to(a tensor)
        rest = [ast.Attribute(node.args[0], "dtype", ast.Load())]
    if not rest and not node.keywords:
        return node.func.value
    return ast.Call(node.func, rest, node.keywords)


def mutants(part: str) -> Iterator[Mutant]:
    """Yield every mutant of files whose path has this part."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(FOLDERS) or name in OUT_OF_REACH or part not in name:
            continue
        which = 1
        while True:
            left = Left(which)
            tree = ast.fix_missing_locations(left.visit(ast.parse(path.read_text())))
            if not left.lines:
                break
            yield Mutant(path, left.lines, left.was, tree)
            which += 1


class Instead(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports a mutant in place of its file."""

    def __init__(self, mutant: Mutant) -> None:
        name = ".".join(mutant.path.relative_to(ROOT).with_suffix("").parts)
        super().__init__(name, str(mutant.path))
        self.mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != self.name:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.mutant.path))

    def get_code(self, name: str) -> object:
        return compile(self.mutant.tree, str(self.mutant.path), "exec")
