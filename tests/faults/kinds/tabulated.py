"""Random damage to a finished run's files, and the table that is made of them."""

import contextlib
import io
import random
import shutil
from collections.abc import Iterator
from functools import partial

from launch import table
from tests.faults.base import Base
from tests.faults.inside import MENDABLE
from tests.faults.kinds.results import FILES
from tests.faults.mutations import DAMAGE
from tests.faults.place import Place
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole

SERIES, EACH = 6, 50


def series(place: Place, seed: int, number: int, whole: Whole) -> Iterator[Verdict]:
    """Damage a file of a finished run at random, again and again, and ask for its table."""
    rng = random.Random(seed)
    place.copy(whole.folder)
    arguments = [str(place.run)]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        table.main(arguments)
    wanted = output.getvalue()
    for _ in range(number):
        shutil.rmtree(place.run)
        place.copy(whole.folder)
        file, how = rng.choice(FILES), rng.choice(sorted(DAMAGE))
        DAMAGE[how](place.run / file, rng)
        if not (place.run / "result.json").exists():
            continue  # a run without it has not finished, and is not tried here
        yield tabulated(f"{how} {file}", arguments, wanted)


def tabulated(name: str, arguments: list[str], wanted: str) -> Verdict:
    """Ask for the table in this process, and judge it."""
    output, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = table.main(arguments)
    except MENDABLE as error:
        return Verdict(name, Ending.TRACEBACK, f"told by no command: {error!r}"[:200])
    except Exception as error:
        return Verdict(name, Ending.TRACEBACK, repr(error)[:200])
    named = arguments[0] in errors.getvalue()
    if code == 2:
        return Verdict(name, Ending.REFUSED if named else Ending.FAILED, errors.getvalue()[:200])
    if output.getvalue() == wanted:
        return Verdict(name, Ending.UNHARMED)
    if named:
        return Verdict(name, Ending.FELL_BACK)
    return Verdict(name, Ending.SILENT, "another table")


def tables(base: Base) -> Iterator[Trial]:
    """Yield series of random damage."""
    number, whole = 8 if base.quick else EACH, base.whole()
    for seed in range(SERIES):
        yield Trial(f"series {seed}", partial(series, seed=seed, number=number, whole=whole))


KINDS = [
    Kind(
        "random damage to a finished run's files, tabulated",
        "result.json, metrics.csv, clients.csv or config.yaml flipped, zeroed, cut, emptied, "
        "deleted, made a folder; `launch.table` prints the same or names the folder",
        tables,
    ),
]
