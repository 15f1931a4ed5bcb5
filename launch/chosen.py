"""The winner of a search as a preset that says how it was chosen."""

import re
from collections.abc import Sequence
from pathlib import Path

from launch.halving import Candidate
from pfedmma_dist.config.documents import as_yaml
from pfedmma_dist.run.files import write_text_atomically


def seeds_of(best: Candidate) -> str:
    """Return the seeds that a candidate was judged by."""
    return ", ".join(map(str, sorted({run.config.seed for run in best.runs})))


def write_preset(folder: Path, best: Candidate, lines: Sequence[str], command: str) -> Path:
    """Write the winner down and return the file; lines: how it was chosen."""
    comment = [f"Chosen by `{command}`:", *lines]
    name = re.sub(r"[^\w.+]+", "_", best.row).strip("_")
    path = folder / f"tuned-{name}.yaml"
    config = best.runs[0].config
    values = {"method.name": config.method["name"], **dict(best.point)}
    if config.plugins:
        values = {"plugins": config.plugins, **values}
    write_text_atomically(path, "".join(f"# {line}\n" for line in comment) + as_yaml(values))
    return path
