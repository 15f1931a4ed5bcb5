"""What the launchers' variables say: rank and size as numbers, or a ValueError that names them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pfedmma_dist.spelling import quoted
from pfedmma_dist.world.launchers import LAUNCHERS, SRUN, TORCHRUN, Launcher

MOST_RANKS = 65536
"""No start is as large; a larger number is a slip that all waits would suffer from."""

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Reading:
    """What the variables of one launcher say."""

    launcher: Launcher
    rank: int
    size: int
    local_rank: int | None
    local_size: int | None
    live: bool = True  # the launcher itself has set them

    def __str__(self) -> str:
        """Name rank and size with their values."""
        return f"{self.launcher.rank}={self.rank} of {self.launcher.size}={self.size}"

    def same(self, other: "Reading") -> bool:
        """Whether both give the same place."""
        return (self.rank, self.size) == (other.rank, other.size)

    def inside(self, outer: "Reading") -> bool:
        """Whether this may be one of several ranks that one task of `outer` has started."""
        each, rest = divmod(self.size, outer.size)
        return rest == 0 and self.rank // each == outer.rank


def readings(env: Environment) -> Iterator[Reading]:
    """Yield what each launcher says that says anything, and refuse what is said by halves."""
    halves = []
    found = []
    for launcher in LAUNCHERS:
        if launcher is SRUN and launcher.size not in env and env.get(launcher.rank) == "0":
            continue  # a batch script, or the shell of salloc
        there = [name for name in (launcher.rank, launcher.size) if name in env]
        if len(there) == 2:
            found.append(_read(env, launcher))
        elif there:
            halves.append((launcher, there[0]))
    for launcher, name in halves:
        absent = launcher.size if name == launcher.rank else launcher.rank
        value = _number(env, launcher, name, 0, MOST_RANKS)
        known = [each.rank if name == launcher.rank else each.size for each in found]
        if value not in known and (not known or launcher is TORCHRUN):
            if found:
                raise ValueError(
                    f"{name}: {quoted(env[name])}, but {found[0].launcher.name} says {found[0]}; "
                    f"unset {launcher.set_in(env)} to follow it"
                )
            raise ValueError(
                f"{name}: {quoted(env[name])} is set, but {absent} is not; {_remedy(env, launcher)}"
            )
    if TORCHRUN.local_rank in env and not found:
        raise ValueError(
            f"{TORCHRUN.local_rank}: {quoted(env[TORCHRUN.local_rank])} is set, but "
            f"{TORCHRUN.rank} and {TORCHRUN.size} are not; {_remedy(env, TORCHRUN)}"
        )
    yield from found


def _read(env: Environment, launcher: Launcher) -> Reading:
    size = _number(env, launcher, launcher.size, 1, MOST_RANKS)
    rank = _number(env, launcher, launcher.rank, 0, size - 1, launcher.size)
    local = local_size = None
    if launcher.local_size in env:
        local_size = _number(env, launcher, launcher.local_size, 1, size, launcher.size)
    if launcher.local_rank in env:
        above, bound = (size, launcher.size)
        if local_size is not None:
            above, bound = local_size, launcher.local_size
        local = _number(env, launcher, launcher.local_rank, 0, above - 1, bound)
    live = not launcher.lives or bool(env.get(launcher.lives))
    return Reading(launcher, rank, size, local, local_size, live)


def _number(
    env: Environment, launcher: Launcher, name: str, least: int, most: int, bound: str = ""
) -> int:
    """Read a whole number of this range. bound: the variable that gives its end."""
    text = env[name].strip()
    if not text:
        what = "is empty"
    elif not re.fullmatch(r"-?[0-9]{1,18}", text):
        what = "is no whole number"
    elif not least <= int(text) <= most:
        end = f" by {bound}={env[bound].strip()}" if bound else ""
        what = f"is not {least} to {most}{end}" if most > least else f"is not {least}{end}"
    else:
        return int(text)
    raise ValueError(f"{name}: {quoted(env[name])} {what}; {_remedy(env, launcher)}")


def _remedy(env: Environment, launcher: Launcher) -> str:
    return (
        f"start the ranks with `{launcher.example}`, or for one rank alone: unset "
        f"{launcher.set_in(env)}"
    )
