"""Imports run downwards: the floors of the package, and who may speak to the outside."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from pfedmma_dist.methods import METHODS

ROOT = Path(__file__).parents[1]
PACKAGE = "pfedmma_dist"

ROOMS = {
    "rng": "",
    "spelling": "",
    "ending": "",
    "reading": "spelling",
    "quantities": "",
    "stopped": "",
    "world": "spelling stopped",
    "plugins": "spelling",
    "params": "rng",
    "pieces": "",
    "clock": "reading rng spelling",
    "config": "plugins reading spelling",
    "exchange": "clock.laps config.choices config.registry config.ruled rng spelling world",
    "clip": "config.keys reading spelling world",
    "data": "config.attacking config.choices config.keys config.merge config.several reading rng "
    "spelling",
    "outline": "",
    "accountant": "",
    "glance": "config data ending outline spelling world",
    "methods": "clip config.meaning config.merge config.registry config.templates exchange params "
    "reading rng spelling world.threads",
    "federation": "accountant clip clock config.choices config.keys config.learning config.private "
    "config.ruled config.simulated data.tasks.task exchange methods.method methods.searched "
    "methods.step params pieces quantities.attacked quantities.sampled quantities.scores "
    "quantities.student reading rng spelling world",
    "canary": "clip data",
    "run": "exchange pieces quantities reading spelling stopped world",
    "pretraining": "clip config data rng run.files",
    "results": "config quantities reading run spelling",
    "adoption": "config data plugins reading run",
    "start": "adoption config methods plugins run world",
    "command": "config data methods run spelling start stopped world",
    "divided": "clip.dims config data federation methods",
    "alike": "data run world",
    "build": "alike clip config data divided federation methods params quantities.scores run world",
    "restoring": "federation run",
    "best": "config federation restoring run",
    "files_read": "clip config methods run",
    "ownership": "alike files_read build config data federation plugins reading run",
    "scoring": "federation run",
    "foretold": "federation quantities",
    "loudness": "accountant config exchange federation methods params",
    "saving": "best federation ownership run",
    "recording": "exchange federation quantities run",
    "overview": "data quantities run",
    "rounds": "best build config federation foretold overview ownership quantities recording "
    "restoring run saving scoring",
    "trained": "adoption best build config federation methods ownership plugins restoring run "
    "start world",
    "abroad": "build clip config data federation methods quantities run world",
    "cross": "abroad build config data federation methods quantities results run trained world",
    "controls": "build config federation quantities results run trained world",
    "measure": "build config plugins run start world",
    "home": "adoption build clip config data divided federation files_read methods reading rng run "
    "spelling trained world",
    "simulation": "adoption build config cross data federation files_read methods ownership "
    "quantities results rounds run spelling start stopped trained world",
    "console": "config data outline spelling",
    "__main__": "console",
    "serving": "data spelling",
    "asking": "command home run serving spelling world",
}
"""What each module or folder may import of ours: of the rows above it, a row or a module of it."""

WINGS = {
    "data.images": "",
    "data.glyphs": "data.images",
    "data.sets": "data.images data.glyphs",
    "data.partitioners": "data.images",
    "data.tasks": "data.images data.partitioners",
    "data.download": "",
}
"""What each wing of a room may import of the room's others: of the rows above it."""

COMMANDS = (
    "train", "evaluate", "membership", "plan", "cost", "prepare", "pretrain", "cache",
    "export",
    "classify", "serve",
)  # fmt: skip
"""Where everything may meet; imported by nobody but launch."""

