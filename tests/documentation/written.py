"""What pages have from the source: written by one command, and held to be current by a test."""

from pathlib import Path

from tests.documentation import imports, keys, sent

COMMAND = "python -m tests.documentation"


def texts() -> dict[Path, str]:
    """Return the text of every file that is a function of the source."""
    return {keys.PAGE: keys.page(), imports.PICTURE: imports.picture()}


def stale() -> list[Path]:
    """Return the files that are not what the source makes."""
    found = [path for path, text in texts().items() if not _holds(path, text)]
    if not sent.PICTURE.exists() or sent.drawn_of() != sent.digest():
        found.append(sent.PICTURE)
    return found


def write() -> list[Path]:
    """Write the files that are not what the source makes; return them."""
    found, wanted = stale(), texts()
    for path in found:
        if path == sent.PICTURE:
            sent.draw()
        else:
            path.write_text(wanted[path], encoding="utf-8")
    return found


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text
