"""Domain sets: the same classes in several styles, for feature shift.

The lists of FedBN (Li et al., ICLR 2021) give a path and a class name per image; they stay
together here, and the labels are the sorted names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.folders import class_entries, class_folders, find, refuse_misplaced
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.data.sets.paths import slashed
from pfedmma_dist.data.sets.pickles import load_plain
from pfedmma_dist.data.sets.split import OWN_SHARES, draw
from pfedmma_dist.data.sets.tables import encoding_of
from pfedmma_dist.spelling import quoted

DOMAINNET = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
OFFICE_CALTECH = ("amazon", "caltech", "dslr", "webcam")
HALVES = (Part.train, Part.test)


def domainnet(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read DomainNet's 10-class subset in 6 domains, by FedBN's .pkl lists."""
    return _fedbn(cfg, ("DomainNet", "domainnet"), DOMAINNET)


def office_caltech10(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read Office-Caltech10 in 4 domains, by FedBN's .pkl lists."""
    return _fedbn(cfg, ("office_caltech_10",), OFFICE_CALTECH)


def domainnet345(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read all of DomainNet by its official lists; data.classes chooses among the 345."""
    root, homes = Path(cfg.root).expanduser(), ("DomainNet", "domainnet")
    first = f"{DOMAINNET[0]}_train.txt"
    refuse_misplaced(root, homes, lambda home: (home / first).is_file(), cfg.name, first)
    home = find(root, homes)
    entries: list[Entry] = []
    for domain in DOMAINNET:
        for part in HALVES:
            entries.extend(_official(home / f"{domain}_{part.value}.txt", domain, part))
    return to_images(entries, home, home / "*.txt", cfg)


def pacs(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read PACS, <domain>/<class>/* with a seeded split: 7 classes in 4 domains."""
    return _tree(cfg, PACS, splits)


def office_home(cfg: DataConfig, seed: int, splits: Path) -> Images:
    """Read Office-Home, <domain>/<class>/* with a seeded split: 65 classes in 4 domains."""
    return _tree(cfg, OFFICE_HOME, splits)


@dataclass(frozen=True)
class Tree:
    """A set of domain folders that hold class folders."""

    homes: tuple[str, ...]  # below data.root
    domains: tuple[tuple[str, ...], ...]  # spellings of each, the first is its name

    def is_home(self, folder: Path) -> bool:
        """Say whether a folder looks like the set's own."""
        return all(find(folder, names).is_dir() for names in self.domains)


PACS = Tree(
    homes=("pacs", "PACS"),
    domains=(("art_painting",), ("cartoon",), ("photo",), ("sketch",)),
)
OFFICE_HOME = Tree(
    homes=("office_home", "OfficeHome", "OfficeHomeDataset_10072016", "office-home"),
    domains=(("Art",), ("Clipart",), ("Product",), ("Real World", "Real_World", "RealWorld")),
)


def domain_tree(
    cfg: DataConfig, root: Path, folder_of: dict[str, str], layout: str, splits: Path
) -> Images:
    """Read the class folders of each domain's folder below `root`, split by a fixed seed.

    folder_of: domain -> folder. A class need not be in every domain.
    """
    strata: list[list[Entry]] = []
    for domain, folder in folder_of.items():
        names = class_folders(root / folder, layout)
        strata.extend(
            class_entries(root, f"{folder}/", names, layout, domain=domain, nested=cfg.nested)
        )
    return to_images(draw(cfg.name, strata, OWN_SHARES, splits), root, root, cfg)


def _tree(cfg: DataConfig, kind: Tree, splits: Path) -> Images:
    root = Path(cfg.root).expanduser()
    refuse_misplaced(root, kind.homes, kind.is_home, cfg.name, kind.domains[0][0])
    home = find(root, kind.homes)
    layout = f"{cfg.name} expects {home}/<domain>/<class>/*"
    folder_of = {names[0]: find(home, names).name for names in kind.domains}
    return domain_tree(cfg, home, folder_of, layout, splits)


def _fedbn(cfg: DataConfig, homes: tuple[str, ...], domains: tuple[str, ...]) -> Images:
    root, first = Path(cfg.root).expanduser(), f"{domains[0]}_train.pkl"
    refuse_misplaced(root, homes, lambda home: (home / first).is_file(), cfg.name, first)
    home = find(root, homes)
    entries: list[Entry] = []
    for domain in domains:
        for part in HALVES:
            file = home / f"{domain}_{part.value}.pkl"
            if not file.is_file():
                raise ValueError(
                    f"data.root: {file} is missing; data.name={cfg.name} expects the lists that "
                    "come with FedBN's code or data (github.com/med-air/FedBN) there"
                    + ("; for DomainNet's own .txt lists set data.name=domainnet345"
                       if cfg.name == "domainnet" else "")
                )  # fmt: skip
            entries.extend(_pickled(file, domain, part))
    return to_images(entries, root, home / "*.pkl", cfg, home=home.name)


def _pickled(file: Path, domain: str, part: Part) -> Iterator[Entry]:
    """Yield the images of one of FedBN's lists: a pair of paths and class names."""
    content = load_plain(file)
    if isinstance(content, np.ndarray):
        content = content.tolist()
    pair = [
        column.tolist() if isinstance(column, np.ndarray) else column
        for column in (content if isinstance(content, list | tuple) else ())
    ]
    if len(pair) != 2 or not all(isinstance(column, list | tuple) for column in pair):
        raise ValueError(f"data.root: {file} is not a pair (paths, class names); fetch it again")
    paths, names = pair
    if len(paths) != len(names):
        raise ValueError(f"data.root: {file} has {len(paths)} paths for {len(names)} class names")
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        if not (isinstance(path, str) and isinstance(name, str) and path and name):
            raise ValueError(
                f"data.root: {file}: item {number} is {quoted(path)} of class {quoted(name)}, "
                "not two texts"
            )
        yield Entry(path, name, part, domain, file=file)


def _official(file: Path, domain: str, part: Part) -> Iterator[Entry]:
    """Yield the images of one of DomainNet's own lists, lines of `domain/class/file label`."""
    try:
        lines = file.read_text(encoding=encoding_of(file, "data.root")).splitlines()
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"data.root: cannot read {file} ({error}); data.name=domainnet345 expects DomainNet's "
            f"lists <domain>_train.txt and <domain>_test.txt in {file.parent}"
        ) from error
    label_of: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        path, _, label = line.strip().replace("\t", " ").rpartition(" ")
        path = path.rstrip()
        folders = path.split("/")
        if len(folders) != 3 or folders[0] != domain:  # spelled otherwise, or wrong
            folders = slashed(path).split("/")[-3:]
        if len(folders) != 3 or folders[0].lower() != domain or not label.isdecimal():
            if not line.strip():
                continue
            raise ValueError(
                f"data.root: {file}, line {number}: {line!r} is not `{domain}/<class>/<file> label`"
            )
        if label_of.setdefault(folders[1], label) != label:
            raise ValueError(
                f"data.root: {file}, line {number}: {path} has label {label}, and other images of "
                f"{folders[1]!r} have {label_of[folders[1]]}"
            )
        yield Entry(path, folders[1], part, domain, file=file, line=number)
