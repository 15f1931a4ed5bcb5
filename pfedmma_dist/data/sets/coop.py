"""CoOp's data sets: eleven folders, the split files that everybody uses, names and prompts.

The layout is that of CoOp's DATASETS.md (Zhou et al., IJCV 2022), which links the split files. A
set is a declaration in `SETS`; where its split file is missing, `fallback` says which images there
are, and a seeded split of the same sizes takes its place.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.account import SKIPPED
from pfedmma_dist.data.sets.coop_names import CALTECH_NAMES, CALTECH_SKIP, EUROSAT_NAMES
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.folders import class_entries, class_folders, find, refuse_misplaced
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.data.sets.matlab import load_labels
from pfedmma_dist.data.sets.paths import slashed
from pfedmma_dist.data.sets.presence import check_paths
from pfedmma_dist.data.sets.prompt import prompted
from pfedmma_dist.data.sets.split import COOP_SHARES, TRAINVAL_SHARES, draw, read_split
from pfedmma_dist.data.sets.tables import encoding_of
from pfedmma_dist.reading import from_json

log = logging.getLogger(__name__)


class Unsplit(NamedTuple):
    """What is known of a set without its split file."""

    names: list[str]  # in the order of the labels
    strata: list[list[Entry]]  # to be dealt, class by class
    shares: tuple[float, float]  # of train and val in that
    given: list[Entry]  # whose part is known
    source: Path


@dataclass(frozen=True)
class CoopSet:
    """Where a data set of CoOp's lies and what its classes are called."""

    title: str
    homes: tuple[str, ...]  # spellings of its folder below data.root
    images: str  # image folder below that
    split: str  # end of the name of its split file
    template: str = "a photo of a {}."  # CoOp's zero-shot prompt
    renamed: Mapping[str, str] = field(default_factory=dict)  # CLIP's names of some classes
    skip: tuple[str, ...] = ()  # class folders that are left out
    fixed_shots: bool = False  # the published few-shot draw passes over the pool of the run's seed
    fallback: "Callable[[CoopSet, Path, str, bool], Unsplit] | None" = None

    def is_home(self, folder: Path) -> bool:
        """Say whether a folder looks like the set's own."""
        known = (f"split_zhou_{self.split}.json", self.images)
        return any((folder / name).exists() for name in known if name)


def reader(name: str) -> Callable[[DataConfig, int, Path], Images]:
    """Return the source of one of the sets. It carries the set's prompt as `template`."""
    kind = SETS[name]

    @prompted(kind.template, fixed_shots=kind.fixed_shots)
    def read(cfg: DataConfig, seed: int, splits: Path) -> Images:
        root = Path(cfg.root).expanduser()
        refuse_misplaced(root, kind.homes, kind.is_home, name, kind.images)
        home = find(root, kind.homes)
        published = home / f"split_zhou_{kind.split}.json"
        if published.exists():
            if cfg.nested:
                log.warning("data.nested: %s names every image itself", published)
            return read_split(published, home / kind.images, cfg, kind.renamed)
        if kind.fallback is None:
            raise ValueError(
                f"data.root: {published} is missing; get split_zhou_{kind.split}.json by the link "
                f"in CoOp's DATASETS.md, put it there, and the images in {home / kind.images}"
            )
        found = kind.fallback(kind, home, f"{name} expects {home / kind.images}", cfg.nested)
        drawn = draw(name, found.strata, found.shares, splits) if found.strata else []
        entries, left = [*drawn, *found.given], {f"{folder}/": SKIPPED for folder in kind.skip}
        return to_images(entries, home / kind.images, found.source, cfg, found.names, left=left)

    read.__doc__ = f"Read {kind.title} in CoOp's layout."
    return read


def _folders(kind: CoopSet, home: Path, layout: str, nested: bool) -> Unsplit:
    """Return the images of the class folders."""
    root, layout = home / kind.images, f"{layout}/<class>/*.jpg"
    folders = class_folders(root, layout, kind.skip)
    names = [kind.renamed.get(folder, folder) for folder in folders]
    found = zip(names, class_entries(root, "", folders, layout, nested=nested), strict=True)
    strata = [[entry._replace(name=name) for entry in own] for name, own in found]
    return Unsplit(names, strata, COOP_SHARES, [], root)


