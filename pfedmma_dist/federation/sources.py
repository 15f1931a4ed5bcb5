"""Sources: where a federation reads the frozen features of its images."""

from dataclasses import dataclass

from pfedmma_dist.clip.features import Features


@dataclass(frozen=True)
class Sources:
    """Where training images and test images get their frozen features."""

    train: Features
    test: Features
