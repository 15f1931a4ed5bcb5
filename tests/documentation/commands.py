"""The commands on the pages: each block says whether it is run, where else, or why not."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.documentation.pages import PAGES, ROOT

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?:bash|sh|shell|console)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RUN, RUN_WITH, ELSEWHERE, NOT_RUN = "run", "run with: ", "run elsewhere: ", "not run: "
PROGRAMS = {
    "pfedmma_dist.train": re.compile(r"-m pfedmma_dist\.train\b|\bpfedmma train\b"),
    "launch.sweep": re.compile(r"-m launch\.sweep\b|\bpfedmma sweep\b"),
}
"""Commands whose words are a configuration -> how they are called."""


@dataclass(frozen=True)
class Block:
    """Commands of a page, as they stand there, and what the comment before them says."""

    page: Path
    line: int  # of its first command
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.mark == RUN or self.mark.startswith(RUN_WITH)

    @property
    def added(self) -> str:
        """The words that make trainings and sweeps of this block small enough to be run."""
        return self.mark.removeprefix(RUN_WITH) if self.mark.startswith(RUN_WITH) else ""

    @property
    def lines(self) -> list[str]:
        """The commands, one a line, those joined that go on after a backslash."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        return [line for line in joined.splitlines() if line.strip() and line[0] != "#"]


def blocks() -> list[Block]:
    """Return every block of commands of every page."""
    return [block for page in PAGES for block in blocks_of(page)]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of one page from top to bottom."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["mark"] or "", found["text"])


def is_marked(block: Block) -> bool:
    """Tell whether a block says what becomes of it, with a reason or a place where one is due."""
    if block.is_run:
        return block.mark != RUN_WITH.strip()
    return any(
        block.mark.startswith(start) and block.mark != start.strip()
        for start in (ELSEWHERE, NOT_RUN)
    )


def configurations(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield (program, words) of commands in a block whose words are files and keys in full."""
    for line in block.lines:
        for command in re.split(r"&&|\|\||[|;]", line):
            for program, call in PROGRAMS.items():
                if found := call.search(command):
                    words = shlex.split(command[found.end() :].partition(">")[0], comments=True)
                    if not any(is_placeholder(word) for word in words):
                        yield program, words


def is_placeholder(word: str) -> bool:
    """Tell an option, or a word that stands for what only the reader knows."""
    is_ours = re.search("=|configs/", word) and word != "key=value"
    return not is_ours or word.startswith(("-", "[", "..."))