def _pets(kind: CoopSet, home: Path, layout: str, nested: bool) -> Unsplit:
    """Return what annotations/{trainval,test}.txt list, as `Abyssinian_100 1 1 1`."""

    def read(part: Part) -> list[Entry]:
        file = home / "annotations" / ("test.txt" if part is Part.test else "trainval.txt")
        return [
            Entry(f"{words[0]}.jpg", words[0].rpartition("_")[0].lower(), part, "", "", file, line)
            for line, words in _lines(file, 4, kind, home)
        ]

    trainval = read(Part.train)
    names = sorted({entry.name for entry in trainval})
    return _trainval(names, trainval, read(Part.test), kind, home)


def _sun397(kind: CoopSet, home: Path, layout: str, nested: bool) -> Unsplit:
    """Return what {Training,Testing}_01.txt list, as `/a/apse/indoor/sun_x.jpg`: an indoor apse."""

    def named(path: str) -> str:
        return " ".join(reversed(slashed(path).strip("/").split("/")[1:]))

    def read(part: Part) -> list[Entry]:
        file = home / ("Testing_01.txt" if part is Part.test else "Training_01.txt")
        return [
            Entry(path.strip("/\\"), named(path).partition(" ")[2], part, "", "", file, line)
            for line, [path, *_] in _lines(file, 1, kind, home)
        ]

    names = [named(path) for _, [path, *_] in _lines(home / "ClassName.txt", 1, kind, home)]
    return _trainval(names, read(Part.train), read(Part.test), kind, home)


def _ucf101(kind: CoopSet, home: Path, layout: str, nested: bool) -> Unsplit:
    """Return the middle frames of the videos that {train,test}list01.txt list."""
    lists = home / "ucfTrainTestlist"

    def named(action: str) -> str:  # one class has two spellings
        return "_".join(re.findall("[A-Z][^A-Z]*", action.replace("HandStand", "Handstand")))

    def read(part: Part) -> list[Entry]:
        file = lists / f"{part.value}list01.txt"
        found = []
        for line, words in _lines(file, 1, kind, home):
            action, _, video = slashed(words[0]).partition("/")
            path = f"{named(action)}/{Path(video).stem}.jpg"
            found.append(Entry(path, named(action), part, "", "", file, line))
        return found

    names = [named(words[1]) for _, words in _lines(lists / "classInd.txt", 2, kind, home)]
    return _trainval(names, read(Part.train), read(Part.test), kind, home)


def _flowers(kind: CoopSet, home: Path, layout: str, nested: bool) -> Unsplit:
    """Return what imagelabels.mat labels, image_00001.jpg first, named by cat_to_name.json."""
    labels, file = home / "imagelabels.mat", home / "cat_to_name.json"
    missing = [str(path) for path in (labels, file) if not path.is_file()]
    if missing:
        raise ValueError(
            f"data.root: neither {home}/split_zhou_{kind.split}.json, which CoOp's DATASETS.md "
            f"links, nor {' and '.join(missing)} can be found; put one there"
        )
    try:
        titles = {int(number): str(name) for number, name in from_json(file.read_bytes()).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"data.root: {file} is no JSON of numbers and names ({error})") from error
    strata: dict[int, list[Entry]] = {number: [] for number in sorted(titles)}
    for place, number in enumerate(load_labels(labels, "labels").tolist(), 1):
        path = f"image_{place:05}.jpg"
        if number not in titles:
            raise ValueError(f"data.root: {labels}: {path} is of class {number}, not in {file}")
        strata[number].append(Entry(path, titles[number], Part.train, file=labels))
    found = check_paths([e for own in strata.values() for e in own], home / kind.images, labels)
    own = [list(group) for _, group in groupby(found, key=lambda entry: entry.name)]
    return Unsplit([titles[number] for number in strata], own, COOP_SHARES, [], labels)