OUTSIDE = {
    "open_clip": "clip/catalogue.py",
    "torch.distributed": "world/",
    "torch.utils.tensorboard": "run/board.py",
    "tensorboard": "run/board.py",
    "yaml": "config/",
    "ftfy": "data/sets/names.py",
    "submitit": "../launch/",
    "wandb": "run/trackers/wandb_run.py",
    "mlflow": "run/trackers/mlflow_run.py",
    "aim": "run/trackers/aim_run.py",
    "IPython": "run/notebook.py",
    "optuna": "../launch/sampler.py",
    "dp_accounting": "accountant.py",
    "launch": "../launch/",
    "peft": "home/",
    "transformers": "home/",
    "onnx": "home/",
    "onnxruntime": "home/",
    "starlette": "serving/",
    "uvicorn": "serving/",
    "python_multipart": "serving/",
}
"""Packages that one file, or one folder, alone may import."""

FILES = sorted((ROOT / PACKAGE).rglob("*.py"))
OURS = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES}
EVERYWHERE = (*FILES, *sorted((ROOT / "launch").rglob("*.py")))


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted name of every module that a file imports, anywhere in it."""
    return frozenset(names(path))


def names(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)  # torch.distributed.all_reduce(...) without an import


def own_imports(path: Path) -> set[str]:
    """Return the modules of ours that a file imports, without the name of the package."""
    known = {name for name in imported(path) if name in OURS}
    return {name.removeprefix(f"{PACKAGE}.") for name in known}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / PACKAGE).with_suffix("").parts[0]


def is_within(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def ids(value: object) -> str:
    return value.relative_to(ROOT).as_posix() if isinstance(value, Path) else str(value)


INSIDE = [path for path in FILES if path.parent != ROOT / PACKAGE or path.stem != "__init__"]


@pytest.mark.parametrize("path", [p for p in INSIDE if room_of(p) not in COMMANDS], ids=ids)
def test_module_imports_what_its_room_may(path: Path) -> None:
    room = room_of(path)
    assert room in ROOMS, f"give {room} a row in ROOMS, on the floor where it belongs"
    allowed = [room, *ROOMS[room].split()]
    found = {name for name in own_imports(path) if not any(is_within(name, a) for a in allowed)}
    assert not found, f"{room} imports {found}"


@pytest.mark.parametrize("wing", WINGS)
def test_wing_imports_what_it_may_of_its_room(wing: str) -> None:
    room, home = wing.partition(".")[0], ROOT / PACKAGE / wing.replace(".", "/")
    files = [path for path in FILES if home in path.parents]
    assert files
    for path in files:
        found = {name for name in own_imports(path) if is_within(name, room)} - {room}
        allowed = [wing, *WINGS[wing].split()]
        assert not {name for name in found if not any(is_within(name, a) for a in allowed)}, path


def test_every_folder_of_data_is_a_wing() -> None:
    folders = {path.parent for path in FILES if (ROOT / PACKAGE / "data") in path.parents}
    assert {f"data.{folder.name}" for folder in folders if folder.name != "data"} == WINGS.keys()


@pytest.mark.parametrize("table", [ROOMS, WINGS], ids=["rooms", "wings"])
def test_rows_name_rows_above_them_alone(table: dict[str, str]) -> None:
    above: set[str] = set()
    for row, names in table.items():
        found = {name.partition(".")[0] if table is ROOMS else name for name in names.split()}
        assert found <= above, row
        above.add(row)


def test_commands_are_imported_by_nobody() -> None:
    for path in INSIDE:
        assert not {name for name in own_imports(path) if name in COMMANDS}, path


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_has_one_door(name: str) -> None:
    home = (ROOT / PACKAGE / OUTSIDE[name]).resolve()
    for path in EVERYWHERE:
        if path != home and home not in path.parents:
            assert not {found for found in imported(path) if is_within(found, name)}, path


def test_no_code_knows_a_method_by_name() -> None:
    for path in EVERYWHERE:
        if path in FILES and room_of(path) in ("methods", "config"):
            continue
        words = {node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)}
        assert not words & METHODS.keys(), path


def test_files_of_tests_that_are_no_package_have_names_of_their_own() -> None:
    names = [
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if not (path.parent / "__init__.py").exists() and path.name != "conftest.py"
    ]
    assert sorted(set(names)) == sorted(names), "the first of two would be imported for both"
