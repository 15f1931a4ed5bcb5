"""Look into the distributions that were built: `python .ci/distribution.py FOLDER`.

Every file that git has of our packages is in the wheel, under its installed name, and nothing else
but what describes the wheel; the sdist has them too, and the wheel that it gives is the same.
"""

import configparser
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]


def installed_names() -> dict[str, str]:
    """Return file of the tree -> its name in a wheel, of all packages that setup.cfg lists."""
    told = configparser.ConfigParser()
    told.read(ROOT / "setup.cfg")
    places = dict(
        line.replace(" ", "").split("=", 1)
        for line in told["options"]["package_dir"].strip().splitlines()
    )
    folders = {
        places.get(name, name.replace(".", "/")): name.replace(".", "/")
        for name in told["options"]["packages"].split()
    }
    words = ["git", "ls-files", "-z", "--", *folders]
    files = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = {}
    for file in filter(None, files.split("\0")):
        home = next(str(p) for p in PurePosixPath(file).parents if str(p) in folders)
        found[file] = f"{folders[home]}/{PurePosixPath(file).relative_to(home)}"
    return found


def wheel_files(path: Path) -> dict[str, str]:
    """Return name -> sha256 of what a wheel installs."""
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/")]
        return {name: hashlib.sha256(wheel.read(name)).hexdigest() for name in names}


def sdist_files(path: Path) -> set[str]:
    """Return the names in an sdist, without its topmost folder."""
    with tarfile.open(path) as sdist:
        return {m.name.partition("/")[2] for m in sdist.getmembers() if m.isfile()}


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a kind."""
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder} holds {len(found)} {pattern}"
    return found[0]


def main(folder: Path) -> None:
    """Look at the sdist of a folder, and at the wheel that was made of it."""
    expected, wheel = installed_names(), wheel_files(only(folder, "*.whl"))
    ours = {name for name in wheel if ".dist-info/" not in name}
    assert ours == set(expected.values()), sorted(ours ^ set(expected.values()))
    for file, name in expected.items():
        digest = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()
        assert wheel[name] == digest, f"{name} is not the {file} of the tree"
    sdist = sdist_files(only(folder, "*.tar.gz"))
    lacks = {*expected, "LICENSE", "README.md", "CITATION.cff"} - sdist
    assert not lacks, f"the sdist lacks {sorted(lacks)}"
    odd = [name for name in sdist if name.startswith(("tests/", "runs/")) or "__pycache__" in name]
    assert not odd, f"the sdist holds {sorted(odd)}"
    with tempfile.TemporaryDirectory() as copy:  # free of earlier builds
        subprocess.run(["git", "checkout-index", "-a", f"--prefix={copy}/"], cwd=ROOT, check=True)
        words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", f"{copy}/out", copy]
        subprocess.run(words, check=True)
        other = wheel_files(only(Path(copy, "out"), "*.whl"))
    differs = {name for name in {*wheel, *other} if wheel.get(name) != other.get(name)}
    assert not differs, f"wheels of the sdist and of the tree differ in {sorted(differs)}"
    print(f"{len(ours)} files in the wheel, {len(sdist)} in the sdist")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
