"""Adopt what a run folder began with: whose run it is, and what it chose for keys left open.

Without torch and without the methods, so that whoever plans runs or looks at them waits for
neither.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from pfedmma_dist import plugins
from pfedmma_dist.config.command_line import from_yaml
from pfedmma_dist.config.identity import (
    Flat,
    defaults,
    differences,
    flat,
    meaning,
    moved,
    open_keys,
)
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import shown
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.plugins.code import changed, replaced
from pfedmma_dist.reading import Newer
from pfedmma_dist.run import manifest, result
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.manifest import DAMAGE, candidates
from pfedmma_dist.run.together import TogetherError

NAMED = 6
"""Differing keys that a message names."""

Methods = Mapping[str, type]
"""Name -> class with an `Options` dataclass: METHODS, or these in outline."""

Remark = tuple[int, str]
"""Level of logging, and words."""

NAME = "method.name"


class Claim(NamedTuple):
    """What a file of a run folder says about whose it is."""

    path: Path
    saved: Flat  # all keys
    code: plugins.Record  # of the plugins that made it


EMPTY = "is empty"
"""What may be wrong with a config.yaml that a crash of its disk left."""

UNTOLD = ("run.folder", "run.device")
"""Free keys that every start says anyway."""


def adopt(cfg: Config, folder: RunFolder, methods: Methods) -> list[Remark]:
    """Take over what the folder's run chose for the open keys, if it is the run of `cfg`.

    ValueError where what the folder holds belongs to another run: result and checkpoints say
    themselves whose they are, before config.yaml, which may have been edited. A run without either
    has nothing to go on from, and may begin anew with other values: those that an error message has
    just asked for. Returns what there is to say all the same.
    """
    if not folder.path.is_dir():
        return []
    claims = list(recorded(folder))
    kept, problem = _kept(folder, methods)
    has_state = folder.result.exists() or bool(candidates(folder.checkpoints))
    if problem and not claims and (has_state or problem != EMPTY):
        raise ValueError(
            f"run.folder: {folder.path} holds no run of this program that can go on ({problem}); "
            "set run.folder to a new folder"
        )
    if not has_state:
        return []
    remarks: list[Remark] = []
    wanted, usual = flat(cfg), defaults(cfg.method["name"], methods, cfg.server.rule)
    if not claims:
        if kept is None:
            raise ValueError(
                f"run.folder: {folder.path} has lost its {folder.config.name}, and what it holds "
                "is of format 0, which does not say whose it is; restore that file, or set "
                "run.folder to a new folder"
            )
        claims = [Claim(folder.config, kept, [])]
        words = "was saved in format 0: of what it was trained on, config.yaml alone can be checked"
        remarks.append((logging.INFO, f"{folder.path} {words}"))
    for claim in claims:
        found = differences(claim.saved, wanted, usual)
        if found:
            raise ValueError(_another_run(folder, claim.path, found))
    began = claims[0].saved
    remarks += _code(cfg, folder, claims[0])
    if kept is None or problem or differences(began, kept, usual):
        what = problem or ("is missing" if kept is None else "says something else than the run did")
        remarks.append((logging.WARNING, f"{folder.config} {what}; the run itself says what it is"))
    for key in open_keys():
        *sections, name = key.split(".")
        section = reduce(getattr, sections, cfg)
        if getattr(section, name) is None:
            setattr(section, name, began.get(key))
    finished = folder.result.exists()
    for key, was, now in moved(began, wanted):
        if finished and meaning(key).by_content:
            words = f"{shown(was)} made the finished run, and {shown(now)} is not looked at"
            remedy = "set run.folder to a new folder to train with it"
            remarks.append((logging.WARNING, f"{key}: {words}; {remedy}"))
        elif key not in UNTOLD:
            words = f"{shown(was)} so far, {shown(now)} from here on"
            remarks.append((logging.INFO, f"{key}: {words}"))
    return remarks


def refuse_moved(words: Iterable[str], folder: Path) -> None:
    """Refuse the config.yaml of a run that does not lie in the folder that would be trained in: the
    run was moved, or the command is started elsewhere, and would silently begin anew.

    words: a command line. folder: of its run.
    """
    given = list(words)
    if any(word.startswith("run.folder=") for word in given):
        return
    for word in given:
        own = RunFolder(Path(word).expanduser().parent)
        if "=" in Path(word).name or Path(word).name != own.config.name:
            continue
        has_state = own.result.exists() or bool(candidates(own.checkpoints))
        if has_state and own.path.resolve() != folder.resolve():
            raise TogetherError(
                f"run.folder: {word} is of a run that lies in {own.path}, and would train in "
                f"{folder}: it was moved, or this command is started in another folder than it "
                f"was; give run.folder={own.path} to go on with it, or a new folder to repeat it"
            )


def check_config(folder: RunFolder, methods: Methods) -> None:
    """Raise ValueError where config.yaml says something else than the folder's run was."""
    kept, problem = _kept(folder, methods)
    for path, saved, _ in recorded(folder):
        usual = defaults(saved[NAME], methods, saved.get("server.rule"))
        found = [] if kept is None else differences(saved, kept, usual)
        if problem or found:
            where = path.relative_to(folder.path)
            told = [f"{key}: {shown(now)} (saved with {shown(was)})" for key, was, now in found]
            words = problem or f"says otherwise than {where}: {'; '.join(told[:NAMED])}"
            raise ValueError(f"run.folder: {folder.config} {words}; restore that file")


