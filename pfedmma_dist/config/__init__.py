"""What a user may set: the keys, how files and words are merged into them, and what they decide."""

from pfedmma_dist.config.keys import ClipConfig, Config

__all__ = ["ClipConfig", "Config"]  # what a script that uses the package as a library begins with
