"""Names: what a class is called in a prompt, and which classes there are at all."""

import csv
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import control_in, quoted


def clean(name: str) -> str:
    """Return a folder's name as words: underscores become spaces."""
    return " ".join(name.replace("_", " ").split())


def prompt_names(
    names: Sequence[str],
    cfg: DataConfig,
    source: Path,
    published: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the label of each chosen class by its name in the source, and its name in a prompt.

    names: as the source spells them, in the order of the labels. published: what the publisher
    calls some of them in words. `data.classes` chooses among them, `data.class_names` calls them
    otherwise. No two may end up with one name.
    """
    given = _mapping(Path(cfg.class_names).expanduser()) if cfg.class_names else {}
    for name, place in given.items():
        if name not in names:
            raise ValueError(
                f"data.class_names: {place[1]}: {source} has no class {quoted(name)}"
                f"{_hint(name, names)}"
            )
    titles = {name: clean(published.get(name, name)) for name in names}
    titles.update({name: title for name, (title, _) in given.items()})
    chosen = list(names) if cfg.classes is None else _chosen(names, titles, cfg.classes, source)
    owner: dict[str, str] = {}
    for name in chosen:
        title = titles[name]
        if not title:
            raise ValueError(
                f"data.root: {source} has a class {name!r}, which has no name to put in a prompt; "
                "give it one with data.class_names"
            )
        held = control_in(title)
        if held is not None:
            raise ValueError(
                f"data.root: {source} has a class {quoted(title)}, which holds {held}; rename it, "
                "or give it another name with data.class_names"
            )
        other = owner.setdefault(title.lower(), name)  # CLIP reads all text in lower case
        if other != name:
            raise ValueError(
                f"data.root: {source} has two classes for the name {title!r}, {other!r} and "
                f"{name!r}; join them, or give one another name with data.class_names"
            )
    return {name: label for label, name in enumerate(chosen)}, tuple(titles[n] for n in chosen)


def _chosen(
    names: Sequence[str], titles: dict[str, str], classes: Sequence[str], source: Path
) -> list[str]:
    """Return the names that `data.classes` lists, by either spelling, in the order of `names`."""
    spelled = {**{title: name for name, title in titles.items()}, **{name: name for name in names}}
    for name in classes:
        if name not in spelled:
            raise ValueError(
                f"data.classes: {source} has no class {name!r} among its {len(names)}"
                f"{_hint(name, spelled)}"
            )
    wanted = {spelled[name] for name in classes}
    if not wanted:
        raise ValueError("data.classes: the list is empty; name classes, or set it to null for all")
    return [name for name in names if name in wanted]


def _mapping(file: Path) -> dict[str, tuple[str, str]]:
    """Return folder name -> (name in the prompt, place) of a CSV or JSON file."""
    if file.suffix.lower() not in (".csv", ".json"):
        raise ValueError(
            f"data.class_names: {file} is neither .csv (lines `folder,name`) nor .json (an object)"
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            content = from_json(text)
            pairs = content.items() if isinstance(content, dict) else [(content, None)]
            lines = [(key, value, str(file)) for key, value in pairs]
        else:
            reader = csv.reader(text.splitlines())
            lines = [
                (*row, f"{file}, line {reader.line_num}")
                if len(row) == 2
                else (row, None, f"{file}, line {reader.line_num}")
                for row in reader
                if row
            ]
    except OSError as error:
        raise ValueError(f"data.class_names: cannot read {file}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:  # JSON and text encoding alike
        raise ValueError(f"data.class_names: {file} is no valid CSV or JSON ({error})") from error
    found: dict[str, tuple[str, str]] = {}
    for name, title, place in lines:
        if not isinstance(title, str) or not title.strip():
            raise ValueError(
                f"data.class_names: {place}: {quoted(name)} is not followed by one name for the "
                "prompt"
            )
        if name in found:
            raise ValueError(f"data.class_names: {place}: {quoted(name)} stands twice")
        found[name] = (title.strip(), place)
    return found


def _hint(name: str, known: Sequence[str] | dict[str, str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
