"""Chosen changes to a stopped run's checkpoints and configuration, their seals made anew."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.faults.base import Base
from tests.faults.mutations import edit_sealed
from tests.faults.place import Place
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole

MANIFEST = "manifest.json"
SOMETHING = {"sha256": "", "bytes": 1}
DEEP = "[" * 100_000 + "]" * 100_000
Change = Callable[[Path], None]
"""What is done to a checkpoint's folder."""


def body(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a change of the manifest."""
    return lambda folder: edit_sealed(folder / MANIFEST, change)


def beside(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a change of what lies beside the seal."""
    return lambda folder: edit_sealed(folder / MANIFEST, change, outside=True)


def entry(name: str, value: object) -> Change:
    """Return a change of what the manifest says about a file."""
    return body(lambda body: body["files"].__setitem__(name, value))


def meta(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a change of the run's own words in the manifest."""
    return body(lambda value: change(value["meta"]))


def tensors(change: Callable[[dict[str, torch.Tensor]], Any], name: str = "shard_*") -> Change:
    """Return a change of the tensors of the first file of this name that has some."""

    def apply(folder: Path) -> None:
        file = min(folder.glob(f"{name}.safetensors"))
        content = {key: tensor.clone() for key, tensor in load_file(file).items()}
        change(content)
        save_file({key: tensor.contiguous() for key, tensor in content.items()}, file)
        now = {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
        }
        edit_sealed(folder / MANIFEST, lambda value: value["files"][file.name].update(now))

    return apply


def text(words: str) -> Change:
    """Return a change that replaces the manifest by these words."""
    return lambda folder: (folder / MANIFEST).write_text(words) and None


def exchange_shards(folder: Path) -> None:
    """Give each of two shards the file of the other, and the manifest both."""
    first, second = sorted(folder.glob("shard_*.safetensors"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)

    def change(value: dict[str, Any]) -> None:
        files = value["files"]
        files[first.name], files[second.name] = files[second.name], files[first.name]

    edit_sealed(folder / MANIFEST, change)


def pickle_instead(folder: Path) -> None:
    """Put a pickle that would make a file in the place of the tensors."""
    content = b"cos\nmkdir\n(S'sprung-by-unpickling'\ntR."
    min(folder.glob("shard_*.safetensors")).write_bytes(content)


def set_(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets a key."""
    return lambda body: body.__setitem__(key, value)


def without(key: str) -> Callable[[dict[str, Any]], None]:
    """Return a function that removes a key."""
    return lambda body: body.pop(key, None)


NOTHING = "nothing, but sealed anew"
"""Of this the program must not notice anything, else the others tried its seal alone."""

CHANGES: dict[str, Change] = {
    NOTHING: body(lambda value: None),
    **{f"round_index = {number!r}": body(set_("round_index", number))
       for number in (7, -1, 0, 1, "2", 2.5, None, True, 10**30)},
    "ids + 100": tensors(lambda t: t.update(ids=t["ids"] + 100)),
    "ids in another order": tensors(lambda t: t.update(ids=t["ids"].flip(0))),
    "an id twice": tensors(lambda t: t.update(ids=t["ids"][:1].expand(len(t["ids"])).clone())),
    "ids as float32": tensors(lambda t: t.update(ids=t["ids"].float())),
    "float16 rows": tensors(lambda t: t.update(rows=t["rows"].half())),
    "float64 rows": tensors(lambda t: t.update(rows=t["rows"].double())),
    "rows without a column": tensors(lambda t: t.update(rows=t["rows"][:, 1:])),
    "rows without a client": tensors(lambda t: t.update(rows=t["rows"][:-1])),
    "rows in one dimension": tensors(lambda t: t.update(rows=t["rows"].flatten())),
    "no rows": tensors(lambda t: t.pop("rows")),
    "no ids": tensors(lambda t: t.pop("ids")),
    "a tensor more": tensors(lambda t: t.update(more=torch.zeros(2))),
    "server of another length": tensors(lambda t: t.update(shared=t["shared"][1:]), "server"),
    "server in float64": tensors(lambda t: t.update(shared=t["shared"].double()), "server"),
    "server without a tensor": tensors(lambda t: t.pop("shared"), "server"),
    "server with another tensor": tensors(lambda t: t.update(more=t["shared"].clone()), "server"),
    "null for a shard with clients": entry("shard_001.safetensors", None),
    "no entry of a shard": body(lambda value: value["files"].pop("shard_001.safetensors")),
    "no entry of the server": body(lambda value: value["files"].pop("server.safetensors")),
    "an entry more": entry("x", SOMETHING),
    "an entry that leads elsewhere": entry("../../config.yaml", SOMETHING),
    "an entry of another type": entry("server.safetensors", 7),
    "files = []": body(set_("files", [])),
    "no files": body(without("files")),
    "no meta": body(without("meta")),
    "meta = 7": body(set_("meta", 7)),
    "an unknown key": body(set_("colour", "red")),
    "no round_index": body(without("round_index")),
    **{f"meta without {key}": meta(without(key))
       for key in ("fingerprint", "num_shards", "seconds", "unscored")},
    "an unknown key in meta": meta(set_("colour", "red")),
    "meta.seconds = 'long'": meta(set_("seconds", "long")),
    "meta.num_shards = '3'": meta(set_("num_shards", "3")),
    "meta.unscored = 7": meta(set_("unscored", 7)),
    "meta.unscored = {}": meta(set_("unscored", {})),
    "meta.unscored = {'x': 1}": meta(set_("unscored", {"x": 1})),
    "format = 99": beside(set_("format", 99)),
    "format = 'new'": beside(set_("format", "new")),
    "no format": beside(without("format")),
    **{f"manifest = {words!r}": text(words)
       for words in ("", "{", "[]", "null", "7", "{}", '"x"', '{"sha256": 1}', "\0")},
    "manifest nested 100,000 deep": text(DEEP),
    "shards exchanged": exchange_shards,
    "a pickle instead of tensors": pickle_instead,
}  # fmt: skip


def edited(place: Place, name: str, which: str, stopped: Path, whole: Whole) -> Iterator[Verdict]:
    """Change the newest checkpoint, or each, and start again."""
    place.copy(stopped)
    folders = sorted(place.run.glob("checkpoints/round_*"))
    for folder in folders[-1:] if which == "the newest" else folders:
        CHANGES[name](folder)
    ended = place.start(place.words()).wait()
    assert not Path("sprung-by-unpickling").exists()
    verdict = place.judge(f"{name}, {which}", ended, whole, may_refuse=True)
    if name == NOTHING and verdict.ending is not Ending.UNHARMED:
        verdict = Verdict(name, Ending.FAILED, f"the suite failed: {verdict.note}")
    yield verdict


def edits(base: Base) -> Iterator[Trial]:
    """Yield the changes of checkpoints."""
    stopped, whole = base.stopped(), base.whole()
    for which in ("the newest", "each"):
        for name in CHANGES:
            play = partial(edited, name=name, which=which, stopped=stopped, whole=whole)
            yield Trial(f"{name}, {which}", play)


KINDS = [
    Kind(
        "chosen changes to checkpoints, their seals made anew",
        "round_index 7 of 4, foreign ids, float16 rows, missing keys and tensors, wrong shapes, "
        "other types, deep nesting; in the newest checkpoint, and in each",
        edits,
    ),
]
