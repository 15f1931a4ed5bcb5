"""Pages have links that lead somewhere and commands that say whether they are run."""

import re
import shlex

import pytest
from registries import as_they_were

from pfedmma_dist.config.command_line import parse
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from tests.documentation import commands, pages
from tests.documentation.commands import Block, blocks, configurations
from tests.documentation.pages import DOCS, ROOT

BLOCKS = list(blocks())


def test_links_lead_to_files_and_headings() -> None:
    assert not pages.broken()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [("Few bits (`exchange.bits`, `top`)", "few-bits-exchangebits-top"), ("A [b](c.md)", "a-b")],
)
def test_anchor_is_that_of_github(heading: str, anchor: str) -> None:
    assert pages.slug(heading) == anchor


def test_every_page_stands_in_the_index() -> None:
    listed = {path.resolve() for path, _ in pages.links(DOCS / "index.md")}
    cards = set((DOCS / "methods").glob("*.md"))
    missing = {p for p in DOCS.rglob("*.md") if p.resolve() not in listed} - cards
    assert missing == {DOCS / "index.md"}, "give it a line in docs/index.md"


def test_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_block_says_whether_it_is_run(block: Block) -> None:
    assert commands.is_marked(block), (
        f"before {block.place} stands <!-- {block.mark} -->: write <!-- run -->, <!-- run with: "
        "key=value ... -->, <!-- run elsewhere: where --> or <!-- not run: why -->"
    )


CONFIGURED = [(block, *found) for block in BLOCKS for found in configurations(block)]


@pytest.mark.parametrize(
    ("block", "program", "words"), CONFIGURED, ids=[block.place for block, *_ in CONFIGURED]
)
def test_words_of_a_command_are_understood(
    block: Block, program: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    if program == "launch.sweep":  # a sweep's own words are read over each of its rows
        assert (ROOT / words[0]).exists()
        words = [word for word in words[1:] if "=" in word]
    with as_they_were():  # blocks may name plugins
        words = [*words, *shlex.split(block.added)]
        assert parse(words, methods=METHODS, sources=SOURCES) is not None


def test_modules_that_commands_name_are_there() -> None:
    for block in BLOCKS:
        for module in re.findall(r"python -m ([\w.]+)", block.text):
            path = ROOT / module.replace(".", "/")
            is_there = path.with_suffix(".py").exists() or path.is_dir() or "." not in module
            assert is_there, f"{block.place}: {module}"
