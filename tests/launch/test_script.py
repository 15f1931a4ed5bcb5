"""What would break a batch script is refused before anything is queued, with a remedy."""

import subprocess
from pathlib import Path

import pytest
import yaml

from launch.cluster import Cluster, read_cluster
from launch.job import executor, main
from launch.script import check_log_folder
from launch.sweep import main as sweep

SETUP = {
    "quote": (["module load x", 'export A="b'], 2, 'export A="b', "matching `\"'"),
    "other quote": (["echo 'a", "module load x"], 1, "echo 'a", "matching `''"),
    "condition": (["if true; then"], 1, "if true; then", "unexpected end of file"),
    "here document": (["cat <<EOF", "hello"], 2, "hello", "here-document at line 1 delimited by"),
    "substitution": (["echo $(ls"], 1, "echo $(ls", "matching `)'"),
    "operator": (["module load x &&"], 1, "module load x &&", "unexpected end of file"),
    "stray word": (["echo", "fi", "echo"], 2, "fi", "unexpected token `fi'"),
}


def refused(tmp_path: Path, **keys: object) -> str:
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(keys))
    with pytest.raises(ValueError) as error:
        read_cluster(str(path))
    told = str(error.value)
    assert told.endswith(f"(in {path})")
    assert len(told) - len(str(path)) < 400
    return told


@pytest.mark.parametrize(("lines", "number", "line", "reason"), SETUP.values(), ids=SETUP)
def test_setup_that_bash_cannot_read_names_the_line_and_the_reason(
    tmp_path: Path, lines: list[str], number: int, line: str, reason: str
) -> None:
    told = refused(tmp_path, setup=lines)
    assert told.startswith(f"setup: line {number}, {line!r}: bash cannot read it to its end (")
    assert reason in told


def test_checking_setup_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    lines = [f"touch {mark}", f"A=$(touch {mark})", f"B=`touch {mark}`"]
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"setup": lines}))
    assert read_cluster(str(tmp_path / "my.yaml")).setup == lines
    assert not mark.exists()


def test_a_construct_over_several_lines_is_fine(tmp_path: Path) -> None:
    lines = ["for m in cuda nccl; do", "  module load $m  # 'ü", "done", "cat <<EOF", "a'b", "EOF"]
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"setup": lines}, allow_unicode=True))
    assert read_cluster(str(tmp_path / "my.yaml")).setup == lines


@pytest.mark.parametrize("name", ["", "--constraint", "a b", "a=b", "ü", "1"])
def test_an_option_of_sbatch_needs_a_name(tmp_path: Path, name: str) -> None:
    told = refused(tmp_path, sbatch={name: "a100"})
    assert told.startswith(f"sbatch: {name!r} is no name of an option; write it without dashes")


@pytest.mark.parametrize("value", [False, None, ["a"], {"a": 1}], ids=str)
def test_an_option_of_sbatch_needs_a_value_that_it_can_have(tmp_path: Path, value: object) -> None:
    told = refused(tmp_path, sbatch={"exclusive": value})
    assert told.startswith(f"sbatch.exclusive: {value!r} is neither text, a number nor true; to")


@pytest.mark.parametrize("name", ["runs/%j", "100%", "a%%b", "a\\b"])
def test_a_folder_whose_logs_would_lie_elsewhere_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("gpus_per_rank: 0\n")
    Path("s.yaml").write_text("base: [data.name=folder]\n")
    word = f"run.folder={name}"
    for command, words in ((main, ["my.yaml"]), (sweep, ["s.yaml", "--cluster", "my.yaml"])):
        assert command([*words, word]) == 2
        told = capsys.readouterr().err
        assert "error: run.folder: " in told
        assert "which Slurm reads as part of a pattern in the names of logs" in told
        assert "set a folder without it" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.yaml", "s.yaml"]


def test_a_working_folder_that_would_add_a_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run\.folder: .* holds the control character '\\n'"):
        check_log_folder(tmp_path / "a\ntouch owned" / "run")


def script(folder: Path, cluster: Cluster) -> str:
    """Return the batch script that Slurm would be given."""
    handle = executor(cluster, folder, "slurm", folder.name)._executor
    return handle._make_submission_file_text("true", "1")


@pytest.mark.parametrize("name", ["a b", "it's", 'a"b', "$(touch owned)", "`touch owned`", "a;b#c"])
def test_odd_names_are_one_word_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for program in ("srun", "sbatch", "module"):
        (tmp_path / program).write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$ARGUMENTS"\n')
        (tmp_path / program).chmod(0o755)
    folder = tmp_path / name / "submitit"
    check_log_folder(folder)
    cluster = Cluster(partition=name, account=name, qos=name, sbatch={"comment": name})
    text = script(folder, cluster)
    plain = script(tmp_path, Cluster(partition="p", account="a", qos="q", sbatch={"comment": "c"}))
    assert len(text.splitlines()) == len(plain.splitlines())
    monkeypatch.setenv("ARGUMENTS", str(tmp_path / "arguments"))
    subprocess.run(["/bin/bash"], input=text, text=True, cwd=tmp_path, check=True)
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[arguments.index("--output") + 1] == f"{folder}/%j_%t_log.out"
    assert not (tmp_path / "owned").exists()
