"""The starts of one job: how often Slurm began it again, and where the ranks of this start meet."""

from collections.abc import Mapping

PORTS = range(20000, 32768)
"""Below those that systems give to connections, of which a port drawn by chance may be one."""

FURTHER = 5003
"""How far from its last port a job that starts again meets: what held that one may hold it yet."""


def restarts(environment: Mapping[str, str]) -> int:
    """Return how often Slurm has started this job again."""
    return int(environment.get("SLURM_RESTART_COUNT") or 0)


def port_of(environment: Mapping[str, str]) -> int:
    """Return where the ranks of this start meet: no two jobs of late at the same port."""
    number = int(environment["SLURM_JOB_ID"]) + FURTHER * restarts(environment)
    return PORTS[number % len(PORTS)]
