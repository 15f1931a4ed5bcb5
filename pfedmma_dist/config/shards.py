"""Shards: how many there are where nobody says."""

ON_CPUS = 8
"""Whatever the ranks: a run has the same bits on 1 to 8 of them."""


def num_shards(device: str, num_ranks: int) -> int:
    """Return the number for ranks on a type of device.

    A cohort is of one shard: with 8 of them a GPU trained 1.25 to 1.7 clients at a time where 5 to
    7 are possible.
    """
    return num_ranks if device == "cuda" else ON_CPUS
