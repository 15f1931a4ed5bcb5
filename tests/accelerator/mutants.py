"""Take one move to a device away at a time, and see whether the guard notices.

    PYTHONPATH=. python tests/accelerator/mutants.py [PART OF A PATH]

Prints a line for each mutant. Not all of them are faults: a tensor may be there already, and torch
takes a mask or an index of the host for a tensor on a GPU.
"""

import ast
import importlib.abc
import importlib.machinery
import io
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = str(ROOT / "pfedmma_dist")
FOLDERS = ("clip", "exchange", "federation", "methods", "params.py")
OUT_OF_REACH = tuple(f"clip/{name}.py" for name in ("hub", "load", "rehearsal", "vocabulary"))
"""The guard neither loads weights nor saves any."""
GUARD = [
    Path(__file__).with_name(f"test_{name}.py") for name in ("memory_of_the_gpu", "room", "guard")
]
CAUGHT, MISSED, UNREACHED = 0, 7, 8


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


class Reached:
    """Notes which tests run which lines of the package."""

    def __init__(self) -> None:
        self.tests: dict[tuple[str, int], list[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        def line(frame: FrameType, event: str, argument: object) -> object:
            if event == "line":
                known = self.tests.setdefault((frame.f_code.co_filename, frame.f_lineno), [])
                if item.nodeid not in known[-1:]:
                    known.append(item.nodeid)
            return line

        def call(frame: FrameType, event: str, argument: object) -> object:
            return line if frame.f_code.co_filename.startswith(PACKAGE) else None

        sys.settrace(call)
        try:
            return (yield)
        finally:
            sys.settrace(None)


class Word:
    """Keeps what the first test to fail has said."""

    said = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            said = getattr(report.longrepr, "reprcrash", None) or report.longrepr
            self.said = f"{report.nodeid.partition('::')[2]}: {getattr(said, 'message', said)}"


def guarded(tests: list[str], plugin: object) -> bool:
    """Run tests until one fails; hide what they print. Returns whether one has."""
    words = ["-x", "-q", "--numprocesses=0", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    with redirect_stdout(io.StringIO()):
        return bool(pytest.main([*words, *tests], plugins=[plugin]))


def reached() -> dict[tuple[str, int], list[str]]:
    """Return the tests of the guard that run each line, found in a process of its own."""
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def find() -> None:
        found = Reached()
        assert not guarded(list(map(str, GUARD)), found), "the guard fails as it is"
        theirs.send(found.tests)

    child = multiprocessing.get_context("fork").Process(target=find)
    child.start()
    tests = ours.recv()
    child.join()
    return tests


def told(mutant: Mutant, tests: list[str]) -> int:
    """Run the tests that reach a mutant, print what the one that fails says; return the outcome."""
    sys.meta_path.insert(0, Instead(mutant))
    word = Word()
    failed = guarded(tests, word)
    print("  " + " ".join(word.said.split())[:150], flush=True)
    return CAUGHT if failed else MISSED


def main() -> None:
    """Try every mutant in a process of its own."""
    import open_clip  # noqa: F401
    import torch

    torch.set_num_threads(1)
    os.chdir(ROOT)
    for folder in (ROOT, ROOT / "tests", Path(__file__).parent):
        sys.path.insert(0, str(folder))
    tests, caught = reached(), 0
    for total, mutant in enumerate(mutants(sys.argv[1] if len(sys.argv) > 1 else ""), 1):
        here = tests.get((str(mutant.path), mutant.line), [])
        print(f"{mutant.path.relative_to(ROOT)}:{mutant.line} {mutant.was[:80]!r}", flush=True)
        child = os.fork()
        if not child:
            os._exit(told(mutant, here) if here else UNREACHED)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        caught += code not in (MISSED, UNREACHED)
        words = "no test comes here, " if code == UNREACHED else ""
        print(f"{words}{caught} of {total} caught", flush=True)


if __name__ == "__main__":
    main()
