"""The methods in outline: names, first words and options, out of their source, without torch.

A method's file imports torch, which takes seconds; who asks for `--help`, has misspelt a key, or
plans a sweep waits for none of it. Options are whole, with the checks of their values.
"""

import ast
import builtins
import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "pfedmma_dist"
HOME = f"{PACKAGE}.methods"
LIGHT = f"{PACKAGE}.config"
"""Modules of ours that import nothing heavy, and are taken as they are."""

TOLD = {"name", "Options"}
"""What is kept of a class that holds no data and is no Enum: of a method."""


@cache
def outlines() -> dict[str, type]:
    """Return METHODS in outline: name -> class with its docstring and its `Options`."""
    listed: Any = next(node for node in _tree(HOME).body if "ALL" in _bound(node))
    kinds = [_value(HOME, name.id) for name in listed.value.elts]
    return {kind.name: kind for kind in kinds}


@cache
def _value(module: str, name: str) -> Any:
    """Return what a name means in a module of ours, of which no more is run than that needs."""
    node = next((node for node in _tree(module).body if name in _bound(node)), None)
    if node is None:
        is_module = module == HOME and _path(f"{module}.{name}").exists()
        return _Inside(f"{module}.{name}") if is_module else getattr(builtins, name)
    if isinstance(node, ast.ImportFrom):
        [real] = [item.name for item in node.names if (item.asname or item.name) == name]
        home = node.module or ""
        is_ours = home.startswith(PACKAGE) and not home.startswith(LIGHT)
        imported = importlib.import_module
        return _value(home, real) if is_ours else getattr(imported(home), real)
    node = _told(node) if isinstance(node, ast.ClassDef) else node
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef):
            _without_hints(inner)
    space = vars(_module(module))
    for used in _used(node) - {name}:
        space[used] = _value(module, used)
    exec(compile(ast.Module([node], []), _path(module), "exec"), space)
    return space[name]


class _Inside:
    """What a module of ours means by its names, each looked up when it is asked for."""

    def __init__(self, module: str) -> None:
        self._home = module

    def __getattr__(self, name: str) -> Any:
        return _value(self._home, name)


def _told(node: ast.ClassDef) -> ast.ClassDef:
    """Return a class that holds data or is an Enum as it is; of a method, what it tells."""
    if node.decorator_list or any(ast.unparse(base) == "Enum" for base in node.bases):
        return node
    body = [line for line in node.body if isinstance(line, ast.Expr) or _bound(line) & TOLD]
    return ast.ClassDef(node.name, node.bases, [], body or [ast.Pass()], [],
                        lineno=node.lineno, col_offset=0)  # fmt: skip


def _without_hints(function: ast.FunctionDef) -> None:
    """Take the annotations from a function: they may name what torch holds."""
    function.returns = None
    for each in ast.walk(function.args):
        if isinstance(each, ast.arg):
            each.annotation = None


def _used(node: ast.stmt) -> set[str]:
    """Return the names that a statement takes from its module."""
    own = set().union(*map(_bound, getattr(node, "body", [])))
    for item in ast.walk(node):
        own |= {item.arg} if isinstance(item, ast.arg) else set()
        own |= (
            {item.id} if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store) else set()
        )
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)} - own


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement gives a meaning."""
    if isinstance(node, ast.ImportFrom | ast.Import):
        return {item.asname or item.name for item in node.names}
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return {target.id for target in targets if isinstance(target, ast.Name)}


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _path(module: str) -> Path:
    path = Path(__file__).parent.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _module(name: str) -> ModuleType:
    """Return the module that holds what is made of another's source, where `inspect` finds it."""
    module = ModuleType(f"outline of {name}")
    module.__file__ = str(_path(name))
    sys.modules[module.__name__] = module
    return module
