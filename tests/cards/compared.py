"""Run the tests that compare methods with recorded vectors, and keep what they measure."""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.agreement import TELL
from tests.cards.measured import GOLDEN
from tests.cards.presets import ROOT

HELPERS = ("agreement", "test_golden")
"""Modules through which tests compare."""


def comparing() -> list[str]:
    """Return the files of tests of methods that import one of the helpers."""
    words = tuple(f"from {name} import" for name in HELPERS)
    return [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests" / "methods").glob("test_*.py"))
        if any(word in path.read_text(encoding="utf-8") for word in words)
    ]


def measure() -> int:
    """Run those tests and replace docs/measured/golden.json; return pytest's exit code, with which
    the file is left as it was unless all passed."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "lines"
        words = ["-q", "--numprocesses=0", "--timeout=0", *comparing()]
        code = subprocess.run(
            [sys.executable, "-m", "pytest", *words], cwd=ROOT, env={**os.environ, TELL: str(told)}
        ).returncode
        if code == 0:
            found = summary(map(json.loads, told.read_text(encoding="utf-8").splitlines()))
            GOLDEN.parent.mkdir(parents=True, exist_ok=True)
            GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return code


def summary(lines: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return by method, and by what it is compared with, the largest difference of each noun, in
    two digits; steps are one noun."""
    largest: dict[tuple[str, str, bool], dict[str, float]] = defaultdict(dict)
    for line in lines:
        what = "steps" if line["what"].startswith("step ") else line["what"]
        key = line["method"], line["file"] or line["test"], bool(line["file"])
        largest[key][what] = max(largest[key].get(what, 0.0), line["difference"])
    found: dict[str, list[dict[str, Any]]] = {}
    for (method, against, recorded), nouns in sorted(largest.items()):
        rounded = {noun: float(f"{value:.1e}") for noun, value in nouns.items()}
        entry = {"against": against, "recorded": recorded, "differences": rounded}
        found.setdefault(method, []).append(entry)
    return found
