"""Write what the pages take from the source; with --run, run the commands on them as well."""

import argparse
import resource
import sys

from tests.documentation.pages import ROOT
from tests.documentation.play import play, words
from tests.documentation.written import write


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for; return 1 where a command on a page fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.documentation", description=__doc__)
    parser.add_argument(
        "--run",
        nargs="*",
        metavar="PAGE.md",
        help="run the commands of these pages, of all by default, and write nothing",
    )
    parser.add_argument("--patience", type=float, default=300, help="seconds for each block")
    chosen = parser.parse_args(argv)
    if chosen.run is None:
        for path in write():
            print(path.relative_to(ROOT))
        return 0
    failed = 0
    for block, seconds, said in play(chosen.run, chosen.patience):
        print(f"{'FAILED' if said else 'ran':6} {seconds:6.1f} s  {block.place:28} {words(block)}")
        if said:
            failed += 1
            print(said)
        sys.stdout.flush()
    told = "all commands ran" if not failed else f"{failed} blocks failed"
    print(f"{told}, {spent():.0f} s of CPU")
    return 1 if failed else 0


def spent() -> float:
    """Return the CPU seconds of all commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
