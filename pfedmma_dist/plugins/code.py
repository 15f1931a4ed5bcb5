"""Code: the source of a plugin in digests, and whether it is what made a run."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

KEY = "plugins"
"""Of the configuration, and of what a run writes down about the code that made it."""

Record = list[dict[str, Any]]
"""What is written down about plugins: name, digest, and the sha256 of each file."""


def changed(saved: Record, now: Record) -> list[str]:
    """Say of each plugin that has other code than it had: then and now, and in which files."""
    then, told = {one["name"]: one for one in saved}, []
    for one in now:
        was = then.get(one["name"])
        if was is not None and was["digest"] != one["digest"]:
            files = sorted(
                name
                for name in {*was["files"], *one["files"]}
                if was["files"].get(name) != one["files"].get(name)
            )
            told.append(f"{one['name']} {was['digest']} then, {one['digest']} now "
                        f"({', '.join(files)})")  # fmt: skip
    return told


def replaced(saved: Record, now: Record) -> bool:
    """Whether other plugins stand in the place of those that were there, whatever their names."""
    return {one["name"] for one in saved} != {one["name"] for one in now} and {
        one["digest"] for one in saved
    } != {one["digest"] for one in now}


def sources(module: ModuleType) -> dict[str, str]:
    """Return the files of a module's package, as far as it is loaded, and their digests."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in _files(module)}


def _files(module: ModuleType) -> Iterator[tuple[str, Path]]:
    top = module.__name__.partition(".")[0]
    for name, other in sorted(sys.modules.items()):
        file = getattr(other, "__file__", None)
        if file is not None and (name == top or name.startswith(f"{top}.")):
            path = Path(file)
            whole = [*name.split("."), path.name] if path.stem == "__init__" else name.split(".")
            is_alone = name == top and path.stem != "__init__"
            yield path.name if is_alone else str(Path(*whole).with_suffix(path.suffix)), path
