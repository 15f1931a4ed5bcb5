"""Alike: classes that CLIP cannot tell apart, since their prompts are the same tokens."""

from collections.abc import Sequence

from pfedmma_dist.clip.load import tokenizer

REMEDY = "with data.class_names"


def refuse_alike(model: str, names: Sequence[str], template: str, source: str) -> None:
    """Raise ValueError for two classes whose prompts are the same tokens up to their end.

    It needs no weights. One that leaves no trace in its prompt, or ends it, is refused as well, and
    so is one that does not fit. source: where the classes come from, for the message.
    """
    tokenize = tokenizer(model)
    *rows, nothing = tokenize([template.format(name) for name in (*names, "")]).tolist()
    nothing = _read(nothing)
    owner: dict[tuple[int, ...], str] = {}
    for name, row in zip(names, rows, strict=True):
        read = _read(row)
        if row.count(max(row)) > 1:
            raise ValueError(
                f"data.root: {source} has a class {name!r}, which holds the mark that ends a text "
                f"for CLIP; give it another name {REMEDY}"
            )
        if read == nothing:
            raise ValueError(
                f"data.root: {source} has a class {ascii(name)}, of which CLIP reads nothing; give "
                f"it a name {REMEDY}"
            )
        other = owner.setdefault(read, name)
        if other != name:
            raise ValueError(
                f"data.root: {source} has two classes whose prompts are the same tokens to CLIP, "
                f"{other!r} and {name!r}; join them, or give one another name {REMEDY}"
            )


def _read(row: list[int]) -> tuple[int, ...]:
    """Return the ids up to the end of the text, which has the largest: what CLIP reads of it."""
    return tuple(row[: row.index(max(row)) + 1])
