"""Prompt templates: a text with one place for the class name, as `str.format` reads it."""

from string import Formatter

FIELD = ("", "", None)  # name, format and conversion of {}


def is_template(text: str) -> bool:
    """Whether a text has one {} and no other field; {{ and }} are plain braces."""
    try:
        fields = [tuple(field) for _, *field in Formatter().parse(text) if field[0] is not None]
    except ValueError:  # a single brace
        return False
    plain = text.replace("{{", "").replace("}}", "")
    return fields == [FIELD] and "{}" in plain  # not {:}
