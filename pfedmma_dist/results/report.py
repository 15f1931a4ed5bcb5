"""Report: what runs reached, of what, on what, in one page that says how to repeat it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pfedmma_dist.config.documents import as_yaml
from pfedmma_dist.config.merge import shown
from pfedmma_dist.reading import Unreadable, read_json
from pfedmma_dist.results.figures import pictures
from pfedmma_dist.results.hypertext import (
    Section,
    bullets,
    facts,
    grid,
    hypertext,
    listing,
    page,
    paragraph,
    picture,
)
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.style import as_svg
from pfedmma_dist.results.tables import tables
from pfedmma_dist.run.earlier import EARLIER
from pfedmma_dist.run.folder import RunFolder

OF_A_PLACE = ("run.folder",)
"""Keys that differ in all runs, and say nothing of what a run is."""

OF_A_START = ("argv", "ranks", "ranks_per_host", "threads_per_rank")
"""What environment.json says of one start, and not of the machine."""

REMEDY = "restore it from a copy"


def report(outcomes: Iterable[Outcome], name: str, version: str) -> str:
    """Return the page of these runs.

    name: of what is reported, such as a sweep's folder. version: of this program.
    """
    runs = list(outcomes)
    finished = [run for run in runs if run.result is not None]
    lead = [
        f"{counted(len(runs), 'run')}, {len(finished)} finished; "
        f"written by pfedmma_dist {version}.",
        "Figures, tables and settings are of the files that the runs left, whose hashes stand at "
        "the end.",
    ]
    return page(f"Report of {name}", lead, sections(runs))


def sections(runs: list[Outcome], *, paper: bool = False) -> list[Section]:
    """Return the sections about runs. paper: with the paper's own figures in the tables."""
    finished = [run for run in runs if run.result is not None]
    problems = [problem for run in runs for problem in run.problems]
    return [
        Section("Damaged files", _if_any(bullets(problems))),
        Section("Results", tuple(hypertext(tables(runs, paper=paper)))),
        Section("Figures", tuple(_figures(runs))),
        Section("Not finished", _if_any(bullets(_waiting(runs)))),
        Section("Settings", tuple(_settings(runs))),
        Section("To repeat it", tuple(_repeating(finished))),
        Section("Environment", tuple(_environments(finished))),
        Section("Files", tuple(_files(finished))),
    ]


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: 1 run, 2 runs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _if_any(part: str) -> tuple[str, ...]:
    return (part,) if part else ()


def _figures(runs: list[Outcome]) -> Iterator[str]:
    """Yield the figures, then why others are not there."""
    left = []
    for each in pictures(runs):
        if each.draw is None:
            left.append(f"{each.name}: {each.reason}")
        else:
            yield picture(as_svg(each.draw()), each.name)
    if left:
        yield paragraph("Not drawn:")
        yield bullets(left)


def _waiting(runs: list[Outcome]) -> list[str]:
    return [f"{run.name}: {run.path.name}" for run in runs if run.result is None]


def _settings(runs: list[Outcome]) -> Iterator[str]:
    """Yield what runs differ in, a line for each of them, and what all agree on, as YAML."""
    known = [run for run in runs if run.config]
    if not known:
        return
    keys = list(dict.fromkeys(key for run in known for key in run.config))
    absent = object()
    values = {key: [run.config.get(key, absent) for run in known] for key in keys}
    common = {key: v[0] for key, v in values.items() if all(x == v[0] for x in v)}
    apart = [key for key in keys if key not in common and key not in OF_A_PLACE]
    if apart:
        own = [{key: values[key][i] for key in apart} for i in range(len(known))]
        words = [
            " ".join(f"{key}={shown(value)}" for key, value in each.items() if value is not absent)
            for each in own
        ]
        lines = [(run.name, run.path.name, told) for run, told in zip(known, words, strict=True)]
        yield grid("What the runs differ in", ["Run", "Folder", "Its own keys"], lines)
    common = {key: value for key, value in common.items() if key not in OF_A_PLACE}
    title = "What they have in common" if apart else "Configuration"
    yield paragraph(f"{title}; saved as a file it is a configuration that training takes:")
    yield listing(as_yaml(common))


def _repeating(finished: list[Outcome]) -> Iterator[str]:
    """Yield the command of each run, as it was given where that is known."""
    lines = [(run.name, _words(_environment(run)), str(run.path)) for run in finished]
    if lines:
        yield paragraph(
            "`python -m pfedmma_dist.train RUN/config.yaml run.folder=AGAIN` repeats a run; bits "
            "are equal for any number of ranks of as many threads. As each was started:"
        )
        yield grid("", ["Run", "Command", "Folder"], lines)


def _words(environment: Mapping[str, Any]) -> str:
    """Return the command that started a run, its file of the program as the module it is."""
    first, *rest = map(str, environment.get("argv") or ["?"])
    ranks = environment.get("ranks", 1)
    start = "python" if ranks == 1 else f"torchrun --nproc_per_node={ranks}"
    is_ours = first.endswith("pfedmma_dist/train.py")
    return " ".join([start, "-m pfedmma_dist.train" if is_ours else first, *rest])


def _environments(finished: list[Outcome]) -> Iterator[str]:
    """Yield each environment once, and how many runs it had."""
    found: dict[str, int] = {}
    for run in finished:
        machine = {k: v for k, v in _environment(run).items() if k not in OF_A_START}
        text = json.dumps(machine)
        found[text] = found.get(text, 0) + 1
    for text, count in found.items():
        machine = json.loads(text)
        before = machine.pop(EARLIER, [])
        told = {key: shown(value) for key, value in machine.items()}
        for number, one in enumerate(before, start=1):
            words = f"before ({number} of {len(before)}), " if len(before) > 1 else "before, "
            told |= {
                f"{words}{key}": shown(value)
                for key, value in one.items()
                if value != machine.get(key)
            }
        if told:
            yield facts(counted(count, "run"), told)
        else:
            yield paragraph(f"{counted(count, 'run')} whose environment is not known.")
    weights = dict.fromkeys(
        json.dumps(weights) for run in finished if (weights := (run.result or {}).get("weights"))
    )
    for text in weights:
        yield facts("Weights (sha256 of each tower)", json.loads(text))
    code = {
        one["name"]: ", ".join(
            [one["digest"], *(f"before {old}" for old in one.get("earlier", []))]
        )
        for run in finished
        for one in (run.result or {}).get("plugins", [])
    }
    if code:
        yield facts("Plugins (digest of their code)", code)


def _environment(run: Outcome) -> Mapping[str, Any]:
    """Return what environment.json says; {} where it is gone, which the page says."""
    try:
        return read_json(RunFolder(run.path).environment, dict, REMEDY)
    except (FileNotFoundError, Unreadable):
        return {}


def _files(finished: list[Outcome]) -> Iterator[str]:
    """Yield the hashes of the files of each run."""
    lines: list[Sequence[str]] = []
    for run in finished:
        result = run.result or {}
        files = {**result.get("files", {}), "result.json (its seal)": result.get("sha256")}
        lines += [(run.path.name, name, digest) for name, digest in files.items() if digest]
    if lines:
        yield grid("sha256, as the runs left them", ["Run", "File", "sha256"], lines)
