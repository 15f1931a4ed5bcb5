"""Write docs/methods.md and the cards below docs/methods, and say what a method still lacks."""

import argparse
import sys

from tests.cards.compared import measure
from tests.cards.demands import demands
from tests.cards.pages import write
from tests.cards.presets import ROOT


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for; return 1 where a method lacks something."""
    parser = argparse.ArgumentParser(prog="python -m tests.cards", description=__doc__)
    parser.add_argument(
        "--golden",
        action="store_true",
        help="first run the tests that compare, and keep by how much",
    )
    words = parser.parse_args(argv)
    if words.golden and (code := measure()):
        return code
    lacking = demands()
    for demand in lacking:
        print(f"{demand}\n", file=sys.stderr)
    for path in write():
        print(path.relative_to(ROOT))
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
