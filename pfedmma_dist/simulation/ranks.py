"""Ranks: the world of the simulations of this process."""

import atexit

from pfedmma_dist.world import World
from pfedmma_dist.world.place import find_place

MET: list[World] = []
"""The world of a process that is one of several ranks, for the life of the process: ranks that left
it and met again at the same port could find there what others have not left yet."""


def joined(device: str, patience: float) -> World:
    """Return this process's rank: alone, or among those that a launcher has started.

    device, patience: as run.device and run.patience.
    """
    if find_place().size == 1:
        return World.connect(device, patience)
    if not MET:
        MET.append(World.connect(device, patience))
        atexit.register(MET[0].close)
    [world] = MET
    if device not in ("auto", world.device.type):
        raise ValueError(
            f"run.device: {device} is asked for, and the ranks of this process have met on "
            f"{world.device.type}; give all simulations of a process the same run.device"
        )
    world.patience = patience
    return world
