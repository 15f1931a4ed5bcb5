"""Prompted texts: the words whose places learned vectors take, where IVLP and MaPLe learn them."""

from typing import Any

from pfedmma_dist.methods.prompts import check_words

WORDS = "a photo of a"


def check_context(options: Any) -> None:
    """Refuse options with more `num_context` vectors than words of `ctx_init`, or with words that
    `start` does not read."""
    words, start = options.ctx_init, options.start
    check_words(words)
    if words not in (WORDS, None) and start:
        raise ValueError(
            f"method.ctx_init: {words!r} is read at method.start=0 alone, where "
            f"method.start={start} has data.template; set one of the two"
        )
    if words and not start and options.num_context > len(words.split()):
        raise ValueError(
            f"method.num_context: {options.num_context} vectors cannot take the places of "
            f"the {len(words.split())} words of method.ctx_init={words!r}; set "
            "fewer, more words, or method.ctx_init=null"
        )


def replaced_and_kept(options: Any) -> tuple[str | None, str]:
    """Return the words of `ctx_init` whose places the vectors take, which they start as, and those
    that stay behind them."""
    words = (options.ctx_init or "").split() if not options.start else []
    replaced, kept = words[: options.num_context], words[options.num_context :]
    return " ".join(replaced) or None, " ".join(kept)
