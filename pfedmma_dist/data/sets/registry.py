"""Sources: the data sets this project can read, each as a function from a configuration to Images.

To add one, write its function and give it a line in `SOURCES`; your own, `register` it. It lists
images and never opens one; where they are not files, it gives them a store of their own, as
`glyph_images` does. Lists and folders become `Entry`s, which `listing.to_images` checks and
numbers. Sets in CoOp's layout need only a declaration in coop.py. A source may carry a prompt of
its own as the attribute `template`.
"""

import difflib
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from pfedmma_dist.config.keys import DataConfig, Statistics
from pfedmma_dist.config.several import sections
from pfedmma_dist.data.glyphs.store import glyph_images
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets import coop, imagenet_kinds
from pfedmma_dist.data.sets.cifar import cifar10, cifar100
from pfedmma_dist.data.sets.domains import (
    domainnet,
    domainnet345,
    office_caltech10,
    office_home,
    pacs,
)
from pfedmma_dist.data.sets.imagenet import imagenet
from pfedmma_dist.data.sets.own import folder

Source = Callable[[DataConfig, int, Path], Images]
"""(data section, the run's seed, folder of drawn splits) -> images"""

SOURCES: dict[str, Source] = {
    **{name: coop.reader(name) for name in coop.SETS},
    "cifar10": cifar10,
    "cifar100": cifar100,
    "domainnet": domainnet,
    "domainnet345": domainnet345,
    "folder": folder,
    "glyphs": glyph_images,
    "imagenet": imagenet,
    **{name: imagenet_kinds.reader(name) for name in imagenet_kinds.KINDS},
    "office_caltech10": office_caltech10,
    "office_home": office_home,
    "pacs": pacs,
}

USERS: dict[str, tuple[set[Source], str]] = {
    "list": ({folder}, "set data.name=folder to read the list"),
    "classes": ({*SOURCES.values()} - {glyph_images}, "its classes are fixed"),
    "layout": ({folder}, "its layout is fixed"),
    "nested": (
        {folder, imagenet, office_home, pacs, *(SOURCES[name] for name in coop.FOLDERS)},
        "its images are listed one by one",
    ),
    "class_names": ({*SOURCES.values()} - {glyph_images}, "its classes have fixed names"),
}
"""Key of a reader -> who looks at it, and what to say to others."""


def register(
    name: str, *, reads: Collection[str] = (), template: str | None = None
) -> Callable[[Source], Source]:
    """Let `data.name` find a data set of one's own: `@register("my_set")` before its function.

    reads: keys of USERS that the function looks at, such as classes; others are refused. template:
    the set's own prompt, which data.template=coop stands for. ValueError where the name is taken.
    """
    if not name.isidentifier():
        raise ValueError(f"data.name: {name!r} is no name; write letters, digits and _")
    for key in reads:
        if key not in USERS:
            raise ValueError(f"reads: {key!r} is none of {', '.join(USERS)}")

    def add(source: Source) -> Source:
        other = SOURCES.get(name)
        if other is not None and other is not source:
            module = getattr(other, "__module__", "")
            raise ValueError(f"data.name: {name} is taken by {module}; choose another name")
        if not source.__doc__:
            raise ValueError(f"{name}: a first line in its function's docstring says what it is")
        if template is not None:
            vars(source)["template"] = template
        SOURCES[name] = source
        for key in reads:
            USERS[key][0].add(source)
        return source

    return add


def sets_of(cfg: DataConfig) -> list[DataConfig]:
    """Return the data section of each data set that is configured, which may be a single one."""
    return sections(cfg, {name: getattr(own, "template", None) for name, own in SOURCES.items()})


def read(cfg: DataConfig, seed: int, cache_folder: Path) -> Images:
    """List the images of one data set. Several ranks may do so at once.

    seed: the run's, for sets that are drawn anew by it. cache_folder: takes splits that had to be
    drawn, in its sub-folder `splits`; the user's data folder is never written to.
    """
    if cfg.name not in SOURCES:
        near = difflib.get_close_matches(cfg.name, SOURCES, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"data.name: {cfg.name!r} is none of {', '.join(sorted(SOURCES))}{hint}")
    source = SOURCES[cfg.name]
    usual = DataConfig()
    for key, (users, remedy) in USERS.items():
        if getattr(cfg, key) != getattr(usual, key) and source not in users:
            raise ValueError(f"data.{key}: {cfg.name} makes no use of it; {remedy}")
    images = source(cfg, seed, cache_folder.expanduser() / "splits")
    if cfg.statistics is Statistics.own and images.scaling is None:
        raise ValueError(
            f"data.statistics: {cfg.name} has no pixel statistics of its own, as cifar10 and "
            "cifar100 have; set data.statistics=clip"
        )
    return replace(images, fixed_shots=getattr(source, "fixed_shots", False))
