"""Files of docs that are written from the source are current, and blocks run as they are marked."""

import subprocess

from tests.documentation.commands import Block
from tests.documentation.pages import ROOT
from tests.documentation.play import play, script
from tests.documentation.written import COMMAND, stale


def test_files_written_from_the_source_are_current() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in stale()]
    assert not names, f"run `{COMMAND}`, which writes them, and commit: {', '.join(names)}"


def block(text: str, mark: str = "run") -> Block:
    return Block(ROOT / "docs" / "page.md", 1, mark, text)


def test_blocks_of_a_page_share_a_folder_and_those_behind_a_failure_are_left_out() -> None:
    found = [
        block("echo kept > file\n"),
        block("not a command\n", "not run: it is none"),
        block("cat file configs/method/pfedmma.yaml\n"),
        block("cat nothing | head -n 1\n"),
        block("cat file\n"),
    ]
    assert [bool(said) for _, _, said in play([], 60, found)] == [False, False, True]


def test_block_that_does_not_end_is_ended() -> None:
    ((_, _, said),) = play([], 0.2, [block("tail -f /dev/null\n")])
    assert "not done after" in said


def test_added_words_go_to_trainings_and_sweeps_alone() -> None:
    text = script(
        block(
            'command() { echo "$@"; }\n'
            "python -m pfedmma_dist.train method.name=promptfl  # small\n"
            "python -m pfedmma_dist.train --help\n"
            "python -m launch.table runs/a | cat\n"
            "torchrun -m launch.sweep FILE.yaml && pfedmma train\n",
            "run with: seed=2",
        )
    )
    said = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "python -m pfedmma_dist.train method.name=promptfl seed=2",
        "python -m pfedmma_dist.train --help",
        "python -m launch.table runs/a",
        "torchrun -m launch.sweep FILE.yaml seed=2",
        "pfedmma train seed=2",
    ]
