"""Several: the data sets of one federation, as data.names lists them.

An entry is the name of a data set, `dtd`, or `NAME:PATH`, the set that is read at PATH (from
data.root) in place of data.root: `folder:flowers` and `folder:pets` are two folders of one's own.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pfedmma_dist.config.documents import Layer, place
from pfedmma_dist.config.limits import COOP
from pfedmma_dist.spelling import hint, quoted

NAME, NAMES = "data.name", "data.names"

ONE_SET = ("classes", "class_names", "list")
"""Keys of the data section that say something of a single set."""


def reader_of(entry: str) -> str:
    """Return the name of the data set that an entry is read as."""
    return entry.partition(":")[0]


def heading_of(entry: str) -> str:
    """Return what reports call an entry: the last folder of its path, or its name."""
    name, _, path = entry.partition(":")
    return Path(path).name or name


def read_as(data: Any) -> list[str]:
    """Return the names of the data sets that a data section reads."""
    return [reader_of(entry) for entry in data.names or [data.name]]


def joined(entries: Collection[str]) -> str:
    """Return what stands as data.name where several are listed: `caltech101+dtd`."""
    return "+".join(map(heading_of, entries))


def sections(data: Any, templates: Mapping[str, str | None]) -> list[Any]:
    """Return the data section of every set that is read, which is `data` itself where it names one.

    data: a `DataConfig`. templates: name of a set -> prompt of its own, which `coop` stands for.
    Clients are dealt evenly to the sets, in their order.
    """
    if not data.names:
        return [data]
    share = data.num_clients
    if share is not None:
        if share % len(data.names):
            sets = ", ".join(map(heading_of, data.names))
            raise ValueError(
                f"data.num_clients: {share} clients cannot be shared out evenly among "
                f"{len(data.names)} data sets ({sets}); set a multiple of {len(data.names)}"
            )
        share //= len(data.names)
    found = []
    for entry in data.names:
        name, _, path = entry.partition(":")
        own = replace(data, name=name, names=None, num_clients=share)
        own.root = str(Path(data.root).expanduser() / path) if path else data.root
        own.template = templates[name] if data.template == COOP else data.template
        found.append(own)
    return found


def check_names(data: Any, given: Mapping[str, Layer], sources: Collection[str]) -> None:
    """Refuse a list of data sets that no federation could be made of, and let data.name tell it.

    given: keys that files and words give. sources: names of the known data sets.
    """
    if data.names is None:
        return
    if not data.names:
        raise ValueError(f"{NAMES}: [] lists no data set; name some, or set {NAMES}=null")
    for entry in data.names:
        if reader_of(entry) not in sources:
            raise ValueError(
                f"{NAMES}: {quoted(entry)} is unknown{hint(reader_of(entry), sources)}; known: "
                f"{', '.join(sorted(sources))}, each also as NAME:PATH"
            )
    title, headings = joined(data.names), Counter(map(heading_of, data.names))
    [(twin, often)] = headings.most_common(1)
    if often > 1:
        raise ValueError(
            f"{NAMES}: {quoted(twin)} stands there {often} times, and reports could not tell these "
            "apart; leave the others out, or rename a folder"
        )
    if NAME in given and data.name != title:
        raise ValueError(
            f"{NAME}: {quoted(data.name)}{place(given[NAME])} and {NAMES}: "
            f"[{', '.join(data.names)}]{place(given[NAMES])} both say what to read; set "
            f"{NAMES}=null to read the one set, or leave {NAME} out"
        )
    for key in ONE_SET:
        if getattr(data, key) is not None:
            raise ValueError(
                f"data.{key}: it says something of a single data set, and {NAMES} lists "
                f"{len(data.names)}; leave one out"
            )
    data.name = title
