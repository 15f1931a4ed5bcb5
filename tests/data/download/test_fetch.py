"""Archives end where readers look for them, whole, and fetched once. Servers are local files."""

import hashlib
import io
import os
import tarfile
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from pfedmma_dist.data.download.fetch import DRAFT, obtain
from pfedmma_dist.data.download.parts import Archive, Origin

FILES = {
    "set-1/images/cat/a.jpg": b"cat",
    "set-1/images/dog/a.jpg": b"dog",
    "set-1/lists.txt": b"x",
}
MOVES = {"set-1/images": "mine/images", "set-1/lists.txt": "mine/lists.txt"}


def tar(files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a .zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Server:
    """Serves files, from a folder, and counts what it is asked for."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.asked = folder, []
        folder.mkdir()
        original = urllib.request.urlopen

        def urlopen(request: urllib.request.Request, **options: object) -> object:
            self.asked.append(request.full_url.rpartition("/")[2])
            return original(request, **options)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)

    def offer(
        self,
        name: str,
        content: bytes,
        moves: dict[str, str],
        md5: str | None = "",
        inner: str = "",
    ) -> Archive:
        """Put a file on the server; md5: "" for the right one."""
        (self.folder / name).write_bytes(content)
        sum_ = hashlib.md5(content).hexdigest() if md5 == "" else md5
        return Archive((self.folder / name).as_uri(), sum_, "1 kB", moves, inner)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path / "server", monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@contextmanager
def silent(title: str, total: int):
    yield lambda count: None


def get(root: Path, *archives: Archive) -> None:
    obtain(root, Origin("https://page", archives), silent)


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


LANDED = {"mine/images/cat/a.jpg": b"cat", "mine/images/dog/a.jpg": b"dog", "mine/lists.txt": b"x"}


@pytest.mark.parametrize(("name", "pack"), [("a.tar.gz", tar), ("a.tgz", tar), ("a.zip", zipped)])
def test_archive_is_unpacked_into_the_readers_layout_and_nothing_else_is_left(
    server: Server, root: Path, name: str, pack
) -> None:
    get(root, server.offer(name, pack({**FILES, "set-1/other": b""}), MOVES))
    assert tree(root) == LANDED
    assert sorted(path.name for path in (root / "mine").iterdir()) == ["images", "lists.txt"]


def test_archive_in_an_archive_is_unpacked_too(server: Server, root: Path) -> None:
    outer = zipped({"pack/inner.tar.gz": tar(FILES), "pack/other.tar": b""})
    get(root, server.offer("a.zip", outer, MOVES, inner="pack/inner.tar.gz"))
    assert tree(root) == LANDED


def test_plain_file_is_put_in_its_place(server: Server, root: Path) -> None:
    get(root, server.offer("labels.mat", b"labels", {"": "mine/labels.mat"}))
    assert tree(root) == {"mine/labels.mat": b"labels"}


def test_second_start_fetches_nothing(server: Server, root: Path) -> None:
    archive = server.offer("a.zip", zipped(FILES), MOVES)
    get(root, archive)
    get(root, archive)
    assert server.asked == ["a.zip"]


def test_what_is_there_already_is_not_touched(server: Server, root: Path) -> None:
    (root / "mine" / "images").mkdir(parents=True)
    (root / "mine" / "split.json").write_text("mine")
    get(root, server.offer("a.zip", zipped(FILES), MOVES))
    assert tree(root) == {"mine/split.json": b"mine", "mine/lists.txt": b"x"}


def test_data_set_that_is_a_link_is_filled_on_the_disk_that_it_leads_to(
    server: Server, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    root.mkdir()
    (root / "mine").symlink_to(disk)
    rename = os.rename

    def within_a_disk(source: Path, target: Path) -> None:
        assert {path.resolve().is_relative_to(disk) for path in (source, target)} == {True}
        rename(source, target)

    monkeypatch.setattr(os, "rename", within_a_disk)
    get(root, server.offer("a.zip", zipped(FILES), MOVES))
    assert tree(disk).keys() == {path.removeprefix("mine/") for path in LANDED}


def test_wrong_checksum_is_told_and_nothing_is_kept(server: Server, root: Path) -> None:
    archive = server.offer("a.zip", zipped(FILES), MOVES, md5="0" * 32)
    found = hashlib.md5(zipped(FILES)).hexdigest()
    with pytest.raises(ValueError, match=rf"a\.zip came with the md5 sum {found}, not 0000"):
        get(root, archive)
    assert tree(root) == {}


class Breaking(io.BytesIO):
    """A response that ends in an error, or too early, after its first bytes."""

    def __init__(self, content: bytes, error: BaseException | None) -> None:
        super().__init__(content[:20])
        self.error, self.headers = error, {"Content-Length": len(content)}

    def read(self, size: int = -1) -> bytes:
        chunk = super().read(size)
        if not chunk and self.error is not None:
            raise self.error
        return chunk


@pytest.mark.parametrize("md5", ["", None], ids=["checked", "unchecked"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(ConnectionResetError("reset"), ValueError), (None, ValueError), (KeyboardInterrupt(),) * 2],
    ids=["reset", "cut", "ctrl-c"],
)
def test_interrupted_download_leaves_nothing_and_the_next_start_succeeds(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch, md5, error, raised
) -> None:
    archive = server.offer("a.tar.gz", tar(FILES), MOVES, md5)
    kind = raised if isinstance(raised, type) else KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", lambda *_, **__: Breaking(tar(FILES), error))
        with pytest.raises(kind):
            get(root, archive)
    assert tree(root) == {}
    get(root, archive)
    assert tree(root) == LANDED


@pytest.mark.parametrize(("name", "pack"), [("a.tar.gz", tar), ("a.zip", zipped)])
def test_cut_archive_without_a_checksum_is_never_unpacked_into_place(
    server: Server, root: Path, name: str, pack
) -> None:
    cut = pack({**FILES, "set-1/images/large.jpg": os.urandom(5000)})[:-3000]
    with pytest.raises(ValueError, match=r"cannot be unpacked .* delete it and start again"):
        get(root, server.offer(name, cut, MOVES, md5=None))
    assert [path.name for path in (root / "mine").iterdir()] == [DRAFT]


def test_start_after_an_interrupted_move_completes_it_without_fetching_again(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = server.offer("a.tar.gz", tar(FILES), MOVES)
    rename, done = os.rename, []

    def once(source: Path, target: Path) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(rename(source, target))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", once)
        with pytest.raises(KeyboardInterrupt):
            get(root, archive)
    get(root, archive)
    assert tree(root) == LANDED
    assert server.asked == ["a.tar.gz"]


def test_half_unpacked_folder_of_an_interrupted_start_is_unpacked_anew(
    server: Server, root: Path
) -> None:
    half = root / "mine" / DRAFT / "unpacked" / "set-1" / "images" / "ant"
    half.mkdir(parents=True)
    (half / "a.jpg").write_bytes(b"")
    get(root, server.offer("a.zip", zipped(FILES), MOVES))
    assert tree(root) == LANDED


def test_archive_put_there_by_hand_is_used(server: Server, root: Path) -> None:
    archive = server.offer("a.zip", zipped(FILES), MOVES)
    (root / "mine" / DRAFT).mkdir(parents=True)
    (root / "mine" / DRAFT / "a.zip").write_bytes(zipped(FILES))
    get(root, archive)
    assert tree(root) == LANDED
    assert server.asked == []


def test_half_an_archive_put_there_by_hand_is_kept_and_refused(server: Server, root: Path) -> None:
    half = zipped(FILES)[:100]
    (root / "mine" / DRAFT).mkdir(parents=True)
    (root / "mine" / DRAFT / "a.zip").write_bytes(half)
    with pytest.raises(
        ValueError, match=r"mine/prepare-download/a\.zip .* is cut .*\(wget -c file:"
    ):
        get(root, server.offer("a.zip", zipped(FILES), MOVES))
    assert tree(root) == {"mine/prepare-download/a.zip": half}


def test_unreachable_archive_says_where_to_put_it(server: Server, root: Path) -> None:
    archive = server.offer("a.tar.gz", b"", MOVES)
    (server.folder / "a.tar.gz").unlink()
    with pytest.raises(ValueError, match="could not be fetched") as caught:
        get(root, archive)
    assert f"put it at {root}/mine/prepare-download/a.tar.gz (" in str(caught.value)


def test_archive_of_another_layout_is_told(server: Server, root: Path) -> None:
    archive = server.offer("a.zip", zipped({"set-2/x": b""}), MOVES)
    with pytest.raises(ValueError, match=r"a\.zip holds no set-1/images; it is not the published"):
        get(root, archive)
    archive = server.offer("b.zip", zipped(FILES), MOVES, inner="pack/inner.tar.gz")
    with pytest.raises(ValueError, match=r"b\.zip holds no pack/inner\.tar\.gz"):
        get(root, archive)


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python cannot check members")
def test_member_that_leads_out_of_the_archive_is_refused(server: Server, root: Path) -> None:
    archive = server.offer("a.tar.gz", tar({**FILES, "../../../escaped": b""}), MOVES)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        get(root, archive)
    assert not list(root.parent.rglob("escaped"))


def test_folder_that_cannot_be_written_is_told(server: Server, root: Path) -> None:
    root.write_text("a file")
    with pytest.raises(ValueError, match=r"data\.root: cannot write below .*data"):
        get(root, server.offer("a.zip", zipped(FILES), MOVES))
