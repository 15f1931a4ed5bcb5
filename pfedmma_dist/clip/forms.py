"""Forms: the text side of some classes, fast or plain as the CLIP runs."""

from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.plain_text import PlainText
from pfedmma_dist.clip.text import ClassText


def class_text(
    clip: FrozenCLIP, names: tuple[str, ...], template: str, is_trained: bool = True
) -> ClassText:
    """Return the text side of these classes, in the form that the CLIP runs in."""
    return (PlainText if clip.plain else ClassText)(clip, names, template, is_trained)
