"""Templates: prompts of which a method takes the mean, as its options name them."""

from collections.abc import Sequence

from pfedmma_dist.clip.templates import PUBLISHED
from pfedmma_dist.config.templates import is_template


def check_templates(templates: Sequence[str]) -> None:
    """Refuse what is neither a text with one {} nor the name of a published set, and no text."""
    odd = [text for text in templates if text not in PUBLISHED and not is_template(text)]
    if odd or not templates:
        told = f"{odd[0]!r} is neither text with one {{}} nor" if odd else "no text, nor"
        raise ValueError(
            f"method.templates: {told} the name of a published set ({', '.join(PUBLISHED)}); "
            'for example method.templates=[clip7], or ["a photo of a {}.","a sketch of a {}."]'
        )
