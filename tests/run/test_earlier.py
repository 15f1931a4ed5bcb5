"""A run that goes on with another program or machine than it began with says so."""

import json
from pathlib import Path

import pytest
from runs import Lab, call, make_lab, outcome

from pfedmma_dist.run.earlier import EARLIER, with_earlier
from pfedmma_dist.run.environment import code
from pfedmma_dist.run.folder import RunFolder

NOW = {"torch": "2.14.1", "git_revision": "b", "code": "1", "argv": ["here"]}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path)


def told(path: Path, was: dict[str, object]) -> tuple[dict[str, object], str]:
    folder = RunFolder(path)
    folder.environment.write_text(json.dumps(was))
    return with_earlier(folder, NOW)


def test_another_version_is_told_and_kept(tmp_path: Path) -> None:
    found, words = told(tmp_path, NOW | {"torch": "2.10.0"})
    assert "torch: 2.10.0 then, 2.14.1 now" in words
    assert found[EARLIER] == [{"git_revision": "b", "code": "1", "torch": "2.10.0"}]
    assert found["torch"] == "2.14.1"


def test_all_that_were_before_stay(tmp_path: Path) -> None:
    first = {"torch": "2.9.0"}
    found, _ = told(tmp_path, NOW | {"torch": "2.10.0", EARLIER: [first]})
    assert found[EARLIER] == [first, {"git_revision": "b", "code": "1", "torch": "2.10.0"}]
    found, words = told(tmp_path, NOW | {EARLIER: [first]})
    assert not words and found[EARLIER] == [first]


def test_the_same_program_from_another_place_is_nothing_to_tell(tmp_path: Path) -> None:
    assert told(tmp_path, NOW | {"argv": ["there"]}) == (NOW, "")
    assert told(tmp_path, NOW | {"git_revision": "a"}) == (NOW, "")  # a commit of pages, say
    assert (
        "git_revision: a then, b now" in told(tmp_path, NOW | {"git_revision": "a", "code": ""})[1]
    )


def test_lost_record_is_nothing_to_tell(tmp_path: Path) -> None:
    assert with_earlier(RunFolder(tmp_path), NOW) == (NOW, "")


def test_edited_file_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    before = code(tmp_path)
    assert before == code(tmp_path)
    (tmp_path / "a.py").write_text("x = 2\n")
    assert code(tmp_path) != before


def test_run_that_goes_on_with_another_torch_says_so(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = lab.words("run", federation__rounds=2)
    assert call([*words, "run.pause_after=1"]) == 75
    folder = RunFolder(lab.folder("run"))
    saved = json.loads(folder.environment.read_text())
    folder.environment.write_text(json.dumps(saved | {"torch": "1.0"}))
    capsys.readouterr()
    assert call(words) == 0
    told = capsys.readouterr().err
    assert "goes on with another program or machine than it began with (" in told
    assert "torch: 1.0 then" in told
    assert json.loads(folder.environment.read_text())[EARLIER][0]["torch"] == "1.0"
    assert call(lab.words("whole", federation__rounds=2)) == 0
    assert outcome(folder.path) == outcome(lab.folder("whole"))
