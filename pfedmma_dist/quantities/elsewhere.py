"""Elsewhere: the names of test sets of another data set than the run's own division of one."""

CROSS = "cross"
"""The scope of all its test images, among all its classes."""


def cross_scope(domain: str) -> str:
    """Return the name of the scope of the test images of one of its domains."""
    return f"{CROSS}_{domain}"
