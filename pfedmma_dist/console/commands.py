"""Commands: what `pfedmma` can start, each a module that `python -m` starts just so.

A module is named here and never imported: a command that is not installed is not shown.
"""

import sys
from dataclasses import dataclass
from importlib.util import find_spec

RANKS = "--ranks"
"""Of the two commands that train or score on several ranks: how many torchrun is to start."""


@dataclass(frozen=True)
class Command:
    """One command."""

    module: str
    words: str
    """What it does, in a line."""
    options: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    """What its words are, the last of these again and again: keys (and files of them), run, runs,
    sweep, clusters, sets, images."""
    on_ranks: bool = False
    """Whether it runs on several ranks, under torchrun."""


HERE = ("--ranks", "--workers", "--dry-run")

COMMANDS: dict[str, Command] = {
    "train": Command(
        "pfedmma_dist.train", "train a federation, or go on with it",
        ("--help", "--list", "--print-config"), ("keys",), on_ranks=True,
    ),
    "evaluate": Command(
        "pfedmma_dist.evaluate", "score a run again, with other prompts or on other data",
        ("--help", "--search", "--cross"), ("run", "keys"), on_ranks=True,
    ),
    "prepare": Command(
        "pfedmma_dist.prepare", "look a data set over before a run, or fetch it",
        ("--help", "--list", "--print-config", "--download", "--describe"), ("sets", "keys"),
    ),
    "cost": Command(
        "pfedmma_dist.cost", "count what methods train and send",
        ("--help", "--list", "--print-config", "--measure", "--privacy"), ("keys",),
    ),
    "sweep": Command(
        "launch.sweep", "run a sweep here, or submit it to a cluster",
        ("--help", "--cluster", "--local", *HERE), ("sweep", "keys"),
    ),
    "status": Command(
        "launch.status", "say how far a sweep is; retry or cancel it",
        ("--help", "--retry", "--cancel"), ("runs",),
    ),
    "job": Command(
        "launch.job", "submit one run to a cluster",
        ("--help", "--local", "--examples"), ("clusters", "keys"),
    ),
    "tune": Command(
        "launch.tune", "choose rates and options on validation images",
        ("--help", "--eta", *HERE), ("sweep", "keys"),
    ),
    "table": Command(
        "launch.table", "tables of sweeps and runs",
        ("--help", "--format", "--columns", "--compare", "--paper"), ("runs",),
    ),
    "figures": Command(
        "launch.figures", "figures of sweeps and runs", ("--help", "--out"), ("runs",)
    ),
    "report": Command(
        "launch.report", "one page about runs, to attach or to print",
        ("--help", "--out"), ("runs",),
    ),
    "score": Command(
        "launch.score", "score the runs of a sweep on other data sets",
        ("--help", "--workers", "--dry-run"), ("sweep", "keys"),
    ),
    "generalise": Command(
        "launch.generalise", "train rows by test columns",
        ("--help", "--format", "--out"), ("runs",),
    ),
    "controls": Command(
        "launch.controls", "negative controls of a finished run",
        ("--help", "--format", *HERE), ("run",),
    ),
    "verify": Command(
        "launch.verify", "check weights and data sets by zero-shot accuracy",
        ("--help", "--canary", "--sets"), ("keys",),
    ),
    "reproduce": Command(
        "launch.reproduce", "repeat published tables, and hold ours beside them", ("--help",)
    ),
    "contribute": Command(
        "launch.contribute", "copy results into a folder that others add to",
        ("--help", "--to"), ("runs",),
    ),
    "export": Command(
        "pfedmma_dist.export", "take a client's model home", ("--help",), ("run", "keys")
    ),
    "classify": Command(
        "pfedmma_dist.classify", "ask a client's model about images",
        ("--help",), ("run", "images"),
    ),
    "serve": Command(
        "pfedmma_dist.serve", "a page that asks clients' models about images",
        ("--help",), ("run",),
    ),
    "plan": Command(
        "pfedmma_dist.plan", "write down who trains when, on which images", ("--help",), ("run",)
    ),
    "membership": Command(
        "pfedmma_dist.membership", "attack a run: what does its shared part tell?",
        ("--help",), ("run", "keys"),
    ),
    "cache": Command(
        "pfedmma_dist.cache", "look after stored features",
        ("--help", "--verify", "--older-than", "--unused"), ("keys",),
    ),
    "pretrain": Command(
        "pfedmma_dist.pretrain", "pretrain the mini-CLIP of the embedded world",
        ("--help", "--out", "--images", "--seed", "--score"),
    ),
}  # fmt: skip
"""In the order in which they are shown."""


def installed() -> dict[str, Command]:
    """Return the commands whose module is there; none is imported."""
    return {name: one for name, one in COMMANDS.items() if is_there(one.module)}


def is_there(module: str) -> bool:
    """Whether Python would find a module; its package is imported, and nothing else."""
    package = module.partition(".")[0]
    return find_spec(package) is not None and find_spec(module) is not None


def started(command: Command, words: list[str]) -> list[str]:
    """Return the command line that a command stands for; ValueError where --ranks is no number."""
    ranks, rest = _ranks(words) if command.on_ranks else (None, words)
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", "-m"]
    return [sys.executable, "-m", *(torchrun if ranks else ()), command.module, *rest]


def _ranks(words: list[str]) -> tuple[int | None, list[str]]:
    """Return how many ranks are asked for, and the other words."""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == RANKS:
            end = index + (1 if equals else 2)
            value = value if equals else " ".join(words[index + 1 : end])
            if not value.isdecimal() or int(value) < 1:
                given = repr(value) if value else "nothing"
                raise ValueError(f"{RANKS}: {given} is no number of ranks; write {RANKS} 2")
            return int(value), [*words[:index], *words[end:]]
    return None, words
