"""A start that comes to nothing leaves nothing, and two starts never hold one folder."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from runs import Lab, call, make_lab, refusal

from pfedmma_dist.clip import storage
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.simulation import training
from pfedmma_dist.world import World


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with the finished run `whole`, of one round."""
    lab = make_lab(tmp_path_factory.mktemp("claim"))
    assert call(lab.words("whole", federation__rounds=1)) == 0
    return lab


def below(folder: Path) -> dict[str, bytes | None]:
    """Return the content of everything below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


REFUSED: dict[str, dict[str, object]] = {
    "data": {"data__root": "nowhere"},
    "clients": {"data__num_clients": 9},
    "model": {"clip__model": "no-such-model"},
    "weights": {"clip__pretrained": "no-such-file"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_start_leaves_nothing(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / "runs" / "deep" / "run"
    refusal(capsys, lab.words(name, **{"run__folder": folder, **REFUSED[name]}))
    assert not (tmp_path / "runs").exists()


def test_refused_start_leaves_a_run_as_it_was(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    before = below(lab.folder("whole"))
    for changes in ({"federation__rounds": 2}, {"optim__lr": 1}):
        refusal(capsys, lab.words("whole", **changes))
    assert below(lab.folder("whole")) == before


def test_refused_start_leaves_the_logs_of_a_job_that_were_there(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lab.folder("job")
    (folder / "submitit").mkdir(parents=True)
    (folder / "submitit" / "1_0_log.out").write_text("waits")
    refusal(capsys, lab.words("job", **REFUSED["clients"]))
    assert below(folder) == {"submitit": None, "submitit/1_0_log.out": b"waits"}


def test_features_without_room_leave_nothing(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(lab.path)._replace(free=0)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda folder: usage)
    text = refusal(capsys, lab.words("room"))
    assert "clip.cache_folder" in text
    assert not lab.folder("room").exists()


def test_log_of_a_run_begins_before_its_folder_stays(lab: Lab) -> None:
    lines = (lab.folder("whole") / "log.txt").read_text().splitlines()
    assert f"into {lab.folder('whole')}" in lines[0]
    assert lines == sorted(lines, key=lambda line: line[:23])


def test_signal_before_the_first_round_leaves_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    monkeypatch.setattr(training, "assemble", stop)
    assert call(lab.words("signal")) == STOPPED
    assert not lab.folder("signal").exists()


def test_start_after_one_that_was_killed_takes_over(lab: Lab) -> None:
    folder = lab.folder("killed")
    first = RunFolder(folder)
    first.lock()
    first._lock.close()  # as the end of its process does
    with open(folder / ".lock", "ab") as lock:
        lock.write(b"\xff\r\n")  # whatever it says is put back
    left = below(folder)
    assert list(left) == [".lock"]
    second = RunFolder(folder)
    second.claim(World.alone())
    second.release()
    assert below(folder) == left
    assert call(lab.words("killed", federation__rounds=1)) == 0


def test_starts_that_come_and_go_never_meet_in_the_folder(tmp_path: Path) -> None:
    path, inside, met, problems = tmp_path / "a" / "run", [], [], []

    def come_and_go() -> None:
        for _ in range(150):
            folder = RunFolder(path)
            try:
                folder.lock()
            except ValueError:  # in use
                folder.release()
                continue
            except OSError as error:
                problems.append(error)
                continue
            inside.append(folder)
            if len(inside) > 1:
                met.append(folder)
            inside.remove(folder)
            folder.release()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not met
    assert not problems
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_folder_taken_back_while_mkdir_looks_at_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, late = Path.mkdir, [True]

    def mkdir(path: Path, *args: object, **how: object) -> None:
        if late.pop() if late else False:
            raise FileExistsError(17, "File exists", str(path))  # it was there; now it is gone
        real(path, *args, **how)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    folder = RunFolder(tmp_path / "run")
    folder.lock()
    assert folder.lock_file.exists()
    folder.release()


def test_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(FileExistsError):
        RunFolder(tmp_path / "run").lock()


def test_folder_that_cannot_be_made_is_not_blamed_on_other_starts() -> None:
    folder = RunFolder("/proc/absent/run")  # where mkdir says that there is no such file
    with pytest.raises(FileNotFoundError):
        folder.lock()
    folder.release()


def test_folder_that_another_start_has_filled_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "runs" / "first")
    first.claim(World.alone())
    second = RunFolder(tmp_path / "runs" / "second")
    second.claim(World.alone())
    first.release()
    second.create()
    second.release()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["second"]
