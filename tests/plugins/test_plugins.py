"""What a configuration may name once its plugins are there, and what is told where they are not."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pfedmma_dist.config.command_line import from_yaml, parse, read, unread
from pfedmma_dist.config.identity import digest
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.data.sets import registry
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS, register
from pfedmma_dist.methods.method import Method
from pfedmma_dist.outline import outlines

Written = Callable[..., Path]


def config(*words: str) -> Config:
    return read(words, methods=METHODS, sources=SOURCES)


def refusal(*words: str) -> str:
    with pytest.raises(ValueError) as error:
        config(*words)
    return str(error.value)


def test_method_of_a_file_is_known_where_it_is_listed_and_nowhere_else(written: Written) -> None:
    path = written()
    found = config(f"plugins=[{path}]", "method.name=mine", "method.num_context=4")
    assert found.method == {"name": "mine", "num_context": 4, "share": "all"}
    assert "method.name: 'mine' is unknown" in refusal("method.name=mine")
    assert "method.num_contxt" in refusal(f"plugins=[{path}]", "method.name=mine",
                                          "method.num_contxt=4")  # fmt: skip


def test_relative_file_becomes_absolute_and_is_found_again_from_elsewhere(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written("lab/mine.py")
    monkeypatch.chdir(tmp_path)
    found = config("plugins=[lab/mine.py]", "method.name=mine")
    assert found.plugins == [str(path)]
    kept = tmp_path / "config.yaml"
    kept.write_text(to_yaml(found))
    monkeypatch.chdir("/")
    assert from_yaml(kept, methods=METHODS, sources=SOURCES) == found


def test_module_on_the_path_is_named_by_its_dotted_name(written: Written, tmp_path: Path) -> None:
    written("lab_one/methods.py")
    sys.path.insert(0, str(tmp_path))
    found = config("plugins=[lab_one.methods]", "method.name=mine")
    assert found.plugins == ["lab_one.methods"]


def test_outlines_know_what_plugins_register(written: Written) -> None:
    path = written()
    words = [f"plugins=[{path}]", "method.name=mine"]
    assert read(words, methods=outlines(), sources=SOURCES) == config(*words)


def test_code_is_not_in_the_name_of_a_run(written: Written) -> None:
    one, two = written(), written("other.py", method="other")
    words = ["method.name=mine", "optim.lr=0.5"]
    alone, both = config(f"plugins=[{one}]", *words), config(f"plugins=[{one},{two}]", *words)
    assert digest(alone, METHODS) == digest(both, METHODS)


def test_help_and_list_tell_what_plugins_register(
    written: Written, capsys: pytest.CaptureFixture
) -> None:
    words = [f"plugins=[{written()}]"]
    assert parse([*words, "--list"], methods=METHODS, sources=SOURCES) is None
    assert "Mine: PromptFL by another name." in capsys.readouterr().out
    assert parse([*words, "--help"], methods=METHODS, sources=SOURCES) is None
    assert "with method.name=mine" in capsys.readouterr().out
    assert parse(["--list"], methods=METHODS, sources=SOURCES) is None
    assert "Mine" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\n\nx = undefined", 3, "NameError"),
        ("import sys\nsys.exit(0)", 2, "SystemExit: 0"),
        ("import absent_module", 1, "No module named 'absent_module'"),
        ("def f(:\n  pass", 1, "SyntaxError"),
        ("from pfedmma_dist.methods import register, METHODS\nclass A(METHODS['lora']):\n"
         "  'A.'\n  name = 'promptfl'\nregister(A)", 5, "promptfl is taken by"),
    ],
    ids=["error", "exit", "import", "syntax", "taken"],
)  # fmt: skip
def test_plugin_that_cannot_be_imported_is_told_with_its_line(
    written: Written, text: str, line: int, words: str
) -> None:
    path = written("broken.py", text)
    told = refusal(f"plugins=[{path}]")
    assert told.startswith(f"plugins: {path} cannot be imported: ")
    assert words in told and f"({path}, line {line})" in told


def test_what_is_not_there_is_told_with_its_remedy(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("lab_two/methods.py")
    monkeypatch.chdir(tmp_path)
    assert "write plugins=[lab_two/methods.py]" in refusal("plugins=[lab_two.methods]")
    assert "there is no module lab_three; start from" in refusal("plugins=[lab_three]")
    assert f"there is no file {tmp_path}/absent.py" in refusal("plugins=[absent.py]")
    assert "lab_two/ is no Python file" in refusal("plugins=[lab_two/]").replace("'", "")
    assert "neither a module" in refusal("plugins=[my-lab]")
    assert "write [lab_two]" in refusal("plugins=lab_two")


def test_plugin_that_registers_nothing_is_warned_of(written: Written) -> None:
    words = [f"plugins=[{written('other.py', 'x = 1')},{written()}]", "method.name=mine"]
    told = unread(words, config(*words))
    assert told["plugins"].startswith("plugins: other.py registers no method and no data set")


def test_entry_point_is_imported_once_its_name_is_asked_for(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    written("lab_four.py", method="announced")
    written("lab-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    written("lab-1.dist-info/entry_points.txt", "[pfedmma_dist.methods]\nannounced = lab_four\n")
    sys.path.insert(0, str(tmp_path))
    assert parse(["--list"], methods=METHODS, sources=SOURCES) is None
    assert "announced  (lab_four)" in capsys.readouterr().out
    assert "lab_four" not in sys.modules
    found = config("method.name=announced")
    assert found.plugins == ["lab_four"]
    assert found == config("plugins=[lab_four]", "method.name=announced")


def test_data_set_of_a_plugin_is_read_and_refuses_keys_that_it_does_not_look_at(
    written: Written,
) -> None:
    text = (
        "from pfedmma_dist.data.sets.registry import register\n"
        "@register('lab_set', reads=['classes'], template='a board of {}.')\n"
        "def lab_set(cfg, seed, splits):\n"
        "    'Read a set of a test.'\n"
        "    raise ValueError(f'reading {cfg.classes}')\n"
    )
    words = [f"plugins=[{written('other.py', text)}]", "data.name=lab_set"]
    assert config(*words, "data.template=coop").data.template == "a board of {}."
    found = config(*words, "data.classes=[a]", "data.class_names=x.csv").data
    with pytest.raises(ValueError, match="data.class_names: lab_set makes no use of it"):
        registry.read(found, 1, Path())
    found.class_names = None
    with pytest.raises(ValueError, match=r"reading \['a'\]"):
        registry.read(found, 1, Path())
    assert "data.name: 'lab_set' is unknown" in refusal("data.name=lab_set")


def test_method_without_a_name_options_or_words_is_refused() -> None:
    for lacks, words in (("name", "give the class a name of"), ("__doc__", "docstring"),
                         ("Options", "is no dataclass")):  # fmt: skip
        own = {"name": "mine", "__doc__": "Mine.", "Options": METHODS["promptfl"].Options}
        with pytest.raises(ValueError, match=words):
            register(type("Mine", (Method,), {k: v for k, v in own.items() if k != lacks}))
    assert "mine" not in METHODS
