"""Importing: a plugin by its module's name or its file; what goes wrong names it and its line."""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from pfedmma_dist.plugins.code import KEY
from pfedmma_dist.spelling import quoted, shortened

MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def is_path(word: str) -> bool:
    """Whether a word names a file and not a module."""
    return word.endswith(".py") or "/" in word


def located(word: str) -> str:
    """Return a plugin's word with an absolute path; ValueError where it names nothing."""
    if is_path(word):
        path = Path(os.path.abspath(os.path.expanduser(word)))
        if path.suffix != ".py":
            meant = f"; did you mean {word}.py?" if os.path.isfile(f"{path}.py") else ""
            raise ValueError(
                f"{KEY}: {quoted(word)} is no Python file; give FILE.py, or a module{meant}"
            )
        if not path.is_file():
            raise ValueError(
                f"{KEY}: there is no file {path}; a path without / before it begins at the working "
                "folder"
            )
        return str(path)
    if not MODULE.fullmatch(word):
        raise ValueError(
            f"{KEY}: {quoted(word)} is neither a module, such as my_lab.methods, nor a file, such "
            "as my_lab/methods.py"
        )
    return word


def imported(word: str) -> ModuleType:
    """Import a module or a file; whatever goes wrong names it."""
    try:
        return _executed(Path(word)) if is_path(word) else importlib.import_module(word)
    # Whatever a stranger's module raises, an end of the process included, is told as the fault of
    # that module, with its line; nothing is swallowed.
    except (Exception, SystemExit) as error:
        missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
        if missing and not is_path(word) and f"{word}.".startswith(f"{missing}."):
            raise ValueError(not_there(word, missing)) from error
        raise _broken(word, error) from error


def _executed(path: Path) -> ModuleType:
    """Import a file under a name of its own."""
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and inspect look for it
    spec.loader.exec_module(module)
    return module


def not_there(word: str, missing: str) -> str:
    """Return the message about a module that is not found. missing: of its name, the part."""
    file = Path(*word.split(".")).with_suffix(".py")
    if file.is_file():
        remedy = f"; {file} is there, but not on Python's path: write {KEY}=[{file}]"
    else:
        remedy = (
            "; start from the folder that holds it by python -m, put that folder into PYTHONPATH, "
            f"install it, or give its file: {KEY}=[PATH/{file.name}]"
        )
    part = "" if missing == word else f" ({missing} is not found)"
    return f"{KEY}: there is no module {word}{part}{remedy}"


def _broken(word: str, error: BaseException) -> ValueError:
    """Return the error about a plugin that cannot be imported: what was raised, and where."""
    if isinstance(error, SyntaxError):
        where, words = (error.filename, error.lineno), error.msg
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame)]
        where = (frames[-1].filename, frames[-1].lineno) if frames else (word, 0)
        words = str(error)
    told = shortened(" ".join(f"{type(error).__name__}: {words}".split()), 300)
    place = f"{where[0]}, line {where[1]}"
    return ValueError(
        f"{KEY}: {word} cannot be imported: {told} ({place}); mend that, or leave it out of {KEY}"
    )


def _is_own(frame: traceback.FrameSummary) -> bool:
    """Whether a line of a traceback is neither Python's import nor this program's."""
    inside = Path(frame.filename).is_relative_to(Path(__file__).parents[1])
    return not inside and not frame.filename.startswith("<frozen")
