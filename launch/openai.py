"""OpenAI: whether runs are of the weights that the papers' figures are of."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.reproduced import FULL_SIZE

TAG = "openai"
"""Of clip.pretrained: open_clip's name of them."""


def doubts(model: str, pretrained: str | None) -> str:
    """Return why a CLIP is not known to be OpenAI's ViT-B/16; empty where it is."""
    if model not in FULL_SIZE:
        return f"clip.model={model} is not ViT-B/16"
    if pretrained is None:
        return "clip.pretrained=null, so weights are random"
    if pretrained == TAG:
        return ""
    path = Path(pretrained).expanduser()
    if not path.is_file():
        return f"clip.pretrained={pretrained} is neither OpenAI's tag nor a file that is there"
    wanted, found = _published(), hashlib.sha256(path.read_bytes()).hexdigest()
    if found == wanted:
        return ""
    return f"clip.pretrained={pretrained} is {found[:12]} by sha256, OpenAI's file {wanted[:12]}"


def doubts_of_runs(outcomes: Iterable[Outcome]) -> str:
    """Return why runs are not known to be of OpenAI's ViT-B/16; empty where all are.

    Finished ones say the hash of their weights, and so that they are all of the same.
    """
    runs = [run for run in outcomes if run.result is not None]
    for model, pretrained in dict.fromkeys(map(_clip, runs)):
        told = doubts(model, pretrained)
        if told:
            return told
    hashes = {json.dumps(run.result.get("weights")) for run in runs if run.result is not None}
    return "runs are of different weights, by the hashes in their results" * (len(hashes) > 1)


def _clip(run: Outcome) -> tuple[str, str | None]:
    config: Mapping[str, Any] = run.config
    return str(config.get("clip.model")), config.get("clip.pretrained")


def _published() -> str:
    """Return the sha256 of OpenAI's file, which its address holds."""
    from pfedmma_dist.clip.catalogue import tag

    found = re.search(r"/([0-9a-f]{64})/", str(tag(FULL_SIZE[0], TAG).get("url")))
    return found.group(1) if found else "(not known to this open_clip)"
