"""Kinds of files that people take for each other: told apart by their keys, and by their names."""

import os
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

from pfedmma_dist.config.keys import Config


@dataclass(frozen=True)
class FileKind:
    """A kind of YAML or JSON file."""

    what: str
    keys: frozenset[str]  # at the top
    use: str  # {} is the file


RUN = FileKind(
    "a run's configuration",
    frozenset(item.name for item in fields(Config)),
    "python -m pfedmma_dist.train {}",
)
SWEEP = FileKind(
    "a sweep",
    frozenset({"base", "rows", "grid", "exclude", "score_on"}),
    "python -m launch.sweep {}",
)
CLUSTER = FileKind(
    "a cluster file",
    frozenset(
        {
            "partition",
            "account",
            "qos",
            "nodes",
            "ranks_per_node",
            "gpus_per_rank",
            "cpus_per_rank",
            "memory",
            "timeout_minutes",
            "warning_seconds",
            "max_requeues",
            "max_failures",
            "array_parallelism",
            "setup",
            "sbatch",
        }
    ),  # fmt: skip
    "python -m launch.sweep SWEEP.yaml --cluster {}, or python -m launch.job {} ARGUMENTS",
)
EXPECTATIONS = FileKind(
    "what is expected of a reproduction",
    frozenset({"experiment", "cells", "bands"}),
    "python -m launch.reproduce {}",
)
KINDS = (
    FileKind(
        "the result of a run",
        frozenset({"results", "sha256"}),
        "the run's configuration is the config.yaml beside it",
    ),
    FileKind(
        "what a run ran on",
        frozenset({"git_revision", "argv"}),
        "the run's configuration is the config.yaml beside it",
    ),
    FileKind("a model's description", frozenset({"vision_cfg", "text_cfg"}), "clip.model={}"),
    EXPECTATIONS,
    SWEEP,
    CLUSTER,
    RUN,
)
"""In the order in which they are tried: a result has a key of RUN, too."""

NAMES = {
    "data.list={}, or data.class_names={} for the names of classes": (".csv", ".jsonl", ".tsv"),
    "clip.pretrained={}": (".safetensors", ".pt", ".pth", ".bin", ".ckpt"),
    "data.root=FOLDER": (".jpg", ".jpeg", ".png", ".zip", ".tar", ".tgz", ".gz"),
}
"""What names a file to a run -> endings of such files."""


def refuse_other_kind(path: str | Path, tree: Collection[object], wanted: FileKind) -> None:
    """Refuse a file of another kind, and say what that is for. tree: its mapping."""
    keys = {key for key in tree if isinstance(key, str)}
    for kind in KINDS:
        by_any = kind in (SWEEP, CLUSTER, RUN)  # of its keys, the others by all together
        if keys & kind.keys and (by_any or kind.keys <= keys):
            if kind is not wanted and not (by_any and keys & wanted.keys - {"method", "seed"}):
                use = kind.use.replace("{}", str(path))
                raise ValueError(f"{path} is {kind.what}, not {wanted.what}: {use}")
            return


def named_by(word: str) -> str:
    """Say which key names a folder, or a file with such an ending; nothing for YAML and JSON."""
    path = Path(word).expanduser()
    if os.path.isdir(path):
        if os.path.isfile(path / "sweep.csv"):
            return f"it is the folder of a sweep: python -m launch.table {word}"
        return (
            f"a folder of images is named by data.root={word}, one for a run by run.folder={word}"
        )
    for use, endings in NAMES.items():
        if path.suffix.lower() in endings:
            return f"such a file is named by {use.replace('{}', word)}"
    return ""
