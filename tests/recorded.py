"""Recorded folders: runs as they leave them behind, written from plain numbers."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ZERO_SHOT = "zero-shot CLIP"


def result_row(
    name: str, scores: Mapping[str, float], sent: int = 8, trained: int = 20, **more: float
) -> dict:
    """Return a row of result.json of a method that sends so many numbers both ways."""
    return {
        "name": name, "scores": dict(scores), "trained": trained, "up_numbers": sent,
        "down_numbers": sent, "up_bytes": 4 * sent, "down_bytes": 4 * sent, "start_numbers": 0,
        "seconds": 1.0, **more,
    }  # fmt: skip


def record(
    folder: Path,
    scores: Mapping[str, float] | None = None,  # None: not finished
    *,
    config: Mapping[str, Any] | None = None,  # dotted key -> value
    zero_shot: Mapping[str, float] | None = None,
    rounds: Sequence[Mapping[str, float]] = (),
    clients: Mapping[str, Sequence[float | None]] | None = None,  # scope -> percent of each
    **row: float,  # of `result_row`
) -> Path:
    """Write the folder of a run."""
    keys = {
        "seed": 1, "method.name": "tuned", "data.name": "glyphs", "data.root": "data",
        "data.task": "base_to_novel", "data.num_clients": 10, "federation.fraction": 1.0,
        **(config or {}),
    }  # fmt: skip
    folder.mkdir(parents=True)
    lines = [f"{key}: {json.dumps(value)}" for key, value in nested(keys).items()]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    if scores is not None:
        rows = [result_row(ZERO_SHOT, zero_shot, 0, 0)] if zero_shot else []
        rows.append(result_row(keys["method.name"], scores, **row))
        body = {"rounds": len(rounds), "results": rows} if rounds else {"results": rows}
        (folder / "result.json").write_text(json.dumps(body))
    if rounds:
        with open(folder / "metrics.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, list(rounds[0]))
            writer.writeheader()
            writer.writerows(rounds)
    if clients:
        table = {"client": range(len(next(iter(clients.values())))), **clients}
        heads = [name if name in ("client", "classes") else f"{name}_percent" for name in table]
        with open(folder / "clients.csv", "w", newline="") as file:
            csv.writer(file).writerows([heads, *zip(*table.values(), strict=True)])
    return folder


def round_row(index: int, local: float | None, **cells: float) -> dict[str, Any]:
    """Return a row of metrics.csv."""
    return {
        "round": index, "train_seconds": 2.0, "evaluate_seconds": 0.5, "client_up_bytes": 100,
        "client_down_bytes": 300, "resident_mib": 500 + index,
        "local_mean_percent": "" if local is None else local, **cells,
    }  # fmt: skip


def plan(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write the plan of a sweep: id, row, folder, and a column per grid key."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "sweep.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["id", *rows[0]])
        writer.writeheader()
        writer.writerows({"id": f"{index:08x}", **row} for index, row in enumerate(rows))
    return folder


def three(local: float, base: float, novel: float) -> dict[str, float]:
    """Return the scores of a base-to-novel run with these means."""
    hm = 3 / (1 / local + 1 / base + 1 / novel)
    return {"local_mean": local, "base_mean": base, "novel_mean": novel, "hm": hm}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted keys as sections."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    return tree
