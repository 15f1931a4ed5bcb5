"""The weights of a finished run as users get them, and the card that says what they are."""

import hashlib
import json
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

import pfedmma_dist
from pfedmma_dist.clip.load import load
from pfedmma_dist.clip.vocabulary import save
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.pretraining.captions import vocabulary
from pfedmma_dist.pretraining.score import card_scores
from pfedmma_dist.pretraining.trainer import Trainer
from pfedmma_dist.run.files import write_json

MODEL = Path(pfedmma_dist.__file__).parent / "assets" / "mini_clip.json"


def publish(trainer: Trainer, ids: np.ndarray, out: Path, model: Path = MODEL) -> Path:
    """Write the weights and their card into a folder; return the path of the weights.

    ids: token ids of the vocabulary, ascending.
    """
    path = out / f"{model.stem}.safetensors"
    save(path, dict(trainer.towers.weights), torch.from_numpy(ids))
    card = {
        "what": "CLIP trained on captioned glyphs (pfedmma_dist/data/glyphs.py), nothing else",
        "recipe": asdict(trainer.recipe),
        "loss": "symmetric InfoNCE over batches whose classes differ; no auxiliary loss",
        "optimiser": "AdamW; the rate rises linearly, then falls to 0 by half a cosine",
        "images_seen": trainer.images,
        "wall_seconds": round(trainer.seconds),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": {
            "pfedmma_dist": pfedmma_dist.__version__,
            "glyphs": glyphs.VERSION,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "held_out": [glyphs.class_name(combo) for combo in glyphs.HELD_OUT],
        "punctuation": [".", ",", ":", "-"],
        "vocabulary": sorted({word for text in vocabulary() for word in words(text)}),
    }
    write_json(_card_path(path), {**card, **_facts(path, model)})
    return path


def score_again(path: Path, model: Path = MODEL) -> None:
    """Renew what the card beside these weights says of them: scores, size and hash."""
    place = _card_path(path)
    try:
        card = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--score: {place} cannot be read ({error}); the card of the weights has to stand "
            "beside them"
        ) from error
    write_json(place, {**card, **_facts(path, model)})


def words(text: str) -> list[str]:
    """Return the words of a text without its punctuation."""
    return "".join(c if c.isalpha() else " " for c in text).split()


def _facts(path: Path, model: Path) -> dict[str, Any]:
    """Return what can be read from, and measured on, the weights themselves."""
    with safe_open(path, "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        tokens = file.get_slice("token_ids").get_shape()[0]
    clip = load(ClipConfig(model=str(model), pretrained=str(path)), 0, torch.device("cpu"))
    return {
        "num_parameters": sum(int(np.prod(shape)) for shape in shapes) - tokens,
        "num_tokens": tokens,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
        "accuracy": card_scores(clip),
    }


def _card_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_card.json")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
