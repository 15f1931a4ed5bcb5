"""Questions about finished runs, one of which has a file that was changed by hand."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import yaml

from launch import figures, plan, status, table
from pfedmma_dist import evaluate, train
from tests.faults.base import Base
from tests.faults.kinds.by_hand import CHANGES
from tests.faults.kinds.results import CHOSEN, FILES
from tests.faults.place import REFUSAL, TRACE, Place
from tests.faults.ranks import Ranks
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole
from tests.runs import alone

WARNINGS = ("WARNING", "error", "skipped", "left out", "damaged")
"""One of these stands beside the name of a file where something is said about it."""

OF_SWEEPS = {
    "launch.table": table.main, "launch.status": status.main, "launch.figures": figures.main,
}  # fmt: skip
COMMANDS = OF_SWEEPS | {"train": train.main, "evaluate": evaluate.main}

TIMES = re.compile(r"\b[\d.,]+ (ms|s|MiB)\b|\b\d+:\d\d\b")
"""What differs from start to start, and is no score."""

SWEEP, DAMAGED, OTHER = "sweep", "sweep/first", "sweep/second"


def planned(base: Base) -> Path:
    """Return the folder of a sweep of two finished runs, made once."""
    folder = base.path / "finished" / SWEEP
    if not folder.exists():
        place, whole = base.place("planned"), base.whole()
        folder.parent.mkdir()
        rows = {"first": [], "second": []}
        text = yaml.safe_dump({"base": place.words(), "rows": rows}, sort_keys=False)
        (place.path / "mine.yaml").write_text(text)

        def main(words: list[str]) -> int:
            plan.write_plan(plan.plan(*words, [f"run.folder={folder}"]))
            return 0

        [ended] = Ranks(place.path / "said", [str(place.path / "mine.yaml")], main=main).wait()
        assert ended.code == 0, ended
        for name in rows:
            Place(folder, base.path, False).copy(whole.folder, name)
    return folder


def ask(place: Place, file: str, name: str, command: str, base: Base) -> Iterator[Verdict]:
    """Change a file of one run of a sweep, and ask about the sweep, or train that run."""
    place.copy(planned(base), SWEEP)
    arguments = [str(place.path / SWEEP)]
    if command == "train":
        arguments = place.words(run__folder=place.path / DAMAGED)
    wanted = said(place, command, arguments)
    CHOSEN[file][name](place.path / DAMAGED / file)
    answer = said(place, command, arguments)
    told = f"{command}, {file} {name}"
    if (file, name) == ("result.json", "removed") and command != "train" and answer[0] in (0, 1):
        yield Verdict(told, Ending.AS_TOLD)  # a run without it has not finished
        return
    verdict = judged(told, answer, wanted, place.path / DAMAGED, command)
    if command == "train" and verdict.ending is Ending.UNHARMED:
        verdict = mended(told, place.path / DAMAGED, base.whole())
    yield verdict


def said(place: Place, command: str, arguments: list[str]) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command in a process of its own."""
    output = place.path / "output.txt"
    output.unlink(missing_ok=True)

    def main(given: list[str]) -> int:
        heard = io.StringIO()
        try:
            with contextlib.redirect_stdout(heard), alone():
                return COMMANDS[command](given)
        finally:
            output.write_text(heard.getvalue())

    [ended] = Ranks(place.path / "said", arguments, main=main).wait()
    return ended.code, output.read_text() if output.exists() else "", ended.err


def judged(
    name: str,
    answer: tuple[int, str, str],
    wanted: tuple[int, str, str],
    run: Path,
    command: str,
) -> Verdict:
    """Judge an answer: the same as about undamaged runs, or a word about the damage."""
    code, output, errors = answer
    if TRACE in errors:
        return Verdict(name, Ending.TRACEBACK, errors.strip().splitlines()[-1][:200])
    if code == 2:
        told = REFUSAL.findall(errors)
        fine = len(told) == 1 and str(run) in told[0] and command not in OF_SWEEPS
        note = " ".join(told)[:200] if fine else f"ended because of one run: {told}"[:200]
        return Verdict(name, Ending.REFUSED if fine else Ending.FAILED, note)
    if code not in (0, 1):
        return Verdict(name, Ending.FAILED, f"exit code {code}")
    everything = output + errors
    if str(run) in errors and any(word in errors for word in WARNINGS):
        return Verdict(name, Ending.FELL_BACK)
    if plain(output) == plain(wanted[1]) and code == wanted[0]:
        return Verdict(name, Ending.UNHARMED)
    if str(run) in everything and any(word in everything for word in WARNINGS):
        return Verdict(name, Ending.FELL_BACK)
    return Verdict(name, Ending.SILENT, "said something else")


def mended(name: str, run: Path, whole: Whole) -> Verdict:
    """Look whether a finished run that was trained again without a word is whole."""
    for file in FILES[:3]:
        if not alike(run / file, whole.folder / file):
            return Verdict(name, Ending.SILENT, f"{file} stays as it is, without a word")
    return Verdict(name, Ending.UNHARMED)


def plain(output: str) -> str:
    """Return what is said without times."""
    return re.sub(r"\s+", " ", TIMES.sub("", output))


def alike(file: Path, wanted: Path) -> bool:
    """Whether a file says what it said, times aside: a run that finishes again takes its own."""
    if not file.is_file():
        return False
    if file.read_bytes() == wanted.read_bytes():
        return True
    if file.suffix == ".json":
        try:
            found, right = (json.loads(path.read_text())["results"] for path in (file, wanted))
            return [row["scores"] for row in found] == [row["scores"] for row in right]
        except (ValueError, LookupError, TypeError, RecursionError):
            return False
    return False


def scored(place: Place, name: str, stopped: Path) -> Iterator[Verdict]:
    """Change the newest checkpoint of a stopped run, and score the run."""
    place.copy(stopped)
    wanted = said(place, "evaluate", [str(place.run)])
    CHANGES[name](max(place.run.glob("checkpoints/round_*")))
    answer = said(place, "evaluate", [str(place.run)])
    verdict = judged(f"evaluate, {name}", answer, wanted, place.run, "evaluate")
    if verdict.ending is Ending.SILENT and " WARNING " in answer[2]:
        verdict = Verdict(verdict.name, Ending.FELL_BACK)
    yield verdict


def questions(base: Base) -> Iterator[Trial]:
    """Yield the edits of a finished run's files, each with every command that may read them."""
    planned(base)
    for file, edits in CHOSEN.items():
        for name in edits:
            for command in (*OF_SWEEPS, "train"):
                play = partial(ask, file=file, name=name, command=command, base=base)
                yield Trial(f"{command}, {file} {name}", play)


def evaluations(base: Base) -> Iterator[Trial]:
    """Yield the chosen changes of checkpoints, scored."""
    for name in CHANGES:
        yield Trial(name, partial(scored, name=name, stopped=base.stopped()))


KINDS = [
    Kind(
        "result.json, metrics.csv, clients.csv of one run of a sweep changed by hand",
        "`launch.table`, `launch.status` and `launch.figures` of the sweep, and `train` of the run "
        "say the same as before, or name the run; commands about a sweep do not end because of it",
        questions,
        sample=2,
    ),
    Kind(
        "chosen changes to the newest checkpoint, scored by `evaluate`",
        "the scores of the checkpoint before, with a warning, or a refusal",
        evaluations,
    ),
]
