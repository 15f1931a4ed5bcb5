"""An archive is unpacked whole or refused by name, whatever somebody has put into it."""

import bz2
import io
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
from test_fetch import FILES, MOVES, Server, get, root, server, silent, tar, tree, zipped

from pfedmma_dist.data.download import unpack as unpacking
from pfedmma_dist.data.download.unpack import Unpackable, unpack

__all__ = ["root", "server", "silent"]


def plain_tar(files: dict[str, bytes]) -> bytes:
    """Return a .tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def special(kind: bytes, target: str = "") -> bytes:
    """Return a .tar archive with something in it that is no file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("set-1/images")
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return buffer.getvalue()


def changed(content: bytes, at: int, value: bytes) -> bytes:
    """Return a .zip file with other numbers at a place of all its headers of members."""
    found = bytearray(content)
    for mark, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        start = found.find(mark)
        while start >= 0:
            found[start + at + shift : start + at + shift + len(value)] = value
            start = found.find(mark, start + 4)
    return bytes(found)


FLAGS, METHOD = 6, 8  # in the header before a member; two bytes further in the table at the end
TIMES = {
    "a password": ("a.zip", changed(zipped(FILES), FLAGS, b"\1\0"), "is encrypted, password"),
    "an odd method": (
        "a.zip",
        changed(zipped(FILES), METHOD, b"\x63\0"),
        "compression method is not",
    ),
}


@pytest.mark.parametrize(("name", "content", "words"), TIMES.values(), ids=TIMES)
def test_what_python_cannot_unpack_is_left_to_another_program(
    server: Server, root: Path, name: str, content: bytes, words: str
) -> None:
    with pytest.raises(ValueError) as error:
        get(root, server.offer(name, content, MOVES))
    told = str(error.value)
    assert told.startswith(f"data.root: {root}/mine/prepare-download/{name} cannot be unpacked by")
    assert words in told
    assert "unpack it by another program, such as 7z, and put what is in it into place" in told
    assert list(tree(root)) == [f"mine/prepare-download/{name}"]


LARGE = {**FILES, "set-1/images/large.jpg": bytes(range(256)) * 40}
HEADER = plain_tar(LARGE).index(b"set-1/lists.txt")  # of the third member
DAMAGED = {
    "a check sum that is cut off": ("a.tar.gz", tar(LARGE)[:-8], "ended before the end-of-stream"),
    "half a check sum": ("a.tar.gz", tar(LARGE)[:-4], "ended before the end-of-stream"),
    "a wrong check sum": ("a.tar.gz", tar(LARGE)[:-8] + bytes(8), "CRC check failed"),
    "an end between members": ("a.tar", plain_tar(LARGE)[:HEADER], "no end after 2,048 bytes"),
    "half a header": ("a.tar", plain_tar(LARGE)[: HEADER + 99], "no end after 2,048 bytes"),
    "a damaged header": (
        "a.tar",
        plain_tar(LARGE).replace(b"set-1/lists.txt", b"set-2/lists.txt"),
        "no end after 2,048 bytes",
    ),
    "half a member": ("a.tar", plain_tar(LARGE)[:-12000], "unexpected end of data"),
    "nothing": ("a.tar.gz", b"", "empty file"),
    "a page instead": ("a.tar.gz", b"<html>", "file could not be opened"),
    "a page instead of a zip": ("a.zip", b"<html>", "File is not a zip file"),
    "a wrong sum in a zip": ("a.zip", zipped(FILES).replace(b"catPK", b"cowPK"), "Bad CRC-32"),
}  # fmt: skip
ELSEWHERE = {
    "a zip that climbs out": (
        "a.zip",
        zipped({**FILES, "../../up": b""}),
        "has a member '../../up'",
    ),
    "an absolute zip": (
        "a.zip",
        zipped({**FILES, "/tmp/up": b""}),
        "has a member '/tmp/up', which",
    ),
    "an escape code": (
        "a.zip",
        zipped({"../\x1b[2J": b""}),
        "has a member '../\\x1b[2J', which would",
    ),
}
NO_FILES = {
    "a device": ("a.tar", special(tarfile.CHRTYPE), "is a special file"),
    "a pipe": ("a.tar", special(tarfile.FIFOTYPE), "is a special file"),
    "a link out": ("a.tar", special(tarfile.SYMTYPE, "../../../.."), "outside the destination"),
    "an absolute link": ("a.tar", special(tarfile.SYMTYPE, "/etc"), "absolute path"),
    "a hard link out": ("a.tar", special(tarfile.LNKTYPE, "../../../x"), "outside the destination"),
}
ALL = {**DAMAGED, **ELSEWHERE, **(NO_FILES if hasattr(tarfile, "data_filter") else {})}


@pytest.mark.parametrize(("name", "content", "words"), ALL.values(), ids=ALL)
def test_archive_that_is_not_the_published_one_is_refused_and_nothing_of_it_stays(
    server: Server, root: Path, name: str, content: bytes, words: str
) -> None:
    with pytest.raises(ValueError) as error:
        get(root, server.offer(name, content, MOVES, md5=None))
    told = str(error.value)
    assert told.startswith(f"data.root: {root}/mine/prepare-download/{name} ")
    assert words in told
    assert told.endswith("delete it and start again")
    assert len(told) - len(str(root)) < 400
    assert set(tree(root.parent)) == {f"data/mine/prepare-download/{name}", f"server/{name}"}


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_archive_that_is_larger_than_the_disk_is_refused_before_it_fills_it(
    tmp_path: Path, name: str
) -> None:
    content = zipped({"x": b"x"}) if name == "a.zip" else plain_tar({"x": b""})
    if name == "a.zip":
        content = content.replace(struct.pack("<LL", 1, 1), struct.pack("<LL", 1, 2**32 - 2))
    else:
        member = tarfile.TarInfo("x")
        member.size = 2**60
        content = member.tobuf() + bytes(1024)
    (tmp_path / name).write_bytes(content)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    usage = unpacking.shutil.disk_usage(folder)._replace(free=10**6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpacking.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(Unpackable) as error:
            unpack(tmp_path / name, folder)
    assert " MB, and 1 MB are free in " in str(error.value)
    assert "make room, or check that it is the published archive" in str(error.value)
    assert list(folder.iterdir()) == []


def test_member_that_is_no_bzip2_is_damage_and_no_fault_of_the_disk(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x", b"x")
    content = buffer.getvalue().replace(bz2.compress(b"x")[4:10], b"\0" * 6)
    (tmp_path / "a.zip").write_bytes(content)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(Unpackable, match=r"cannot be unpacked \(.*\); it is cut or damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "unpacked")


def test_length_that_a_server_makes_up_is_not_believed(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.request

    class Response(io.BytesIO):
        headers = {"Content-Length": "many"}

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Response(zipped(FILES)))
    get(root, server.offer("a.zip", zipped(FILES), MOVES))
    assert len(tree(root)) == 3
