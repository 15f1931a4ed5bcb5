"""The published shots of the paper's seven base-to-novel sets, by a plain retelling of its code."""

import json
import math
import random
from pathlib import Path

import pytest

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.sets.coop import SETS
from pfedmma_dist.data.sets.registry import read
from pfedmma_dist.data.tasks.base_to_novel import base_to_novel

POOLED = ("caltech101", "oxford_flowers", "food101", "dtd", "sun397", "ucf101")
NUM_CLASSES, NUM_CLIENTS, SHOTS = 13, 3, 4


def split_file(root: Path, name: str) -> dict[str, list[list]]:
    """Write a split file whose training list names labels out of order, and its images."""
    kind, rng = SETS[name], random.Random(name)
    found: dict[str, list[list]] = {"train": [], "val": [], "test": []}
    for label in range(NUM_CLASSES):
        for index in range(rng.choice((2, SHOTS, 9))):  # some have fewer images than shots
            found["train"].append([f"c{label}/{index}.jpg", label, f"class {label}"])
        found["test"].append([f"c{label}/t.jpg", label, f"class {label}"])
    rng.shuffle(found["train"])
    home = root / kind.homes[0]
    for path, _, _ in found["train"] + found["test"]:
        image = home / kind.images / path
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    (home / f"split_zhou_{kind.split}.json").write_text(json.dumps(found))
    return found


def by_label(listed: list[list]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path, label, _ in listed:
        found.setdefault(label, []).append(path)
    return found


def published(listed: list[list], seed: int, pooled: bool) -> list[set[str]]:
    """Return the paths of each client, as the paper's code comes to them."""
    if pooled:  # before the classes are halved
        picker = random.Random(seed)
        pool = {
            label: picker.sample(paths, SHOTS) if len(paths) >= SHOTS else paths
            for label, paths in by_label(listed).items()
        }
        listed = [[path, label, ""] for label, paths in pool.items() for path in paths]
    base = math.ceil(NUM_CLASSES / 2)
    own = {label: paths for label, paths in by_label(listed).items() if label < base}
    picker, labels = random.Random(2023), list(range(base))
    picker.shuffle(labels)
    quota, clients = round(base / NUM_CLIENTS), []
    for client in range(NUM_CLIENTS):
        end = base if client == NUM_CLIENTS - 1 else (client + 1) * quota
        mine, paths_of = labels[client * quota : end], []
        for label, paths in own.items():
            if label in mine:
                paths_of += picker.sample(paths, SHOTS) if len(paths) >= SHOTS else paths
        clients.append(set(paths_of))
    return clients


@pytest.mark.parametrize("name", [*POOLED, "oxford_pets"])
def test_compat_draws_the_published_shots(tmp_path: Path, name: str) -> None:
    listed = split_file(tmp_path, name)["train"]
    cfg = DataConfig(
        name=name, root=str(tmp_path), num_clients=NUM_CLIENTS, shots=SHOTS, compat=True
    )
    for seed in (1, 2, 12345):
        images = read(cfg, seed, tmp_path / "cache")
        task = base_to_novel(images, cfg, seed)
        paths = [
            {images.store.paths[row] for row in task.train.rows(client)}
            for client in range(NUM_CLIENTS)
        ]
        assert paths == published(listed, seed, pooled=name in POOLED)
