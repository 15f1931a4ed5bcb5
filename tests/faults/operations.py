"""File operations of a process, seen before they happen: to count them, die at one, or refuse it.

Python's audit events tell of what is opened for writing, made, renamed and removed. What has no
event is wrapped: writing into an open file, fsync, fallocate, and safetensors' own writing.
"""

import builtins
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors.torch

EVENTS = {
    "open": "open",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.rmdir": "rmdir",
    "os.mkdir": "mkdir",
    "os.link": "link",
    "os.symlink": "link",
    "os.truncate": "truncate",
    "os.chmod": "chmod",
}
"""Audit event -> what it is called here; the path is its first argument."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

PHASES = {
    ("checkpoint.py", "_prune"): "pruning",
    ("checkpoint.py", "save"): "saving",
    ("checkpoint.py", "settle"): "saving",
    ("report.py", "finish"): "finishing",
    ("cache.py", "build"): "encoding",
}
"""(file, function) on the stack -> what the program is doing; without one it is starting or in a
round."""

OTHERWISE = "starting and reporting rounds"


@dataclass(frozen=True)
class Operation:
    """One file operation. helper: of another thread than the first, as TensorBoard's."""

    what: str
    path: str
    phase: str
    helper: bool


Meet = Callable[[Operation, Callable[[], None] | None], None]
"""Given what is about to happen and, of a write, a function that does half of it."""


def watch(folders: Sequence[Path], meet: Meet) -> None:
    """Meet every operation below these folders, from now to the end of this process."""
    roots = tuple(os.fspath(folder) for folder in folders)
    inside = threading.local()

    def ours(path: object) -> str | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        text = os.fsdecode(path)
        # Names without a folder are those of rmtree, which goes by descriptors.
        return text if text.startswith(roots) or "/" not in text else None

    def tell(what: str, path: object, half: Callable[[], None] | None = None) -> None:
        name = ours(path)
        if name is None or getattr(inside, "busy", False):
            return
        inside.busy = True
        try:
            helper = threading.current_thread() is not threading.main_thread()
            meet(Operation(what, name, phase_of(sys._getframe()), helper), half)
        finally:
            inside.busy = False

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and not (event == "open" and not _writes(arguments)):
            tell(EVENTS[event], arguments[0])

    _wrap_writes(tell, roots)
    sys.addaudithook(audit)


def phase_of(frame: FrameType | None) -> str:
    """Return what the program is doing, by the functions on the stack."""
    while frame is not None:
        code = frame.f_code
        found = PHASES.get((os.path.basename(code.co_filename), code.co_name))
        if found is not None:
            return found
        frame = frame.f_back
    return OTHERWISE


def kill_at(number: int, helper: bool, half: bool) -> Meet:
    """Return what kills this process before its operation of this number, or half-way through."""
    counts = [0, 0]

    def meet(operation: Operation, do_half: Callable[[], None] | None) -> None:
        counts[operation.helper] += 1
        if (counts[operation.helper], operation.helper) == (number, helper):
            if half and do_half is not None:
                do_half()
            os.kill(os.getpid(), signal.SIGKILL)

    return meet


def log_to(file: Path) -> Meet:
    """Return what writes a line for every operation."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def meet(operation: Operation, do_half: Callable[[], None] | None) -> None:
        fields = (operation.what, operation.phase, str(int(operation.helper)), operation.path)
        os.write(descriptor, ("\t".join(fields) + "\n").encode())

    return meet


def read_log(file: Path) -> list[Operation]:
    """Return the operations of such a log."""
    lines = [line.split("\t") for line in file.read_text().splitlines()]
    return [Operation(what, path, phase, helper == "1") for what, phase, helper, path in lines]


class _Watched:
    """A file open for writing that tells of every write."""

    def __init__(self, file: Any, path: object, tell: Callable[..., None]) -> None:
        self._file, self._path, self._tell = file, path, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Watched":
        self._file.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.__exit__(*exception)

    def __iter__(self) -> Any:
        return iter(self._file)

    def write(self, content: Any) -> int:
        self._tell("write", self._path, partial(self._half, content))
        return self._file.write(content)

    def _half(self, content: Any) -> None:
        self._file.write(content[: len(content) // 2])
        self._file.flush()


def _wrap_writes(tell: Callable[..., None], roots: tuple[str, ...]) -> None:
    """Put our own in the place of what writes."""
    opened, synced, saved = builtins.open, os.fsync, safetensors.torch.save_file

    def open_watched(file: Any, mode: str = "r", *words: Any, **options: Any) -> Any:
        found = opened(file, mode, *words, **options)
        named = isinstance(file, str | bytes | os.PathLike)
        if named and set(mode) & set("wax+") and os.fsdecode(file).startswith(roots):
            return _Watched(found, file, tell)
        return found

    def fsync(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        tell("fsync", os.readlink(f"/proc/self/fd/{number}"))
        synced(descriptor)

    def save_file(tensors: Any, filename: Any, *words: Any, **options: Any) -> None:
        def half() -> None:
            saved(tensors, filename, *words, **options)
            os.truncate(filename, os.path.getsize(filename) // 2)

        tell("write", filename, half)
        saved(tensors, filename, *words, **options)

    builtins.open = io.open = open_watched
    os.fsync = fsync
    if hasattr(os, "posix_fallocate"):
        allocated = os.posix_fallocate

        def posix_fallocate(descriptor: int, offset: int, length: int) -> None:
            tell("fallocate", os.readlink(f"/proc/self/fd/{descriptor}"))
            allocated(descriptor, offset, length)

        os.posix_fallocate = posix_fallocate
    for module in [*sys.modules.values()]:
        if getattr(module, "save_file", None) is saved:
            module.save_file = save_file


def _writes(arguments: tuple[Any, ...]) -> bool:
    """Whether an `open` is for writing."""
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return isinstance(flags, int) and bool(flags & WRITING)
