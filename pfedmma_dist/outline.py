"""The methods in outline: names, first words and options, out of their source, without torch.

A method's file imports torch, which takes seconds; who asks for `--help`, or has misspelt a key,
waits for none of it. An outline checks no value: `__post_init__` is the method's own.
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


def outlines() -> dict[str, type]:
    """Return METHODS in outline: name -> class with its docstring and its `Options`."""
    listed = next(node.value for node in _tree(HOME).body if "ALL" in _bound(node))
    kinds = [_value(HOME, name.id) for name in listed.elts]
    return {kind.name: kind for kind in kinds}


@cache
def _value(module: str, name: str) -> Any:
    """Return what a name means in a module of ours, of which no more is run than that needs."""
    node = next((node for node in _tree(module).body if name in _bound(node)), None)
    if node is None:
        return getattr(builtins, name)
    if isinstance(node, ast.ImportFrom):
        [real] = [item.name for item in node.names if (item.asname or item.name) == name]
        is_ours = node.module.startswith(PACKAGE) and not node.module.startswith(LIGHT)
        imported = importlib.import_module
        return _value(node.module, real) if is_ours else getattr(imported(node.module), real)
    if isinstance(node, ast.ClassDef):
        node = _without_functions(node)
    space, inside = vars(_module(module)), set().union(*map(_bound, getattr(node, "body", [])))
    for used in {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}:
        if used != name and used not in inside:
            space[used] = _value(module, used)
    exec(compile(ast.Module([node], []), _path(module), "exec"), space)
    return space[name]


def _without_functions(node: ast.ClassDef) -> ast.ClassDef:
    """Return a class with no more than its docstrings and values; of a method, what it tells."""
    holds = node.decorator_list or any(ast.unparse(base) == "Enum" for base in node.bases)
    body = [
        line
        for line in node.body
        if isinstance(line, ast.Expr) or (_bound(line) if holds else _bound(line) & TOLD)
    ]
    body = [line for line in body if not isinstance(line, ast.FunctionDef)]
    return ast.ClassDef(node.name, node.bases, [], body or [ast.Pass()], node.decorator_list,
                        lineno=node.lineno, col_offset=0)  # fmt: skip


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
