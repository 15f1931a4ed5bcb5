"""The cluster files that come with us: slurm/ of the source tree, or of the installed package."""

from pathlib import Path

import pfedmma_dist
from pfedmma_dist.run.files import write_text_atomically, writing

FOLDER = Path("slurm")


def find_file(word: str) -> Path | None:
    """Return the cluster file that a word names: the user's own, else ours of that path."""
    path = Path(word).expanduser()
    if path.is_file():
        return path
    if path.parts[:1] == FOLDER.parts:
        ours = installed().joinpath(*path.parts[1:])
        return ours if ours.is_file() else None
    return None


def absolute_file(word: str) -> str:
    """Return the absolute path of a cluster file that is there."""
    return str((find_file(word) or Path(word)).absolute())


def known_files() -> list[str]:
    """Return the paths of cluster files that `find_file` finds below slurm/."""
    names = {path.name for folder in (FOLDER, installed()) for path in folder.glob("*.yaml")}
    return [str(FOLDER / name) for name in sorted(names)]


def write_examples(folder: Path) -> list[str]:
    """Write our files into a folder, to be edited there; return a line about each.

    One that is there already is left as it is.
    """
    lines = []
    for path in sorted(installed().iterdir()):
        if path.suffix in (".yaml", ".sbatch"):
            target = folder / path.name
            if not target.exists():
                with writing(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    write_text_atomically(target, path.read_text(encoding="utf-8"))
                lines.append(f"written  {target}")
            else:
                lines.append(f"there    {target}, left as it is")
    return lines


def installed() -> Path:
    """Return the folder of ours: in an installed package, or beside it in a source tree."""
    package = Path(pfedmma_dist.__file__).parent
    inside = package / FOLDER
    return inside if inside.is_dir() else package.parent / FOLDER
