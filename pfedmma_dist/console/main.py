"""The console script: `pfedmma COMMAND ...` is `python -m MODULE ...`, from any folder.

The process becomes that of the command, so that signals and exit codes are the command's own. What
only a slip or a completion needs is imported there: the command itself waits for none of it.
"""

import os
import sys
from contextlib import suppress
from typing import NoReturn

from pfedmma_dist import __version__
from pfedmma_dist.console.commands import COMMANDS, Command, installed, started

MEND = 2
"""Exit code of what the user can mend, as of the commands."""

COMPLETION, COMPLETE = "completion", "complete"

USAGE = """\
usage: pfedmma COMMAND [...]
       pfedmma COMMAND --help | --help | --version
       pfedmma train|evaluate --ranks N [...]    # N ranks on this machine, by torchrun

"""


def main(argv: list[str] | None = None) -> int:
    """Become the command that the words ask for, or answer them; return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    if not getattr(sys.flags, "safe_path", False):  # Python 3.10 has none
        with suppress(FileNotFoundError):  # a working folder that is gone
            sys.path.insert(0, os.getcwd())  # as python -m does
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(overview())
        return 0
    name, *rest = words
    if name == "--version":
        sys.stdout.write(f"pfedmma_dist {__version__}\n")
        return 0
    try:
        if name in (COMPLETION, COMPLETE):
            return _completion(name, rest)
        line = started(_found(name), rest)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return MEND
    return become(line)


def become(line: list[str]) -> NoReturn:
    """Run a command line in place of this process."""
    sys.stdout.flush()
    os.execv(line[0], line)


def overview() -> str:
    """Return a line about each command."""
    told = {name: one.words for name, one in installed().items()}
    told[COMPLETION] = "completion of all this in bash, zsh or fish"
    width = max(map(len, told)) + 2
    lines = "".join(f"  {name:<{width}}{words}\n" for name, words in told.items())
    module = "python -m pfedmma_dist.train"
    return f"{USAGE}{lines}\nEach is a module too: pfedmma train is {module}.\n"


def _found(name: str) -> Command:
    """Return a command; ValueError where there is none of that name, or its module is missing."""
    from pfedmma_dist.spelling import hint, quoted

    known = installed()
    if name in known:
        return known[name]
    if name in COMMANDS:
        raise ValueError(f"{name}: {_missing(COMMANDS[name].module)}")
    near = hint(name, [*known, COMPLETION])
    raise ValueError(f"{quoted(name)} is no command{near}; pfedmma --help lists them")


def _missing(module: str) -> str:
    """Say why a module of ours is not found: another package has its name, or it is not there."""
    from importlib.util import find_spec

    package = module.partition(".")[0]
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    is_ours = any(one.module.startswith(f"{package}.") for one in installed().values())
    if places and not is_ours:
        return f"{places[0]} is another {package} than ours; start from another folder"
    return f"there is no {module} in this installation"


def _completion(name: str, words: list[str]) -> int:
    from pfedmma_dist.console import completion

    if name == COMPLETION:
        sys.stdout.write(completion.script(words))
    else:
        sys.stdout.writelines(f"{word}\n" for word in completion.answer(*words))
    return 0


if __name__ == "__main__":
    sys.exit(main())
