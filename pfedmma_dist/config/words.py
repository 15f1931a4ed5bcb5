"""Words: an argument of a command line becomes a layer of values: a file's, or one `key=value`."""

import os
import re
from pathlib import Path
from typing import Any

from pfedmma_dist.config.documents import Layer, Word, read_layer
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.kinds import RUN, named_by, refuse_other_kind
from pfedmma_dist.config.merge import leaves
from pfedmma_dist.config.presets import alike, find
from pfedmma_dist.spelling import hint, quoted

OVERRIDE = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)=(.*)", re.DOTALL)


def word_layer(word: str) -> Layer:
    """Return one argument as a nested mapping of keys to values."""
    found = OVERRIDE.fullmatch(word)
    if found is None:
        return file_layer(_file(word))
    key, value = found.groups()
    if not value:
        raise ValueError(
            f"{key}: no value stands behind =; give one, or null where none is allowed"
        )
    tree: Any = Word(value)
    for name in reversed(key.split(".")):
        tree = {name: tree}
    return Layer("", tree)


def file_layer(path: str | Path) -> Layer:
    """Return a file of a run's configuration."""
    layer = read_layer(path)
    refuse_other_kind(path, layer.tree, RUN)
    return layer


def _file(word: str) -> Path:
    """Return the YAML file that `word` names, or explain what it may have meant."""
    path = find(word)
    meant = named_by(word)
    if path is not None and not meant:
        return path
    path = Path(word).expanduser()
    if os.path.isfile(path / "config.yaml"):
        raise ValueError(f"{word} is a folder; did you mean {path / 'config.yaml'}?")
    if meant and os.path.exists(path):
        raise ValueError(f"{word} is no configuration; {meant}")
    near = alike(word)
    like = f"; did you mean {near}?" if near else ""
    if path.suffix in (".yaml", ".yml"):
        raise ValueError(f"there is no file {word}{like}")
    known = leaves(Config)
    if word in known:
        like = f"; give that key a value: {word}=..."
    elif not like:
        like = hint(word, known)
    raise ValueError(
        f"{quoted(word)} is neither a file nor key=value (without spaces around =){like}"
    )
