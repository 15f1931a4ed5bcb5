"""What a release says of itself in several places says the same, and leaves no package out."""

import configparser
import re
from pathlib import Path

import yaml

import pfedmma_dist
from pfedmma_dist.run.trackers.registry import TRACKERS

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "containers" / "Dockerfile").read_text()
APPTAINER = (ROOT / "containers" / "apptainer.def").read_text()


def settings() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


def test_every_folder_of_modules_is_installed() -> None:
    listed = set(settings()["options"]["packages"].split())
    folders = {path.parent for path in (ROOT / "pfedmma_dist").rglob("*.py")}
    assert {".".join(path.relative_to(ROOT).parts) for path in folders} <= listed


def test_version_is_written_once_and_cited() -> None:
    assert settings()["metadata"]["version"] == "attr: pfedmma_dist.__version__"
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == pfedmma_dist.__version__
    assert cited["license"] == settings()["metadata"]["license"]


def test_page_lists_every_extra() -> None:
    page = (ROOT / "docs" / "release.md").read_text()
    [listed] = re.findall(r"^Extras: (.*?)\n\n", page, re.MULTILINE | re.DOTALL)
    extras = {name for name in re.findall(r"`(\w+)`", listed) if name.islower()}
    assert extras == dict(settings()["options.extras_require"]).keys()


def test_every_dependency_has_a_lower_bound() -> None:
    told = settings()
    lists = [told["options"]["install_requires"], *told["options.extras_require"].values()]
    for line in "\n".join(lists).split():
        assert re.fullmatch(r"[\w.-]+(\[\w+\])?>=[\d.]+", line), line


def test_every_tracker_is_an_extra() -> None:
    assert TRACKERS.keys() <= dict(settings()["options.extras_require"]).keys()


def test_containers_are_made_of_the_same() -> None:
    for word in (r"python:\S+", r"\[[\w,]+\]"):
        (docker,), (apptainer,) = (
            set(re.findall(word, re.sub(r"(?m)^#.*|CMD.*|ENTRYPOINT.*", "", text)))
            for text in (DOCKERFILE, APPTAINER)
        )
        assert docker == apptainer
    extras = re.findall(r"\.\[([\w,]+)\]", DOCKERFILE)[0].split(",")
    assert set(extras) <= dict(settings()["options.extras_require"]).keys()
