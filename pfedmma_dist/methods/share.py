"""What of its parameters a method averages, where all or nothing is the choice."""

from enum import Enum


class Share(Enum):
    """Whether what is trained crosses the network."""

    all = "all"
    none = "none"
