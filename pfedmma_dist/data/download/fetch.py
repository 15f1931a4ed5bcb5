"""Fetch: get the archives of a data set, check them, unpack them, put them where they belong.

Everything happens in a folder of its own, DRAFT in that of the data set and so on the same disk.
What is complete is renamed into its place, so nothing half-written is ever found there, and nothing
that is already there is touched. One process may do this, not several ranks.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import shutil
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from pfedmma_dist.data.download.parts import Archive, Origin
from pfedmma_dist.data.download.unpack import Unpackable, unpack

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000
DRAFT, UNPACKED = "prepare-download", "unpacked"
PATIENCE = 60  # seconds that a server may be silent

AGENT = {"User-Agent": "pfedmma_dist"}
"""Some servers refuse the name that Python gives itself."""

Steps = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(what is done, how many) -> context that gives a function to report steps done."""


def obtain(root: Path, origin: Origin, steps: Steps) -> None:
    """Fetch the archives of which something is missing below `root`.

    A start after an interrupted one fetches only what had not arrived as a whole. What people have
    put into the folder of the download is used and deleted. Raises ValueError.
    """
    places = (place for archive in origin.archives for place in archive.moves.values())
    [home] = {PurePosixPath(place).parts[0] for place in places}
    draft = root / home / DRAFT
    try:
        for archive in origin.archives:
            if archive.missing(root):
                draft.mkdir(parents=True, exist_ok=True)
                path = _fetch(archive, draft, steps)
                _place(_unpack(path, archive), archive, root)
                path.unlink(missing_ok=True)
        _remove(draft / UNPACKED)
    except OSError as error:
        raise ValueError(
            f"data.root: cannot write below {root} ({error.strerror or error}); give a folder that "
            "you may write to, with room for the archive and for what is in it"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            draft.rmdir()  # where nothing is left to go on with


def _fetch(archive: Archive, draft: Path, steps: Steps) -> Path:
    """Return the archive as a file in `draft`, whole; one that lies there is used."""
    path = draft / archive.name
    if path.exists():
        found = _md5(path) if archive.md5 else None
        if found != archive.md5:
            raise ValueError(
                f"data.root: {path} has the md5 sum {found}, not {archive.md5}: it is cut or "
                f"damaged; complete it (wget -c {archive.url}) or delete it, and start again"
            )
        return path
    arriving = path.with_name(f"{path.name}.part")
    try:
        found = _receive(archive, arriving, steps)
        if archive.md5 not in (None, found):
            raise ValueError(
                f"data.root: {archive.url} came with the md5 sum {found}, not {archive.md5}: it "
                "was damaged on its way, or is no longer the published file; start again, or put "
                f"a good copy at {path}"
            )
        os.replace(arriving, path)
    finally:
        arriving.unlink(missing_ok=True)
    return path


def _receive(archive: Archive, path: Path, steps: Steps) -> str:
    """Download to `path` and return the md5 sum of what came."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        request = urllib.request.Request(archive.url, headers=AGENT)
        response = urllib.request.urlopen(request, timeout=PATIENCE)
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(_unreachable(archive, path, error)) from error
    length = str(response.headers.get("Content-Length") or "")
    total, come = int(length) if length.isdecimal() and len(length) < 20 else 0, 0
    title = f"fetching {archive.name} (MB)"
    with response, open(path, "wb") as file, steps(title, -(-total // MEGABYTE)) as advance:
        while True:
            try:
                chunk = response.read(MEGABYTE)
            except (OSError, http.client.HTTPException) as error:
                raise ValueError(_unreachable(archive, path, error)) from error
            if not chunk:
                break
            file.write(chunk)
            digest.update(chunk)
            come += len(chunk)
            advance(1)
    if come < total:
        cut = EOFError(f"the connection ended after {come:,} of {total:,} bytes")
        raise ValueError(_unreachable(archive, path, cut))
    return digest.hexdigest()


def _unreachable(archive: Archive, path: Path, error: BaseException) -> str:
    reason = str(error) or type(error).__name__
    return (
        f"data.root: {archive.url} could not be fetched ({reason}); start again, or fetch it where "
        f"there is a network, put it at {path.with_suffix('')} (where it is deleted once unpacked) "
        "and start again"
    )


def _md5(path: Path) -> str:
    """Return the md5 sum of a file, which takes seconds per gigabyte."""
    log.info("checking %s", path)
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(MEGABYTE):
            digest.update(chunk)
    return digest.hexdigest()


def _unpack(path: Path, archive: Archive) -> Path:
    """Return the folder that holds what is in the archive; for a plain file, the file."""
    if "" in archive.moves:
        return path
    folder = path.parent / UNPACKED
    _remove(folder)
    log.info("unpacking %s", path)
    with contextlib.ExitStack() as half_done:
        half_done.callback(_remove, folder)
        folder.mkdir()
        try:
            unpack(path, folder)
            if archive.inner:
                unpack(_part(folder, archive.inner, archive), folder)
        except Unpackable as error:
            raise ValueError(f"data.root: {path} {error}") from error
        half_done.pop_all()
    return folder


def _remove(folder: Path) -> None:
    """Delete a folder of ours, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)


def _place(unpacked: Path, archive: Archive, root: Path) -> None:
    """Rename what is missing below `root` into its place."""
    for part, place in archive.missing(root).items():
        source, target = _part(unpacked, part, archive), root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
        log.info("%s is complete", target)


def _part(unpacked: Path, part: str, archive: Archive) -> Path:
    """Return the path of something that must be in the archive."""
    if not (unpacked / part).exists():
        raise ValueError(
            f"data.root: {archive.name} holds no {part}; it is not the published archive"
        )
    return unpacked / part
