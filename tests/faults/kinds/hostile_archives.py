"""Archives from strangers that want to land elsewhere, and damaged ones."""

import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from pfedmma_dist.data.download.fetch import obtain
from pfedmma_dist.data.download.parts import Archive, Origin
from tests.faults.base import Base
from tests.faults.kinds.hostile_pickles import PATIENCE, limit_memory
from tests.faults.place import Place
from tests.faults.trial import Ending, Kind, Trial, Verdict


def tar(members: list[tuple[str, bytes, str, str]], mode: str = "w:gz") -> bytes:
    """Return a tar archive of (name, content, type, link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind.encode(), link, len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def marked(archive: bytes, offset: int, central: int, value: int) -> bytes:
    """Return a zip archive with two bytes of both headers of its first file changed."""
    content = bytearray(archive)
    directory = content.index(b"PK\x01\x02")
    content[offset : offset + 2] = struct.pack("<H", value)
    content[directory + central : directory + central + 2] = struct.pack("<H", value)
    return bytes(content)


def good(*more: tuple[str, bytes, str, str]) -> list[tuple[str, bytes, str, str]]:
    """Return the members of a good archive, and more."""
    return [("set/a.txt", os.urandom(5000), "0", ""), *more]


OUT = "../../../outside"
ARCHIVES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "good.tar.gz": ("", lambda: tar(good())),
    "good.zip": ("", lambda: zipped([("set/a.txt", b"x")])),
    **{f"{name}.tar.gz": ("", (lambda member=member: tar(good(member)))) for name, member in {
        "up": (OUT, b"x", "0", ""),
        "absolute": ("/tmp/pfedmma-faults-outside", b"x", "0", ""),
        "link-up": ("set/link", b"", "2", "../../../.."),
        "link-absolute": ("set/link", b"", "2", "/etc"),
        "hard-link": ("set/link", b"", "1", "../../../data/outside"),
        "device": ("set/null", b"", "3", ""),
        "pipe": ("set/pipe", b"", "6", ""),
        "dots": ("set/../../../../outside", b"x", "0", ""),
        "long": ("set/" + "x" * 5000, b"x", "0", ""),
        "twice": ("set/a.txt", b"other", "0", ""),
        "surrogate": ("set/\udcff", b"x", "0", ""),
    }.items()},
    "through-a-link.tar.gz": ("", lambda: tar(good(
        ("set/link", b"", "2", "../../.."), ("set/link/outside", b"x", "0", "")))),
    "up.zip": ("", lambda: zipped([("set/a.txt", b"x"), (OUT, b"x")])),
    "absolute.zip": ("", lambda: zipped([("set/a.txt", b"x"), ("/outside", b"x")])),
    "encrypted.zip": ("", lambda: marked(zipped([("set/a.txt", b"x" * 99)]), 6, 8, 1)),
    "method-99.zip": ("", lambda: marked(zipped([("set/a.txt", b"x" * 99)]), 8, 10, 99)),
    "lzma-cut.zip": ("", lambda: zipped([("set/a.txt", os.urandom(99))], zipfile.ZIP_LZMA)[:60]),
    "cut.zip": ("", lambda: zipped([("set/a.txt", os.urandom(5000))])[:-30]),
    "flipped.zip": ("", lambda: flip(zipped([("set/a.txt", os.urandom(5000))]), 2000)),
    "cut-by-8.tar.gz": ("", lambda: tar(good())[:-8]),
    "cut-by-1.tar.gz": ("", lambda: tar(good())[:-1]),
    "half.tar.gz": ("", lambda: tar(good())[:2500]),
    "flipped.tar.gz": ("", lambda: flip(tar(good()), 2000)),
    "cut.tar": ("", lambda: tar(good(("set/b.txt", os.urandom(5000), "0", "")), "w")[:7000]),
    "without-its-end.tar": ("", lambda: tar(good(), "w")[: 512 + 5120]),
    "empty.tar.gz": ("", lambda: b""),
    "text.tar.gz": ("", lambda: b"<html>not found</html>"),
    "nothing-of-the-set.tar.gz": ("", lambda: tar([("other.txt", b"x", "0", "")])),
    "nothing.zip": ("", lambda: zipped([])),
}  # fmt: skip

FINE = ("good.tar.gz", "good.zip", "twice.tar.gz", "without-its-end.tar")
"""Archives that may well be taken: of the last only the padding at its end is missing."""


def flip(content: bytes, at: int) -> bytes:
    """Return the content with a byte changed."""
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def one_archive(place: Place, name: str) -> Iterator[Verdict]:
    """Fetch and unpack an archive; all that it leaves must lie where it belongs."""
    limit_memory()
    served, root = place.path / "served", place.path / "data"
    served.mkdir()
    root.mkdir()
    (served / name).write_bytes(ARCHIVES[name][1]())
    archive = Archive((served / name).as_uri(), None, "small", {"set": "mine/set"})
    origin = Origin("page", (archive,))
    try:
        obtain(root, origin, lambda title, total: nullcontext(lambda count: None))
        ending, note = Ending.AS_TOLD, ""
    except ValueError as error:
        ending = Ending.REFUSED if "data.root" in str(error) else Ending.FAILED
        note = "" if ending is Ending.REFUSED else str(error)[:200]
    except Exception as error:
        ending, note = Ending.TRACEBACK, repr(error)[:200]
    outside = [path.name for path in place.path.iterdir() if "outside" in path.name]
    outside += [p.name for p in (*root.glob("*outside*"), Path("/tmp/pfedmma-faults-outside"),
                                 Path("/outside")) if p.exists()]  # fmt: skip
    strange = [path.name for path in root.rglob("*") if escapes(path, root)]
    if outside or strange:
        yield Verdict(name, Ending.SILENT, f"escaped: {outside + strange}")
    elif ending is Ending.AS_TOLD and is_damaged(name):
        yield Verdict(name, Ending.SILENT, "taken for whole")
    else:
        yield Verdict(name, ending, note)


def is_damaged(name: str) -> bool:
    """Whether an archive is cut or altered, so that what comes of it is not to be trusted."""
    return any(word in name for word in ("cut", "half", "flipped", "empty", "text", "encrypted"))


def escapes(path: Path, root: Path) -> bool:
    """Whether a file is a link out of the folder, a device or a pipe."""
    if path.is_symlink():
        return not path.resolve().is_relative_to(root)
    return not (path.is_file() or path.is_dir())


def archives(base: Base) -> Iterator[Trial]:
    """Yield the archives."""
    for name in ARCHIVES:
        yield Trial(name, partial(one_archive, name=name), PATIENCE)


KINDS = [
    Kind(
        "hostile and damaged archives",
        "members that lead elsewhere, links, devices, encryption, unknown methods, cut and altered "
        "files; nothing lands outside, and what is damaged is refused",
        archives,
        sample=2,
    ),
]
