"""What of its parameters a method averages, where methods have the choice in common."""

from enum import Enum


class Share(Enum):
    """Whether what is trained crosses the network."""

    all = "all"
    none = "none"


class CommonShare(Enum):
    """Which prompts cross the network, of common ones and a client's own."""

    common = ("common",)
    all = ("common", "own")
    none = ()


class TowerShare(Enum):
    """Which prompts cross the network, of those of the image tower and those of the text tower."""

    all = ("image", "text")
    text = ("text",)
    image = ("image",)
    none = ()
