"""Look after stored features: `python -m pfedmma_dist.cache [clip.cache_folder=DIR] [OPTION ...]`.

Lists what runs have stored on disk (clip.cache=disk, or auto where memory is short): size, when a
run last used it, and all that it was made of. Files and key=value words are those of training.

  --verify           read every entry and say whether it is as it was written; the exit code is 1
                     where one is not (runs check by themselves, and encode anew what is damaged)
  --older-than DAYS  remove entries that no run has used for so many days
  --unused           remove what no run of this installation can find again: entries of an earlier
                     format, of other versions of torch, Pillow or this program, entries without a
                     readable manifest, with --verify also damaged ones; and what killed runs left
  --help, -h         this text

What a live run holds stays, and so does everything that is no feature cache, such as splits.
"""

import argparse
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

from pfedmma_dist import glance

if __name__ == "__main__":  # before imports of seconds
    glance.leave_with(lambda: __doc__)

from pfedmma_dist import command
from pfedmma_dist.clip.entries import (
    Entry,
    Held,
    entries,
    in_use,
    leftovers,
    others,
    remove_entry,
    remove_leftover,
    size,
    verify,
)
from pfedmma_dist.clip.recipe import versions
from pfedmma_dist.config.command_line import FLAGS
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.images.pixels import made_by
from pfedmma_dist.ending import ended
from pfedmma_dist.quantities.units import size as shown
from pfedmma_dist.run.table import WIDTH
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.spelling import hint
from pfedmma_dist.world import World

FAILED = 1
"""Exit code where an entry is damaged, or could not be removed."""

DAY = 24 * 3600.0

OPTIONS = ("--verify", "--older-than", "--unused")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--unused", action="store_true")
    parser.add_argument("--older-than", type=_days, metavar="DAYS")
    parser.prog = "python -m pfedmma_dist.cache"
    asked, rest = parser.parse_known_args(argv)
    if asked.help:
        sys.stdout.write(__doc__)
        return 0
    known = (*OPTIONS, *FLAGS)
    for flag in (word for word in rest if word.startswith("-") and "=" not in word):
        if flag not in known:
            sys.stderr.write(f"error: {flag} is unknown{hint(flag, known)}; --help lists all\n")
            return command.MEND
    return command.run(rest, partial(look_after, asked=asked))


def look_after(cfg: Config, world: World, asked: argparse.Namespace) -> int:
    """List, verify and remove entries, as asked; return the exit code."""
    if world.size > 1:
        raise TogetherError(f"cache: {world.size} ranks would do the same work; start one")
    folder = Path(cfg.clip.cache_folder).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"clip.cache_folder: {folder} is no folder, so no run has stored features there; "
            "give the clip.cache_folder that your runs had, or the config.yaml of one"
        )
    try:
        return _look_after(folder, asked)
    except OSError as error:
        raise ValueError(
            f"clip.cache_folder: {folder} cannot be read ({error}); start as the user whose runs "
            "store features there"
        ) from error


def _look_after(folder: Path, asked: argparse.Namespace) -> int:
    found = entries(folder, versions(made_by()))
    total = shown(sum(entry.num_bytes for entry in found))
    _say(f"{folder}: {_count(len(found), 'entry', 'entries')}, {total}")
    useless: dict[Path, str] = {}
    damaged = 0
    for entry in found:
        damage = verify(entry) if asked.verify else entry.damage
        damaged += bool(damage)
        _show(entry, damage, asked.verify)
        age = time.time() - entry.used
        if asked.unused and (damage or entry.lost):
            useless[entry.path] = damage or entry.lost
        elif asked.older_than is not None and age > asked.older_than * DAY:
            useless[entry.path] = f"last used {_age(age)}"
    left, kept = leftovers(folder), others(folder)
    for path in left:
        _say(f"{path.name}  {shown(size(path))}  left by a run that has ended")
    if kept:
        _say(f"no features, never touched: {', '.join(path.name for path in kept)}")
    refused = _remove(useless, left if asked.unused else [])
    return FAILED if refused or (damaged and asked.verify) else 0


def _show(entry: Entry, damage: str, verified: bool) -> None:
    """Print an entry: a line of facts, what is wrong with it, and what it was made of."""
    facts = [entry.path.name, shown(entry.num_bytes), f"used {_age(time.time() - entry.used)}"]
    if in_use(entry.path):
        facts.append("in use")
    if verified and entry.manifest is not None and not damage:
        facts.append("intact")
    _say("  ".join(facts))
    if damage:
        _say(f"    damaged: it {damage}")
    if entry.lost:
        _say(f"    not found by runs of this installation: {entry.lost}")
    if entry.manifest is not None:
        words = "; ".join(f"{word} {text}" for word, text in entry.manifest.made_of.items())
        text = f"{entry.manifest.about}; {words}"
        _say(textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    "))


def _remove(useless: dict[Path, str], left: list[Path]) -> int:
    """Remove entries and leftovers, say what was removed, and return how many could not be."""
    freed, gone, refused = 0, 0, 0
    for path, why in {**useless, **dict.fromkeys(left, "left by a run that has ended")}.items():
        try:
            num_bytes = size(path)
            (remove_entry if path in useless else remove_leftover)(path)
        except (Held, OSError) as error:
            _say(f"kept {path.name}: {error}")
            refused += isinstance(error, OSError)
            continue
        _say(f"removed {path.name}: {why}")
        freed, gone = freed + num_bytes, gone + 1
    if useless or left:
        _say(f"removed {gone} of {len(useless) + len(left)}, which made {shown(freed)} of room")
    return refused


def _days(word: str) -> float:
    try:
        days = float(word)
    except ValueError:
        days = -1.0
    if not days >= 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no number of days, such as 30")
    return days


def _age(seconds: float) -> str:
    """Return how long ago something was, in the largest unit that fits."""
    for unit, name in ((DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= unit:
            return f"{_count(int(seconds / unit), name, f'{name}s')} ago"
    return "just now"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    command.leave(ended(main))
