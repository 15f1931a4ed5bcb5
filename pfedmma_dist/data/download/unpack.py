"""Unpack an archive whole or not at all, each of its members looked at first.

What a member is called and how large it says it is comes from whoever made the archive: nothing may
land elsewhere, be anything but a file or a folder, or fill the disk.
"""

import gzip
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from pfedmma_dist.spelling import quoted, shortened

MEGABYTE = 1_000_000

DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(EOFError, ValueError, OverflowError, struct.error),
)
"""What unpacking a cut or altered archive raises."""


class Unpackable(ValueError):
    """Say why an archive is not unpacked, and what to do; completes "PATH ..."."""


def unpack(path: Path, folder: Path) -> None:
    """Unpack a .zip or .tar (.gz) file into a folder of its own; Unpackable where that fails."""
    try:
        if path.suffix == ".zip":
            _unzip(path, folder)
        else:
            _untar(path, folder)
    except Unpackable:
        raise
    except (RuntimeError, NotImplementedError) as error:  # a password, a method
        raise Unpackable(
            f"cannot be unpacked by Python ({shortened(str(error), 160)}); unpack it by another "
            "program, such as 7z, and put what is in it into place"
        ) from error
    except DAMAGED as error:
        raise Unpackable(_damage(error)) from error
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        raise Unpackable(_damage(error)) from error  # bz2's word for what it cannot read


def _damage(error: BaseException) -> str:
    return (
        f"cannot be unpacked ({shortened(str(error), 160)}); it is cut or damaged: delete it and "
        "start again"
    )


def _unzip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            _check_name(member.filename)
        _need_room(sum(member.file_size for member in members), folder)
        archive.extractall(folder)


def _untar(path: Path, folder: Path) -> None:
    safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(path) as archive:
        for member in archive:
            _need_room(member.size, folder)
            archive.extract(member, folder, **safely)
        # tarfile takes a damaged header, and no header at all, for the end; a real one is empty.
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError(f"no end after {archive.offset:,} bytes")
        while archive.fileobj.read(MEGABYTE):  # the check sum of a .gz file stands at its end
            pass


def _check_name(name: str) -> None:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise Unpackable(
            f"has a member {quoted(name)}, which would land elsewhere; it is not the published "
            "archive: delete it and start again"
        )


def _need_room(size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise Unpackable(
            f"holds {size / MEGABYTE:,.0f} MB, and {free / MEGABYTE:,.0f} MB are free in {folder}; "
            "make room, or check that it is the published archive"
        )