def _kept(folder: RunFolder, methods: Methods) -> tuple[Flat | None, str]:
    """Return what config.yaml says, all keys, and what is wrong with it."""
    if not folder.config.is_file():
        return None, ""
    try:
        if not folder.config.stat().st_size:
            return None, EMPTY
        return flat(from_yaml(folder.config, methods=methods, sources=SOURCES)), ""
    except Newer:
        raise
    except (ValueError, OSError) as error:
        return None, f"cannot be read ({error})"


def recorded(folder: RunFolder) -> Iterator[Claim]:
    """Yield what each result and checkpoint says that says whose it is.

    A damaged checkpoint says nothing: loading it tells.
    """
    finished = result.read(folder)
    if finished is not None and "configuration" in finished:
        yield Claim(folder.result, finished["configuration"], finished.get(plugins.KEY, []))
    for path in candidates(folder.checkpoints):
        try:
            record = manifest.read(path)
        except Newer:
            raise
        except DAMAGE:
            continue
        if record.format > 0:
            yield Claim(path, record.meta["configuration"], record.meta.get(plugins.KEY, []))


def _code(cfg: Config, folder: RunFolder, claim: Claim) -> Iterator[Remark]:
    """Yield what there is to say of plugins whose code is not what it was.

    ValueError where others stand in the place of those that were there.
    """
    now = plugins.record(cfg.plugins)
    where = claim.path.relative_to(folder.path)
    if replaced(claim.code, now):
        then, here = (", ".join(one["name"] for one in some) for some in (claim.code, now))
        raise ValueError(
            f"{plugins.KEY}: {folder.path} holds, says {where}, a run made with [{then}], and "
            f"[{here}] is given; set run.folder to a new folder, or give the same plugins to go on "
            "with that run"
        )
    told = "; ".join(changed(claim.code, now))
    if told and folder.result.exists():
        words = "the finished run stays as the code of then made it"
        remedy = "set run.folder to a new folder to train with that of now"
        yield logging.WARNING, f"{plugins.KEY}: the code has changed: {told}: {words}; {remedy}"
    elif told:
        words = f"{folder.path} goes on from {where} with the code of now"
        remedy = (
            "restore the code to go on as it began, or set run.folder to a new folder to train all "
            "of it with that of now"
        )
        yield logging.WARNING, f"{plugins.KEY}: the code has changed: {told}: {words}; {remedy}"


def _another_run(folder: RunFolder, path: Path, found: list[tuple[str, Any, Any]]) -> str:
    told = [f"{key}: {shown(was)} there, {shown(now)} here" for key, was, now in found[:NAMED]]
    if len(found) > NAMED:
        told.append(f"{len(found) - NAMED} more keys")
    where = path.relative_to(folder.path)
    inside = "" if path == folder.config else f", says {where},"
    return (
        f"run.folder: {folder.path} holds{inside} a run with another configuration "
        f"({'; '.join(told)}); set run.folder to a new folder, or give the same values to go on "
        "with that run"
    )
