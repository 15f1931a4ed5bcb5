"""Contributed results: run folders without weights, whose ids and hashes are made anew when read.

A folder of them is a leaderboard: `launch.table` and the others take it as they take a sweep. What
does not hold together is refused by name. Hashes find edits and mix-ups; they cannot find somebody
who makes them anew, for which there are the configuration and the command to run it again.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pfedmma_dist import plugins
from pfedmma_dist.adoption import check_config
from pfedmma_dist.config.command_line import from_yaml
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.config.identity import digest
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.outline import outlines
from pfedmma_dist.reading import FORMAT, Unreadable, read_json, seal, sealed
from pfedmma_dist.results.outcome import Outcome, read_outcome
from pfedmma_dist.run import result
from pfedmma_dist.run.files import write_json
from pfedmma_dist.run.folder import RunFolder

CARD = "contribution.json"
"""In a contributed folder: the run's id, its line in tables and the sha256 of each file."""

REMEDY = "contribute the run again from its own folder"


def kept_files(folder: RunFolder) -> tuple[Path, ...]:
    """Return the files of a run that are contributed; what is not there is left out."""
    files = (
        folder.config, folder.result, folder.environment, folder.metrics, folder.clients,
        folder.clock, folder.dropped,
    )  # fmt: skip
    return tuple(path for path in files if path.is_file())


def contribute(run: Outcome, target: Path) -> Path | None:
    """Copy what tells of a finished run to a folder of its own below `target`, whole or not at all.

    Returns the folder, or None where the very same run is there. ValueError for a run that has not
    finished or is damaged, and where another result of the same run is there.
    """
    folder = RunFolder(run.path)
    if run.result is None:
        raise ValueError(f"{run.path} has not finished; only results can be contributed")
    if run.problems:
        raise ValueError(f"{run.path} is damaged ({run.problems[0]})")
    own = identifier(folder)
    data, seed = run.config.get("data.name"), run.config.get("seed")
    place = target / f"{data}-{run.config.get('method.name')}-seed{seed}-{own}"
    card = {"id": own, "row": run.name, "files": _hashes(folder)}
    if place.exists():
        if _card(place)["files"] != card["files"]:
            raise ValueError(
                f"{place} holds another result of the run of {run.path}; it is left alone: name "
                "another --to, or remove that folder first"
            )
        return None
    making = target / f".{place.name}.tmp"
    shutil.rmtree(making, ignore_errors=True)  # of a start that was cut off
    making.mkdir(parents=True)
    for path in kept_files(folder):
        shutil.copyfile(path, making / path.name)
    body = {"format": FORMAT, **card}
    write_json(making / CARD, {**body, "sha256": seal(body)})
    os.rename(making, place)
    return place


def identifier(folder: RunFolder) -> str:
    """Return the id of a run, made anew from its config.yaml, which must be what the run was.

    ValueError for one of plugins: who looks at a table runs no code that a stranger's file names.
    """
    named = read_yaml(folder.config).get(plugins.KEY) if folder.config.is_file() else None
    if named:
        raise ValueError(
            f"{folder.config} names {plugins.KEY} ({named}), without whose code its id cannot be "
            "made anew, and reading results runs no code; show it with its own sweep"
        )
    check_config(folder, outlines())
    return digest(from_yaml(folder.config, methods=outlines(), sources=SOURCES), outlines())


def is_leaderboard(folder: Path) -> bool:
    """Whether a folder holds contributed runs."""
    return next(folder.glob(f"*/{CARD}"), None) is not None


def contributed_runs(folder: Path) -> Iterator[Outcome]:
    """Yield the runs of a leaderboard; those that are refused are named on standard error."""
    for card in sorted(folder.glob(f"*/{CARD}")):
        try:
            yield _checked(card.parent)
        except ValueError as error:
            print(f"refused  {card.parent}: {error}", file=sys.stderr)
            name = f"{card.parent.name} (refused)"
            yield Outcome(path=card.parent, row=name, problems=(str(error),))


def _checked(place: Path) -> Outcome:
    """Return a contributed run; ValueError where anything of it is not as it was contributed."""
    card, folder = _card(place), RunFolder(place)
    if result.read(folder) is None:
        raise Unreadable(folder.result, "is missing", REMEDY)
    now = _hashes(folder)
    for name, digest_then in card["files"].items():
        if now.get(name) != digest_then:
            words = "is missing" if name not in now else "is not as it was contributed"
            raise Unreadable(place / name, words, REMEDY)
    own = identifier(folder)
    if own != card["id"] or not place.name.endswith(own):
        raise Unreadable(
            place / CARD, f"has the id {card['id']}, and config.yaml makes it {own}", REMEDY
        )
    found = read_outcome(place, card["row"])
    absent = f"{folder.images} is missing"  # it names the contributor's images, and stays there
    return replace(found, problems=tuple(p for p in found.problems if not p.startswith(absent)))


def _card(place: Path) -> dict:
    card = sealed(place / CARD, read_json(place / CARD, dict, REMEDY), REMEDY)
    if not isinstance(card.get("files"), dict) or not {"id", "row"} <= card.keys():
        raise Unreadable(place / CARD, "lacks id, row or files", REMEDY)
    return card


def _hashes(folder: RunFolder) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in kept_files(folder)}
