"""The pages that people read, their links and the places that a link may lead to."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
"""Every page in Markdown."""

FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def prose(page: Path) -> str:
    """Return a page without what is printed as it stands: blocks and words of code."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, anchor) of every link of a page that stays in the house."""
    for target in LINK.findall(prose(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (page.parent / path if path else page), anchor


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub, and our generator, give the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in HEADING.findall(text)}


def slug(heading: str) -> str:
    """Return the anchor of a heading: what is neither letter, digit, `-`, `_` nor space goes."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def broken() -> list[str]:
    """Return what leads nowhere: a file that is not there, a heading that the page has not."""
    told = []
    for page in PAGES:
        name = page.relative_to(ROOT)
        for path, anchor in links(page):
            if not path.exists():
                told.append(f"{name}: {path.relative_to(page.parent)} is not there")
            elif anchor and path.suffix == ".md" and anchor not in anchors(path):
                told.append(f"{name}: {path.name} has no heading #{anchor}")
    return told
