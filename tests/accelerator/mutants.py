"""Take one move to a device away at a time, and see whether the guard notices.

    PYTHONPATH=. python tests/accelerator/mutants.py [PART OF A PATH]

Prints a line for each mutant. Not all of them are faults: a tensor may be there already, and torch
takes a mask or an index of the host for a tensor on a GPU.
"""

import ast
import importlib.abc
import importlib.machinery
import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("clip", "exchange", "federation", "methods", "params.py")
OUT_OF_REACH = ("clip/hub.py", "clip/load.py", "clip/rehearsal.py")  # the guard loads no weights
GUARD = [Path(__file__).with_name(f"test_{name}.py") for name in ("memory_of_the_gpu", "guard")]
CAUGHT, MISSED = 0, 7


@dataclass(frozen=True)
class Mutant:
    """A file without one of its moves."""

    path: Path
    line: int
    was: str
    source: str


class Left(ast.NodeTransformer):
    """Takes the device out of the n-th call that names one."""

    def __init__(self, which: int) -> None:
        self.which, self.seen, self.line, self.was = which, 0, 0, ""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        changed = without_device(node)
        if changed is not None:
            self.seen += 1
            if self.seen == self.which:
                self.line, self.was = node.lineno, ast.unparse(node)
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
    package = ROOT / "pfedmma_dist"
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(FOLDERS) or name in OUT_OF_REACH or part not in name:
            continue
        which = 1
        while True:
            left = Left(which)
            tree = ast.fix_missing_locations(left.visit(ast.parse(path.read_text())))
            if not left.line:
                break
            yield Mutant(path, left.line, left.was, ast.unparse(tree))
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
        return compile(self.mutant.source, str(self.mutant.path), "exec")


class Word:
    """Keeps what the first test to fail has said."""

    said = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.said = f"{report.nodeid.partition('::')[2]}: {report.longrepr.reprcrash.message}"


def guarded() -> int:
    """Run the guard until one of its tests fails; hide what they print."""
    word, words = Word(), ["-x", "-q", "--numprocesses=0", "-p", "no:cacheprovider"]
    with redirect_stdout(io.StringIO()):
        failed = pytest.main([*words, *map(str, GUARD)], plugins=[word])
    print("  " + " ".join(word.said.split())[:150], flush=True)
    return CAUGHT if failed else MISSED


def main() -> None:
    """Try every mutant in a process of its own."""
    import open_clip  # noqa: F401
    import torch

    torch.set_num_threads(1)
    for folder in (ROOT, ROOT / "tests", Path(__file__).parent):
        sys.path.insert(0, str(folder))
    caught = 0
    for total, mutant in enumerate(mutants(sys.argv[1] if len(sys.argv) > 1 else ""), 1):
        print(f"{mutant.path.relative_to(ROOT)}:{mutant.line} {mutant.was[:80]!r}", flush=True)
        child = os.fork()
        if not child:
            sys.meta_path.insert(0, Instead(mutant))
            os._exit(guarded())
        _, status = os.waitpid(child, 0)
        caught += os.waitstatus_to_exitcode(status) != MISSED
        print(f"{caught} of {total} caught", flush=True)


if __name__ == "__main__":
    main()
