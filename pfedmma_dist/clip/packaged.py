"""The CLIP that comes with the package: its sizes, its weights and the card that describes them."""

import hashlib
import json
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"
MODELS = {"mini-clip": ASSETS / "mini_clip.json"}
"""Packaged models, in the format of open_clip's model configs."""
WEIGHTS = {"mini-clip": {"glyphs": ASSETS / "mini_clip.safetensors"}}
"""Their weights by tag; the card of a file stands beside it."""


def find(model: str, pretrained: str | None) -> Path | None:
    """Return the local file that clip.pretrained means: of a packaged tag, or by its path."""
    packaged = WEIGHTS.get(model, {}).get(pretrained or "")
    if packaged is not None:
        _verify(packaged)
        return packaged
    path = Path(pretrained or "").expanduser()
    return path if path.is_file() else None


def told(weights: Path) -> str:
    """Name a file of weights in a message, with the card that tells its words if it has one."""
    card = _card_of(weights)
    return f"{weights} (described in {card.name} beside it)" if card.is_file() else str(weights)


def _card_of(weights: Path) -> Path:
    return weights.with_name(f"{weights.stem}_card.json")


def _verify(weights: Path) -> None:
    """Raise ValueError where packaged weights are not those that their card describes."""
    card = _card_of(weights)
    try:
        promised = json.loads(card.read_text(encoding="utf-8"))["sha256"]
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"clip.pretrained: {weights} and {card} cannot be read ({error!r}); install "
            "pfedmma_dist again, or set clip.pretrained=null for random weights"
        ) from error
    if found != promised:
        raise ValueError(
            f"clip.pretrained: {weights} (sha256 {found[:12]}...) is not the file that {card} "
            f"describes (sha256 {promised[:12]}...); install pfedmma_dist again, or name the file "
            "itself in clip.pretrained to use it all the same"
        )
