"""Files read: those that a run's keys name, in digests, so that a later start can name the one that
has changed.

What decides whose state a folder holds is content (ownership.py): weights, classes, plans and texts
as they were read. These digests are of bytes, of files alone, and refuse nothing. They say which
file it was, and are all there is to look at once a run is finished and reads nothing again.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pfedmma_dist.clip import catalogue, names
from pfedmma_dist.config.identity import METHOD, flat, meaning
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.meaning import MEANING, Meaning
from pfedmma_dist.config.merge import leaves
from pfedmma_dist.config.ruled import OPTIONS, RULES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.manifest import Manifest, digest_of
from pfedmma_dist.run.together import TogetherError

KEY = "read"
"""Of results and checkpoints: key, or key and name within a folder -> sha256."""


def digests(cfg: Config) -> dict[str, str]:
    """Return the sha256 of each file that the keys of a run name."""
    return {name: digest_of(path).hex() for name, path in _files(cfg)}


def altered(cfg: Config, saved: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files that are there and have other bytes than a run has read, by key.

    saved: a result, or what a checkpoint says. A file that is gone is none, nor one that lies
    elsewhere now.
    """
    read, then, now = saved.get(KEY, {}), saved.get("configuration", {}), flat(cfg)
    return {
        name: path
        for name, path in _files(cfg)
        if name in read
        and then.get(_key(name)) == now[_key(name)]
        and digest_of(path).hex() != read[name]
    }


def told(found: Mapping[str, Path]) -> str:
    """Say which files have changed."""
    return "; ".join(f"{name}: {path} has changed" for name, path in found.items())


def refuse_altered(cfg: Config, fingerprint: str, path: Path, record: Manifest) -> None:
    """Raise TogetherError where files that the method reads have changed since a checkpoint.

    fingerprint: of the method's numbers as it would go on, which tells whether that matters.
    """
    if record.meta["fingerprint"] != fingerprint:
        found = altered(cfg, record.meta)
        ours = {name: file for name, file in found.items() if name.startswith(METHOD)}
        if ours:
            raise TogetherError(f"{told(ours)} since {path} was trained with it; restore that file")


def _files(cfg: Config) -> Iterator[tuple[str, Path]]:
    """Yield key and place of each file."""
    values = flat(cfg)
    options = leaves(METHODS[cfg.method["name"]].Options, METHOD)
    if cfg.server.rule is not None:
        options = {**options, **leaves(RULES[cfg.server.rule].Options, f"{OPTIONS}.")}
    own = {key: leaf.metadata.get(MEANING, Meaning()) for key, leaf in options.items()}
    for key, value in values.items():
        means = own.get(key, meaning(key))
        if not (means.is_file and isinstance(value, str) and means.is_read(values)):
            continue
        path = Path(value).expanduser()
        if path.is_file():
            yield key, path
        elif value.startswith(names.FOLDER):
            folder = catalogue.description(value).parent
            for one in sorted(folder.iterdir()):
                if one.is_file():
                    yield f"{key}, {one.name}", one


def _key(name: str) -> str:
    return name.partition(", ")[0]
