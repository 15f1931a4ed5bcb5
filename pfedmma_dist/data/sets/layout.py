"""Layout: what the folders of an image folder are, told by their names and by what they hold."""

from collections.abc import Sequence
from pathlib import Path

from pfedmma_dist.config.keys import Layout
from pfedmma_dist.data.sets.entry import Part
from pfedmma_dist.data.sets.folders import MANY, first_image, folders, image_files
from pfedmma_dist.data.sets.halves import hint_of, part_of, parts_of

LIST = "give a data.list with the columns path, class, domain and split"


def recognised(root: Path, names: Sequence[str], nested: bool, expected: str) -> Layout:
    """Return what the folders `names` of `root` are; what is unclear is refused with its readings.

    expected: completes "data.name=".
    """
    flat = [name for name in names if image_files(root / name)]
    deep = [name for name in names if name not in flat and folders(root / name)]
    parts = parts_of(names)
    _refuse_nearly_halves(root, names, flat, parts)
    if {Part.train, Part.test} & parts.keys() or set(parts.get(Part.val, ())) & set(deep):
        _refuse_unclear_halves(root, names, flat, parts)
        return Layout.halves
    if flat and deep and not nested:
        path = f"{deep[0]}/{first_image(root / deep[0]) or folders(root / deep[0])[0]}"
        inside = next((root / name for name in deep if is_layout(root / name)), None)
        near = f"; if the classes are in {inside.name}, set data.root={inside}" if inside else ""
        raise ValueError(
            f"data.root: {root}/{flat[0]} holds images and {root}/{deep[0]} holds folders: is it a "
            f"class or a domain? With data.nested=true, {path} is an image of the class "
            f"{deep[0]!r}; to leave such folders out, move them away, or give a data.list"
            f"{near}; data.name={expected}"
        )
    if flat or not deep:
        return Layout.classes
    if len(deep) == 1:
        raise ValueError(
            f"data.root: {root} holds the single folder of folders {deep[0]!r}; if these are "
            f"classes, set data.root={_innermost(root / deep[0])}"
        )
    _refuse_inner_halves(root, deep)
    _refuse_unlike(root, deep)
    return Layout.domains


def is_layout(root: Path) -> bool:
    """Say whether a folder looks like one that can be read, without looking far."""
    try:
        names = folders(root)
        return len(names) > 1 and all(first_image(root / name, 1) for name in names[:MANY])
    except OSError:
        return False


def half_folders(root: Path, parts: dict[Part, list[str]]) -> tuple[str, str]:
    """Return the folders of training and of test images; without a test one, val is it."""
    test = Part.test if Part.test in parts else Part.val
    for part in (Part.train, test):
        names = parts.get(part, [])
        if len(names) > 1:
            raise ValueError(
                f"data.root: {root} holds {' and '.join(names)}, which both mean {part.value}; "
                "join them, or move one away, or set data.layout=classes or data.layout=domains if "
                "they are no halves"
            )
        if not names:
            kind = "training" if part is Part.train else "test"
            raise ValueError(
                f"data.root: {root} holds no folder of {kind} images, as data.layout=halves needs "
                "it; name it train or test"
            )
    return parts[Part.train][0], parts[test][0]


def _refuse_unclear_halves(
    root: Path, names: Sequence[str], flat: Sequence[str], parts: dict[Part, list[str]]
) -> None:
    """Refuse folders of which some are called after a part, unless two are halves of classes."""
    if Part.train in parts and len(parts) > 1:
        both = half_folders(root, parts)
        loose = [name for name in both if name in flat and not folders(root / name)]
        if not loose:
            return
        path = f"{loose[0]}/{first_image(root / loose[0])}"
        raise ValueError(
            f"data.root: {root} holds {_listed(names)}, and no class folder in {loose[0]}: either "
            f"{path} is an image of a half, without a class: put it into {loose[0]}/<class>/, or "
            f"{LIST}; or it is an image of the class {loose[0]!r}: set data.layout=classes"
        )
    word = next(own for own in parts.values())[0]
    path = f"{word}/{first_image(root / word) or ''}"
    if word in flat:
        other = f"of the class {word!r}: set data.layout=classes"
    else:
        inner = path.split("/")[1]
        other = f"of the class {inner!r} in the domain {word!r}: set data.layout=domains"
    missing = "training" if Part.train not in parts else "test"
    raise ValueError(
        f"data.root: {root} holds {_listed(names)}: only one of train and test. Either {path} is "
        f"an image of a half: add the folder of {missing} images, or set data.root={root / word} "
        f"to split that one; or it is an image {other}"
    )


