"""The console script: every command by one word, and what a shell is offered for a word."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ROOT, python

from pfedmma_dist import __version__
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import leaves
from pfedmma_dist.console import main as console
from pfedmma_dist.console.commands import COMMANDS, installed, started
from pfedmma_dist.console.completion import answer, candidates
from pfedmma_dist.console.shells import SCRIPTS
from pfedmma_dist.methods import METHODS

BY_OTHERS = ("launch.attempts",)  # which batch scripts start


@pytest.fixture(autouse=True)
def path_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


def became(words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the command line that the script becomes."""
    lines: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, line: lines.append([program, *line[1:]]))
    console.main(words)
    [line] = lines
    assert line[:2] == [sys.executable, "-m"]
    return line[2:]


def test_command_is_its_module_with_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["x.yaml", "optim.lr=0.1", "--print-config"]
    assert became(["train", *words], monkeypatch) == ["pfedmma_dist.train", *words]
    assert became(["sweep", "--ranks", "2"], monkeypatch) == ["launch.sweep", "--ranks", "2"]
    assert became(["help", "table"], monkeypatch) == ["launch.table", "--help"]


@pytest.mark.parametrize("ranks", [["--ranks", "3"], ["--ranks=3"]])
def test_ranks_of_a_training_are_started_by_torchrun(ranks: list[str]) -> None:
    line = started(COMMANDS["train"], ["a.yaml", *ranks, "seed=2"])
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node=3"]
    assert line[2:] == [*torchrun, "-m", "pfedmma_dist.train", "a.yaml", "seed=2"]


@pytest.mark.parametrize("words", [["--ranks"], ["--ranks", "0"], ["--ranks=many"]])
def test_ranks_that_are_no_number_are_refused(
    words: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert console.main(["train", *words]) == 2
    assert capsys.readouterr().err.startswith("error: --ranks: ")


def test_overview_has_a_line_for_each_command_and_the_version(
    capsys: pytest.CaptureFixture,
) -> None:
    assert console.main([]) == 0
    told = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\w", told, re.MULTILINE) for name in installed())
    assert console.main(["--help"]) == 0
    assert capsys.readouterr().out == told
    assert console.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pfedmma_dist {__version__}\n"


def test_slip_is_told_with_the_nearest_command(capsys: pytest.CaptureFixture) -> None:
    assert console.main(["swep"]) == 2
    assert "'swep' is no command; did you mean sweep?" in capsys.readouterr().err
    assert console.main(["completion", "tcsh"]) == 2
    assert "pfedmma completion bash|zsh|fish" in capsys.readouterr().err


def test_command_that_is_not_installed_is_hidden_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    lost = COMMANDS["table"].__class__("launch.lost", "nothing")
    monkeypatch.setitem(COMMANDS, "lost", lost)
    assert "lost" not in installed()
    assert console.main(["lost"]) == 2
    assert "there is no launch.lost in this installation" in capsys.readouterr().err


def test_every_module_that_one_can_start_is_a_command() -> None:
    files = [*(ROOT / "pfedmma_dist").glob("*.py"), *(ROOT / "launch").glob("*.py")]
    ends = 'if __name__ == "__main__":'
    modules = {f"{f.parent.name}.{f.stem}" for f in files if ends in f.read_text()}
    known = {one.module for one in COMMANDS.values()}
    assert modules - known == {"pfedmma_dist.__main__", *BY_OTHERS}


@pytest.mark.parametrize("name", [n for n in COMMANDS if n in installed()])
def test_options_that_are_offered_stand_in_the_source(name: str) -> None:
    text = "".join((ROOT / f"{place}.py").read_text() for place in (
        COMMANDS[name].module.replace(".", "/"), "launch/words", "pfedmma_dist/pretraining/words",
        "pfedmma_dist/config/command_line"))  # fmt: skip
    is_parsed = "ArgumentParser" in text  # which has a --help of its own
    for option in COMMANDS[name].options:
        assert f'"{option}"' in text or (option == "--help" and is_parsed), option


def test_overview_is_told_without_torch_and_without_what_reads_keys() -> None:
    heavy = ["torch", "numpy", "omegaconf", "yaml", "rich", "matplotlib"]
    code = (
        "import sys; from pfedmma_dist.console.main import main; main([]); "
        f"assert not {{*sys.modules}} & {{*{heavy}}}"
    )
    assert python("-c", code).code == 0


def test_words_are_offered_by_the_place_where_they_stand() -> None:
    assert candidates(["swee"]) == ["sweep"]
    assert candidates(["train", "--li"]) == ["--list"]
    assert candidates(["train", "--ra"]) == ["--ranks"]
    assert candidates(["prepare", "oxford_p"]) == ["oxford_pets"]
    assert candidates(["completion", ""]) == list(SCRIPTS)
    assert candidates(["train", "opt"]) == ["optim."]
    found = {word.rstrip("=") for word in candidates(["train", "federation."])}
    assert found == {key for key in leaves(Config) if key.startswith("federation.")}
    assert candidates(["train", "clip.dtype=tf"]) == ["clip.dtype=tfloat32"]
    assert candidates(["train", "run.deterministic=f"]) == ["run.deterministic=false"]
    assert candidates(["nothing", ""]) == []


def test_methods_and_their_options_are_offered() -> None:
    offered = {word.partition("=")[2] for word in candidates(["train", "method.name="])}
    assert offered == METHODS.keys()
    own = candidates(["train", "method.name=promptfl", "method."])
    assert own == ["method.name=", "method.num_context=", "method.share="]


def test_presets_and_run_folders_are_offered_folder_by_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "config.yaml").touch()
    (tmp_path / "runs" / "other").mkdir()
    assert candidates(["evaluate", "ru"]) == ["runs/"]
    assert candidates(["evaluate", "runs/o"]) == ["runs/one", "runs/other/"]
    assert "configs/" in candidates(["sweep", ""])
    assert candidates(["sweep", "configs/sweep/quick_h"]) == ["configs/sweep/quick_held_out.yaml"]
    assert candidates(["sweep", "x.yaml", "see"]) == ["seed="]
    assert candidates(["job", "slurm/h"]) == ["slurm/h100.yaml"]
    assert "runs/one" in candidates(["figures", "--out", "x", "runs/o"])


def test_bash_is_handed_what_stands_behind_the_last_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    assert answer("bash", "pfedmma train method.name=promptfo") == ["promptfolio"]
    assert answer("bash", "pfedmma train data.root=a") == ["a\\ b/"]
    assert answer("bash", "pfedmma train 'data.root=a") == ["data.root=a b/"]
    assert answer("zsh", "train", "data.root=a") == ["data.root=a\\ b/"]
    assert answer("bash", "pfedmma ") == [*installed(), "completion", "--help", "--version"]
    assert answer() == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_a_real_bash_completes_a_command_and_a_method(tmp_path: Path) -> None:
    program = tmp_path / "pfedmma"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pfedmma_dist "$@"\n')
    program.chmod(0o755)
    lines = ["pfedmma swee", "pfedmma train method.name=promptfo", "pfedmma train optim.lr"]
    asked = "".join(
        f"COMP_LINE='{line}'; COMP_POINT={len(line)}; _pfedmma; echo \"${{COMPREPLY[*]}}\"\n"
        for line in lines
    )
    begin = 'eval "$(pfedmma completion bash)"\ncomplete -p pfedmma\n'
    done = subprocess.run(
        ["bash", "--norc", "-c", begin + asked],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "complete -F _pfedmma pfedmma", "sweep", "promptfolio", "optim.lr=",
    ]  # fmt: skip
