"""Build these pages as a site, with search and the reference of Python from docstrings.

    pip install ".[docs]" && sphinx-build -W --keep-going -c docs . runs/docs

Pages are the Markdown that GitHub shows, as they stand: the table of contents is the list of
docs/index.md, links may lead to any file of the repository, and what is broken ends the build.
"""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import pfedmma_dist  # noqa: E402 - this tree's, not one that is installed

log = logging.getLogger(__name__)

project = "pfedmma_dist"
author = copyright = "the authors of pfedmma_dist"
version = release = pfedmma_dist.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "tests/golden/README.md"]
exclude_patterns = [".*", "runs", "build"]
suppress_warnings = ["misc.highlighting_failure"]  # of commands with [what may be left out]
source_suffix = {".md": "markdown"}
default_role = "code"  # one backtick in a docstring, as in Markdown
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of torch and ours, which have no page of their own

myst_heading_anchors = 4
myst_enable_extensions: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
viewcode_line_numbers = True

html_theme = "furo"
html_title = f"pfedmma_dist {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["wide.css"]

SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"^- \[.*?\]\((.+?\.md)\)", re.MULTILINE)


FACE = "<!-- what `import pfedmma_dist` has -->"


def face(page: str) -> str:
    """Return the reference of what the package exports, but for what the page has further down."""
    told = []
    for name in getattr(pfedmma_dist, "__all__", ()):
        found = getattr(pfedmma_dist, name)
        if f"automodule:: {found.__module__}\n" in page:
            told.append(f"`{name}` stands below.\n")
            continue
        kind = "class" if isinstance(found, type) else "function"
        members = "\n   :members:" * (kind == "class")
        where = f"{found.__module__}.{name}"
        told.append(f"```{{eval-rst}}\n.. auto{kind}:: {where}{members}\n```\n")
    return "\n".join(told)


def contents() -> str:
    """Return the table of contents that docs/index.md lists, section by section."""
    index = ROOT / "docs" / "index.md"
    trees = []
    for title, body in SECTION.findall(index.read_text(encoding="utf-8")):
        pages = [(index.parent / link).resolve() for link in LINK.findall(body)]
        there = [page.relative_to(ROOT) for page in pages if page.exists()]
        for page in set(pages) - {ROOT / path for path in there}:
            log.info("docs/index.md lists %s, which is not there", page.name)
        trees.append(tree(title, [f"/{path.with_suffix('').as_posix()}" for path in there]))
    return "\n".join(trees)


def tree(caption: str, pages: list[str]) -> str:
    """Return a table of contents that is seen in the side bar alone."""
    head = [f":caption: {caption}"] if caption else []
    return "\n".join(["", "```{toctree}", ":hidden:", *head, "", *pages, "```", ""])


def fill(app: Sphinx, name: str, source: list[str]) -> None:
    """Add what the generator asks for and GitHub would show as text."""
    if name == root_doc:
        source[0] += tree("", ["/docs/index"]) + contents()
    elif name == "docs/methods":
        cards = sorted((ROOT / "docs" / "methods").glob("*.md"))
        source[0] += tree("", [f"/docs/methods/{card.stem}" for card in cards])
    elif name == "docs/api":
        source[0] = source[0].replace(FACE, face(source[0]))
    elif name.startswith("tests/"):
        source[0] = f"---\norphan: true\n---\n{source[0]}"
    elif name == "docs/index":
        source[0] = re.sub(
            r"^- \[(?P<title>.*?)\]\((?P<link>.+?\.md)\).*\n",
            lambda line: line[0] if (ROOT / "docs" / line["link"]).exists() else "",
            source[0],
            flags=re.MULTILINE,
        )


def show_examples_as_they_stand(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Let indented parts of a docstring be code: that is how ours are written."""
    told: list[str] = []
    for line in lines:
        if not line.startswith(" "):
            line = line.replace("*", r"\*")  # a product: none of ours is emphasis
        starts = line.startswith(("    ", "  ")) and (not told or not told[-1].strip())
        if starts and not any(earlier.startswith(" ") for earlier in told[-2:]):
            told += ["::", ""] if not told or told[-1:] == [""] else ["", "::", ""]
        told.append(line)
    lines[:] = told


def lead_in(app: Sphinx, error: Exception | None) -> None:
    """Let the folder of the site open at its first page."""
    if error is None and app.builder.format == "html":
        page = '<meta http-equiv="refresh" content="0; url=README.html">\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Hand Sphinx what is ours."""
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", show_examples_as_they_stand)
    app.connect("build-finished", lead_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