def _refuse_nearly_halves(
    root: Path, names: Sequence[str], flat: Sequence[str], parts: dict[Part, list[str]]
) -> None:
    """Refuse folders that seem to be halves by a part of their names, as train_v2 and test_v2."""
    seeming = parts_of(names, hint_of)
    loose = [name for own in seeming.values() for name in own]
    if Part.test in parts and Part.train in parts or seeming.keys() == parts.keys():
        return
    if Part.train not in seeming or len(seeming) < 2:
        return
    if len(loose) < len(names) and any(name in flat for name in loose):
        return  # two of many classes may be a train station and a test tube
    test = seeming.get(Part.test) or seeming[Part.val]
    first = seeming[Part.train][0]
    path = f"{first}/{first_image(root / first) or ''}"
    if first in flat:
        half = f"put each half's images into class folders, or {LIST}"
        other = f"of the class {first!r}: set data.layout=classes"
    else:
        alone = len(seeming[Part.train]) == len(test) == 1
        half = "set data.layout=halves" if alone else "call the two that are halves train and test"
        inner = path.split("/")[1]
        other = f"of the class {inner!r} in the domain {first!r}: set data.layout=domains"
    raise ValueError(
        f"data.root: {root} holds {_listed(names)}, of which {first} and {test[0]} look like "
        f"halves: either {path} is an image of a half: {half}; or it is one {other}"
    )


def _refuse_inner_halves(root: Path, names: Sequence[str]) -> None:
    """Refuse halves that lie inside classes or domains."""
    for name in names:
        inner = folders(root / name)
        parts = parts_of(inner)
        if len(parts) < 2 and any(part_of(each) is None for each in inner):
            continue  # a class may be called train
        half = next(each for each in inner if part_of(each) is not None)
        path = f"{name}/{half}/{first_image(root / name / half) or ''}"
        if image_files(root / name / half):
            readings = (
                f"either {path} is an image of the class {name!r}: {LIST}, or let "
                "data.layout=classes with data.nested=true draw a split of its own; or it is one "
                f"of the class {half!r} in the domain {name!r}: set data.layout=domains"
            )
        else:
            label = folders(root / name / half)[0] if folders(root / name / half) else ""
            alone = not any(first_image(root / other) for other in names if other != name)
            where = f"set data.root={root / name}"
            where += "" if alone else f" for that one alone, or {LIST}"
            readings = (
                f"either {path} is an image of the class {label!r} in a half of the domain "
                f"{name!r}: {where}; or it is one of the class {half!r} in that domain: set "
                "data.layout=domains with data.nested=true"
            )
        raise ValueError(f"data.root: {root}/{name} holds {_listed(inner)}: {readings}")


def _refuse_unlike(root: Path, domains: Sequence[str]) -> None:
    """Refuse folders of folders that cannot be domains, since these have classes in common."""
    first = set(folders(root / domains[0]))
    for name in domains[1:]:
        if first.isdisjoint(folders(root / name)):
            raise ValueError(
                f"data.root: {root}/{domains[0]} and {root}/{name} hold folders, and none of the "
                "same name: they are no domains of the same classes; give a data.list instead, or "
                "set data.layout=classes with data.nested=true if they are classes themselves"
            )


def refuse_domains_in(root: Path, half: str, names: Sequence[str]) -> None:
    """Refuse halves whose folders hold no image, but folders that do."""
    if any(image_files(root / half / name) for name in names):
        return
    for name in names:
        inner = first_image(root / half / name)
        if inner is not None:
            raise ValueError(
                f"data.root: {root}/{half} holds folders of folders: either {half}/{name}/{inner} "
                f"is an image of the class {inner.partition('/')[0]!r} in the domain {name!r}: "
                f"{LIST}; or it is one of the class {name!r}: set data.nested=true"
            )


def _innermost(folder: Path) -> Path:
    """Return a folder, or the one inside it where that is all that it holds, and so on."""
    while not image_files(folder):
        inner = folders(folder)
        if len(inner) != 1 or image_files(folder / inner[0]):
            break
        folder /= inner[0]
    return folder


def _listed(names: Sequence[str], most: int = 9) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
