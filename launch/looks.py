"""Looks: data sets and weights are seen before the first run that needs them."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from launch.openai import doubts
from launch.plan import PlannedRun
from launch.verify import is_published
from pfedmma_dist.clip.load import check, load
from pfedmma_dist.data.download.catalogue import ORIGINS
from pfedmma_dist.data.sets import registry
from pfedmma_dist.reading import read_json
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.run.files import write_json, writing

SPLITS = "splits.json"
"""In the folder of the runs: which data sets are not of the published split."""


def look(runs: Sequence[PlannedRun]) -> dict[str, str]:
    """List the images of each data set; ValueError for all that cannot be, at once.

    Returns what is wrong with the split of each, empty where it is the published one.
    """
    lost, found = {}, {}
    for name, run in {run.config.data.name: run for run in runs}.items():
        cfg = run.config
        try:
            images = registry.read(cfg.data, cfg.seed, Path(cfg.clip.cache_folder).expanduser())
        except ValueError as error:
            lost[name] = str(error)
            continue
        counts = f"{len(images.train):,} training and {len(images.test):,} test images"
        found[name] = (
            "" if name in ORIGINS and is_published(name, images, cfg) else f"{name} ({counts})"
        )
        told = "; NOT the published split" if found[name] else ", the published split"
        print(f"data     {name}: {len(images.class_names)} classes, {counts}{told}", flush=True)
    if lost:
        told = "\n  ".join(f"{name}: {words}" for name, words in lost.items())
        remedy = f"; --sets {','.join(found)} runs what is there" if found else ""
        raise ValueError(f"{len(lost)} data sets cannot be read{remedy}\n  {told}")
    return found


def tell_weights(runs: Sequence[PlannedRun]) -> None:
    """Refuse weights that are none, by a look; say what they are, and what to run first."""
    for run in {repr(run.config.clip): run for run in runs}.values():
        clip = run.config.clip
        check(clip)
        told = doubts(clip.model, clip.pretrained)
        if told:
            print(f"weights  no comparison with the paper is meant: {told}", flush=True)
        else:
            root = shlex.quote(run.config.data.root)
            print(f"weights  {clip.model}, {clip.pretrained}; are they, images and splits right?")
            print(f"         python -m launch.verify --canary {root}", flush=True)


def fetch(run: PlannedRun) -> None:
    """Load the weights once, so that what cannot be loaded, or fetched, fails before any run."""
    print("loading  the weights, once, to see that they are whole", file=sys.stderr, flush=True)
    load(run.config.clip, run.config.seed, torch.device("cpu"))


def keep(folder: Path, splits: Mapping[str, str]) -> None:
    """Write down what the splits are, for reports that are made where the images are not."""
    path = folder / SPLITS
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, {**_kept(folder), **splits})


def _kept(folder: Path) -> dict[str, str]:
    try:
        return read_json(folder / SPLITS, dict, "start the command again without --report")
    except FileNotFoundError:
        return {}


def other_images(folder: Path, runs: Sequence[Outcome]) -> str:
    """Return the sets whose split is not the published one, or not known to be."""
    kept = _kept(folder)
    names = dict.fromkeys(run.data[0] for run in runs if run.result is not None)
    return ", ".join(filter(None, (kept.get(name, f"{name} (not looked at)") for name in names)))
