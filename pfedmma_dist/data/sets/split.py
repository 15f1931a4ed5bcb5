"""Split: which images train and which test, read from a CoOp split file or drawn and kept.

CoOp's file is JSON: {"train": [[path, label, class name], ...], "val": ..., "test": ...}, with
paths relative to the image folder. Drawn splits are kept in the same form.
"""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import quoted

log = logging.getLogger(__name__)

SPLIT_SEED = 1
"""Seed of drawn splits. Not the run's: runs of several seeds must be scored on the same images."""

COOP_SHARES = (0.5, 0.2)
"""Training and validation shares of each class, rounded; the rest is the test set (CoOp)."""

TRAINVAL_SHARES = (0.8, 0.2)
"""Where the test set is given: shares of each class of the rest (CoOp)."""

OWN_SHARES = (0.7, 0.0)
"""For sets without a published split; `data.validation` takes its share of the training images."""

Labelled = tuple[str, int, str]  # path, label, class name


def read_split(
    file: Path,
    root: Path,
    cfg: DataConfig,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Images:
    """Read a split file over the image folder `root`; every image it names must exist there.

    renamed: names of the file -> better ones.
    """
    try:
        content = from_json(file.read_bytes())
    except ValueError as error:  # JSON and text encoding alike
        raise ValueError(
            f"data.root: {file} is not JSON ({error}); fetch it again, or delete it"
        ) from error
    except OSError as error:
        raise ValueError(f"data.root: cannot read {file}: {error.strerror}") from error
    entries: list[Entry] = []
    name_of: dict[int, str] = {}
    has_val = isinstance(content, dict) and Part.val.value in content
    for part in (Part.train, Part.test, *([Part.val] if cfg.validation and has_val else [])):
        for path, label, name in _labelled(content, part, file):
            if name_of.setdefault(label, name) != name:
                raise ValueError(
                    f"data.root: {file} gives label {label} to {name_of[label]!r} and, at {path}, "
                    f"to {name!r}; a label needs one name"
                )
            entries.append(Entry(path, renamed.get(name, name), part, file=file))
    if not name_of or sorted(name_of) != list(range(len(name_of))):
        ends = f"from {quoted(min(name_of))} to {quoted(max(name_of))}" if name_of else ""
        told = f"{len(name_of)} labels {ends}" if name_of else "none"
        raise ValueError(f"data.root: {file} has {told}; labels must be 0, 1, 2, ... without a gap")
    for path, name in () if cfg.validation else _validation(content):
        entries.append(Entry(path, renamed.get(name, name), Part.val, file=file))
    names = [renamed.get(name_of[label], name_of[label]) for label in range(len(name_of))]
    return to_images(entries, root, file, cfg, _distinct(names, file))


def draw(
    name: str,
    strata: Sequence[Sequence[Entry]],
    shares: tuple[float, float],
    folder: Path,
) -> list[Entry]:
    """Deal the entries of each stratum to train, val and test by a fixed seed; keep the answer.

    What is drawn is written to `folder` and read back for the same entries, so it survives a change
    of numpy's random streams. strata: entries in order; those of one stratum are of one class, or,
    where they are of several, each class gets its share of them as nearly as whole numbers allow.
    """
    listing = json.dumps([[entry[:2] + entry[3:5] for entry in own] for own in strata])
    digest = hashlib.blake2b(f"{shares}{listing}".encode(), digest_size=8).hexdigest()
    kept = folder / f"{name}-{SPLIT_SEED}-{digest}.json"
    if not kept.exists():
        dealt = []
        for number, own in enumerate(strata):
            generator = rng.generator(SPLIT_SEED, "split", number)
            dealt.extend(_deal(own, shares, generator))
        _write(kept, _coop_form(dealt))
    try:
        content = from_json(kept.read_bytes())
        lists = [(part, _labelled(content, part, kept)) for part in Part]
        parts = {path: part for part, entries in lists for path, _, _ in entries}
        drawn = [entry._replace(part=parts[entry.path]) for own in strata for entry in own]
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"clip.cache_folder: the split kept in {kept} is damaged ({error}); delete that file"
        ) from error
    log.warning(
        "%s: found no split, neither published nor in folders train and test; using a seeded one "
        "of our own: %s", name, kept,
    )  # fmt: skip
    return drawn


def _deal(
    own: Sequence[Entry], shares: tuple[float, float], generator: np.random.Generator
) -> list[Entry]:
    """Return the entries of one stratum with their parts."""
    order = generator.permutation(len(own))
    cuts = np.cumsum([round(len(own) * share) for share in shares])
    cut = np.searchsorted(cuts, np.arange(len(own)), side="right")  # [n] part of each place
    names = [own[place].name for place in order]
    if len(set(names)) > 1:  # spread the parts evenly over the entries, class after class
        order = order[np.argsort(names, kind="stable")]
        crossed = np.floor(np.arange(len(own) + 1) * sum(shares) + 0.5)
        cut = np.where(np.diff(crossed) > 0, 0, len(Part) - 1)
        assert shares[1] == 0
    parts = dict(zip(order.tolist(), cut.tolist(), strict=True))
    kinds = list(Part)
    return [entry._replace(part=kinds[parts[place]]) for place, entry in enumerate(own)]


def _coop_form(entries: Sequence[Entry]) -> str:
    """Return the entries as a split file, labels in the order in which the classes come."""
    labels: dict[str, int] = {}
    content: dict[str, list[Labelled]] = {part.value: [] for part in Part}
    for entry in entries:
        assert entry.part is not None
        label = labels.setdefault(entry.name, len(labels))
        content[entry.part.value].append((entry.path, label, entry.name))
    return json.dumps(content, indent=0)


def _distinct(names: list[str], file: Path) -> list[str]:
    """Refuse two labels of one name."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"data.root: {file} has several labels for the class {twice!r}; a class needs one"
        )
    return names


def _labelled(content: object, part: Part, file: Path) -> list[Labelled]:
    """Return one part of a split file, checked entry by entry."""
    entries = content.get(part.value) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"data.root: {file} has no list {part.value!r} of [path, label, name]")
    for entry in entries:
        match entry:
            case [str(), int(label), str()] if not isinstance(label, bool):
                pass
            case _:
                raise ValueError(
                    f"data.root: {file}, {part.value}: {quoted(entry)} is not [path, label, class "
                    "name]"
                )
    return [(path, label, name) for path, label, name in entries]


def _validation(content: object) -> Iterator[tuple[str, str]]:
    """Yield path and class name of what is for validation: left out, so nothing else is asked."""
    listed = content.get(Part.val.value) if isinstance(content, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        match entry:
            case [str(path), _, str(name)]:
                yield path, name


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, whoever else writes the same one."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text)
        os.replace(draft, path)
    except OSError as error:
        if draft.exists():
            draft.unlink()
        raise ValueError(
            f"clip.cache_folder: cannot write {path} ({error.strerror}); choose another folder"
        ) from error
