"""Names: what a class is called in a prompt, and which classes there are at all."""

import csv
import html
import logging
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.sets.paths import caseless, one_form
from pfedmma_dist.data.sets.tables import encoding_of, pairs_of
from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import control_in, quoted

log = logging.getLogger(__name__)


def clean(name: str) -> str:
    """Return a folder's name as words: underscores become spaces."""
    return " ".join(name.replace("_", " ").split())


def heard(title: str) -> str:
    """Return a name as CLIP's tokenizer cleans it: names of one form are one class to CLIP.

    Unicode form, HTML entities, curly quotes, full width, ligatures, spaces and letter case are
    lost on it. What else it takes for equal is known from the tokens alone (`clip.alike`).
    """
    if not title.isascii() or "&" in title:
        import ftfy  # takes a while, and few names need it

        title = ftfy.fix_text(title)
    return " ".join(html.unescape(html.unescape(title)).split()).lower()


def visible(title: str) -> str:
    """Return a name without characters that nobody sees, such as a space of no width."""
    return "".join(c for c in title if unicodedata.category(c) != "Cf").strip()


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
    given = _mapping(Path(cfg.class_names).expanduser(), names) if cfg.class_names else {}
    given = _matched(given, names, source)
    titles = {name: clean(published.get(name, name)) for name in names}
    titles.update({name: title for name, (title, _) in given.items()})
    chosen = list(names) if cfg.classes is None else _chosen(names, titles, cfg.classes, source)
    owner: dict[str, str] = {}
    for name in chosen:
        title = titles[name]
        if not visible(heard(title)):
            raise ValueError(
                f"data.root: {source} has a class {ascii(name)}, which has no name to put in a "
                "prompt; give it one with data.class_names"
            )
        held = control_in(title)
        if held is not None:
            raise ValueError(
                f"data.root: {source} has a class {quoted(title)}, which holds {held}; rename it, "
                "or give it another name with data.class_names"
            )
        other = owner.setdefault(heard(title), name)
        if other != name:
            raise ValueError(
                f"data.root: {source} has two classes for the name {title!r}, "
                f"{_apart(other, name)}, which are the same words to CLIP; join them, or give one "
                "another name with data.class_names"
            )
    _warn_of_unseen(list(owner), source)
    return {name: label for label, name in enumerate(chosen)}, tuple(titles[n] for n in chosen)


def _chosen(
    names: Sequence[str], titles: dict[str, str], classes: Sequence[str], source: Path
) -> list[str]:
    """Return the names that `data.classes` lists, by either spelling, in the order of `names`."""
    spelled = {**{title: name for name, title in titles.items()}, **{name: name for name in names}}
    found = _found(classes, spelled, "data.classes", source, total=len(names))
    found = [spelled[name] for name in found]
    wanted = {*found}
    if len(wanted) < len(found):
        twice = next(name for place, name in enumerate(found) if name in found[:place])
        log.warning("data.classes: %s is named twice", quoted(twice))
    if not wanted:
        raise ValueError("data.classes: the list is empty; name classes, or set it to null for all")
    return [name for name in names if name in wanted]


def _mapping(file: Path, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return folder name -> (name in the prompt, place) of a CSV or JSON file."""
    if file.suffix.lower() not in (".csv", ".tsv", ".json"):
        raise ValueError(
            f"data.class_names: {file} is neither .csv or .tsv (lines `folder,name`) nor .json (an "
            "object); give it the suffix of what it holds"
        )
    key = "data.class_names"
    try:
        if file.suffix.lower() == ".json":
            content = from_json(file.read_text(encoding=encoding_of(file, key)))
            pairs = content.items() if isinstance(content, dict) else [(content, None)]
            lines: list[tuple[Any, Any, str]] = [(name, title, str(file)) for name, title in pairs]
        else:
            lines = [
                (row[0], row[1], f"{file}, line {line}")
                if len(row) == 2
                else (row, None, f"{file}, line {line}")
                for line, row in pairs_of(file, names, key)
                if row
            ]
    except OSError as error:
        raise ValueError(f"data.class_names: cannot read {file}: {error.strerror}") from error
    except UnicodeError as error:
        raise ValueError(f"{key}: {file} is not UTF-8 text ({error}); save it as UTF-8") from error
    except (ValueError, csv.Error) as error:
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
    if not found:
        raise ValueError(f"data.class_names: {file} names no class; leave the key out")
    return found


def _matched(
    given: Mapping[str, tuple[str, str]], names: Sequence[str], source: Path
) -> dict[str, tuple[str, str]]:
    """Return what a file of names gives, by the names of the source."""
    places = {name: f"data.class_names: {place}" for name, (_, place) in given.items()}
    found: dict[str, tuple[str, str]] = {}
    matched = _found(given, names, "data.class_names", source, places)
    for name, known in zip(given, matched, strict=True):
        if known in found:
            raise ValueError(f"{places[name]}: {ascii(known)} stands twice, in two Unicode forms")
        found[known] = given[name]
    return found


def _found(
    wanted: Iterable[str],
    known: Iterable[str],
    key: str,
    source: Path,
    places: Mapping[str, str] = MappingProxyType({}),
    total: int | None = None,
) -> list[str]:
    """Return the known name for each one that is wanted: the same, or else in another form.

    What looks the same (NFC and NFD) cannot be told apart by whoever types it. places: beginning of
    a message about each of them. total: number of classes, for the message.
    """
    known, wanted = dict.fromkeys(known), list(wanted)
    forms: dict[str, list[str]] = {}
    if any(name not in known for name in wanted):
        for name in known:
            forms.setdefault(one_form(name), []).append(name)
    found, loose = [], []
    for name in wanted:
        same = [name] if name in known else forms.get(one_form(name), [])
        if len(same) != 1:
            raise ValueError(
                f"{places.get(name, key)}: {source} has no class {quoted(name)}"
                f"{'' if total is None else f' among its {total}'}{_hint(name, known)}"
            )
        found += same
        loose += [name] if same != [name] else []
    if loose:
        log.info(
            "%s: %d of %d names are those of %s in another Unicode form only (the first is %s)",
            key, len(loose), len(wanted), source, ascii(loose[0]),
        )  # fmt: skip
    return found


def _apart(one: str, other: str) -> str:
    """Return two names such that a reader sees in what they differ."""
    same = one_form(visible(one)) == one_form(visible(other))
    return " and ".join(ascii(name) if same else repr(name) for name in (one, other))


def _warn_of_unseen(titles: Sequence[str], source: Path) -> None:
    """Name two classes that only CLIP tells apart."""
    seen: dict[str, str] = {}
    for title in titles:
        other = seen.setdefault(visible(title), title)
        if other != title:
            log.warning(
                "data.root: %s has the classes %s and %s, which differ only in characters that "
                "cannot be seen; join them if they are one",
                source, ascii(other), ascii(title),
            )  # fmt: skip


def _hint(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?`, or nothing: letter case first, which difflib takes for all."""
    same = [other for other in known if caseless(other) == caseless(name)]
    near = same or get_close_matches(name, known, n=1)
    return f"; did you mean {' or '.join(map(repr, near[:2]))}?" if near else ""
