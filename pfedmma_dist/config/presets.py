"""The YAML files of configs/: those below the working folder, and those that came with us."""

import os
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

FOLDER = Path("configs")


def find(word: str) -> Path | None:
    """Return the file that a word names: one of the user's own, else the preset of that path."""
    path = Path(word).expanduser()
    if os.path.isfile(path):  # unlike Path's, says no to a name that no disk can hold
        return path
    if path.parts[:1] == FOLDER.parts:
        preset = installed().joinpath(*path.parts[1:])
        return preset if os.path.isfile(preset) else None
    return None


def alike(word: str) -> Path | None:
    """Return a path that `find` knows and that `word` may have meant."""
    folders = (FOLDER, installed())
    files = {FOLDER / file.relative_to(root) for root in folders for file in root.rglob("*.yaml")}
    stems = get_close_matches(Path(word).stem, {file.stem for file in files}, n=1, cutoff=0.75)
    near = sorted(file for file in files if file.stem in stems)
    return max(near, key=lambda file: SequenceMatcher(None, word, str(file)).ratio(), default=None)


def installed() -> Path:
    """Return the folder of our presets: in an installed package, or beside it in a source tree."""
    package = Path(__file__).parents[1]
    inside = package / FOLDER
    return inside if inside.is_dir() else package.parent / FOLDER