def _aircraft(kind: CoopSet, home: Path, layout: str, nested: bool) -> Unsplit:
    """Return the official split, which is also CoOp's: lines of `1025794 707-320`."""
    given: list[Entry] = []
    for part in Part:
        file = home / f"images_variant_{part.value}.txt"
        for line, words in _lines(file, 2, kind, home):
            given.append(Entry(f"{words[0]}.jpg", " ".join(words[1:]), part, "", "", file, line))
    names = [" ".join(words) for _, words in _lines(home / "variants.txt", 1, kind, home)]
    return Unsplit(names, [], COOP_SHARES, given, home)


def _trainval(
    names: list[str], trainval: list[Entry], test: list[Entry], kind: CoopSet, home: Path
) -> Unsplit:
    """Return the official halves, of which the first is yet to lose its validation images."""
    checked = check_paths([*trainval, *test], home / kind.images, home)
    own: dict[str, list[Entry]] = {name: [] for name in names}
    for entry in checked:
        if entry.name not in own:
            raise ValueError(f"data.root: {entry.place}: {entry.path} is of no known class")
    for entry in checked[: len(trainval)]:
        own[entry.name].append(entry)
    return Unsplit(names, list(own.values()), TRAINVAL_SHARES, checked[len(trainval) :], home)


def _lines(file: Path, least: int, kind: CoopSet, home: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line of an official list, comments left out."""
    try:
        text = file.read_text(encoding=encoding_of(file, "data.root"))
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"data.root: neither {home}/split_zhou_{kind.split}.json, which CoOp's DATASETS.md "
            f"links, nor the official list {file} can be read ({error}); put one there"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            if len(words) < least:
                raise ValueError(f"data.root: {file}, line {number}: {line!r} is too short")
            yield number, words


SETS = {
    "caltech101": CoopSet(
        "Caltech-101 (100 classes)", ("caltech-101",), "101_ObjectCategories", "Caltech101",
        renamed=CALTECH_NAMES, skip=CALTECH_SKIP, fallback=_folders,
    ),
    "dtd": CoopSet(
        "DTD (47 textures)", ("dtd",), "images", "DescribableTextures", "{} texture.",
        fallback=_folders,
    ),
    "eurosat": CoopSet(
        "EuroSAT (10 kinds of land)", ("eurosat",), "2750", "EuroSAT",
        "a centered satellite photo of {}.", renamed=EUROSAT_NAMES, fallback=_folders,
    ),
    "fgvc_aircraft": CoopSet(
        "FGVC-Aircraft (100 variants)", ("fgvc_aircraft",), "images", "FGVCAircraft",
        "a photo of a {}, a type of aircraft.", fallback=_aircraft,
    ),
    "food101": CoopSet(
        "Food-101 (101 dishes)", ("food-101",), "images", "Food101",
        "a photo of {}, a type of food.", fallback=_folders,
    ),
    "oxford_flowers": CoopSet(
        "Oxford Flowers (102 kinds)", ("oxford_flowers",), "jpg", "OxfordFlowers",
        "a photo of a {}, a type of flower.", fallback=_flowers,
    ),
    "oxford_pets": CoopSet(
        "Oxford-IIIT Pets (37 breeds)", ("oxford_pets",), "images", "OxfordPets",
        "a photo of a {}, a type of pet.", fallback=_pets, fixed_shots=True,
    ),
    "stanford_cars": CoopSet("Stanford Cars (196 models)", ("stanford_cars",), "", "StanfordCars"),
    "sun397": CoopSet(
        "SUN397 (397 scenes)", ("sun397", "SUN397"), "SUN397", "SUN397", fallback=_sun397,
    ),
    "ucf101": CoopSet(
        "UCF101 (101 actions)", ("ucf101",), "UCF-101-midframes", "UCF101",
        "a photo of a person doing {}.", fallback=_ucf101,
    ),
}  # fmt: skip

FOLDERS = tuple(name for name, kind in SETS.items() if kind.fallback is _folders)
"""Sets that may be read from class folders."""
