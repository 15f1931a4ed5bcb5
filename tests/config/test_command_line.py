"""The command line becomes a strict Config, and says what is wrong with one that cannot."""

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pfedmma_dist.config import command_line
from pfedmma_dist.config.keys import CacheMode, Config, Dtype
from pfedmma_dist.config.written import to_yaml


class Share(Enum):
    """What crosses the network."""

    shared = "shared"
    none = "none"


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """Options of the toy adapter."""

    rank: int = 32
    """Width; 32."""
    alpha: float = 1e-3
    """Scale."""
    share: Share = Share.shared
    """What crosses the network."""
    blocks: list[int] | None = None
    """Adapted blocks."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"method.rank: {self.rank}; set 1 or more")


@dataclass
class PromptOptions:
    """Options of the toy prompt."""

    context: int = 16
    """Vectors."""


class Adapter:
    """Adapt both towers."""

    Options = AdapterOptions


class Prompt:
    """Learn a context."""

    Options = PromptOptions


def caltech101() -> None:
    """Read CoOp's Caltech-101 folder."""


METHODS = {"pfedmma": Adapter, "promptfl": Prompt}
SOURCES = {"caltech101": caltech101, "folder": caltech101}


def parse(*argv: str) -> Config:
    config = command_line.parse(list(argv), methods=METHODS, sources=SOURCES)
    assert config is not None
    return config


def refused(*argv: str) -> str:
    with pytest.raises(ValueError) as error:
        parse(*argv)
    return str(error.value)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "my.yaml") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return write


def test_no_argument_is_the_default() -> None:
    config = parse()
    assert vars(config.federation) == vars(Config().federation)
    assert config.method == {
        "name": "pfedmma", "rank": 32, "alpha": 1e-3, "share": "shared", "blocks": None,
    }  # fmt: skip


def test_the_last_of_files_and_words_wins(write) -> None:
    first = write("federation: {rounds: 1, batch_size: 2}\nseed: 3\n", "first.yaml")
    second = write("federation: {rounds: 4}\n", "second.yaml")
    config = parse("federation.rounds=5", first, second, "seed=6", "seed=7")
    assert (config.federation.rounds, config.federation.batch_size, config.seed) == (4, 2, 7)


@pytest.mark.parametrize(
    ("word", "section", "key", "value"),
    [
        ("federation.drop_last=False", "federation", "drop_last", False),
        ("optim.lr=1e-2", "optim", "lr", 0.01),
        ("optim.lr=1", "optim", "lr", 1.0),
        ("clip.cache=off", "clip", "cache", CacheMode.off),
        ("clip.cache_dtype=bfloat16", "clip", "cache_dtype", Dtype.bfloat16),
        ("clip.pretrained=null", "clip", "pretrained", None),
        ("federation.cohort_size=null", "federation", "cohort_size", None),
        ("data.root=0012", "data", "root", "0012"),
        ("data.template=photo: {}", "data", "template", "photo: {}"),
        ("run.folder=runs/lr=0.1", "run", "folder", "runs/lr=0.1"),
        ("federation={rounds: 7}", "federation", "rounds", 7),
    ],
)
def test_a_word_takes_the_type_of_its_key(word: str, section: str, key: str, value: object) -> None:
    found = getattr(getattr(parse(word), section), key)
    assert found == value
    assert type(found) is type(value)


def test_yaml_values_take_the_type_of_their_key(write) -> None:
    name = write(
        "clip: {cache: off}\noptim: {lr: 1e-2, momentum: 0}\nevaluate:\nmethod: {rank: 4}\n"
    )
    config = parse(name)
    assert config.clip.cache is CacheMode.off
    assert config.optim.lr == 0.01
    assert isinstance(config.optim.momentum, float)
    assert config.method["rank"] == 4


def test_empty_file_changes_nothing(write) -> None:
    assert parse(write("# nothing\n")) == parse()


def test_interpolation_reaches_any_section(write) -> None:
    config = parse(write("optim: {weight_decay: '${optim.lr}'}\nmethod: {alpha: '${optim.lr}'}\n"))
    assert config.optim.weight_decay == config.method["alpha"] == 1e-3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["federation.rounds=2.5"], "federation.rounds: '2.5' is not a whole number; for example "
         "federation.rounds=100"),
        (["federation.drop_last=3"], "federation.drop_last: '3' is not true or false; for example "
         "federation.drop_last=true"),
        (["optim.lr=fast"], "optim.lr: 'fast' is not a number"),
        (["optim.lr=nan"], "optim.lr: 'nan' is not a number"),
        (["clip.dtype=fp16"], "clip.dtype: 'fp16' is not one of float32, tfloat32, bfloat16; for "
         "example"),
        (["data.name=null"], "data.name: 'null' is not text"),
        (["federation.cohort_size=auto"], "'auto' is not a whole number, or null"),
        (["optim.lr=${nowhere}"], "optim.lr: Interpolation key 'nowhere' not found"),
        (["optim.lr=???"], "optim.lr: Missing mandatory value"),
        (["method.rank=big"], "'big' is not a whole number; for example method.rank=32"),
        (["method.share=all"], "method.share: 'all' is not one of shared, none"),
        (["method.rank=0"], "method.rank: 0; set 1 or more"),
        (["rounds=5"], "unknown key rounds; did you mean federation.rounds?"),
        (["federation.round=5"], "unknown key federation.round; did you mean federation.rounds"),
        (["federaton.rounds=5"], "unknown key federaton; did you mean federation"),
        (["method.rnk=5"], "method.rnk: pfedmma has no such option; did you mean rank?"),
        (["method.name=promptfl", "method.rank=5"], "promptfl has no such option; "
         "it is an option of pfedmma; its options: context"),
        (["method.name=prompt"], "method.name: 'prompt' is unknown; did you mean promptfl?;"),
        (["method=promptfl"], "method: 'promptfl' is not a section; write method.name=promptfl"),
        (["federation=3"], "federation: 3 was given for a section of keys; set one of its keys, "
         "for example federation.rounds=100"),
        (["seed.x=3"], "seed: {'x': '3'} is not a whole number"),
        (["data.root="], "data.root: no value stands behind ="),
        (["federation.rounds", "=", "5"], "'federation.rounds' is neither a file nor "
         "key=value (without spaces around =); give that key a value: federation.rounds=..."),
        (["--seed=5"], "--seed=5: keys are written without dashes: seed=5"),
        (["--rounds", "3"], "--rounds is unknown; did you mean federation.rounds=...?; there are"),
        (["method.name=pFedMMA"], "method.name: 'pFedMMA' is unknown; did you mean pfedmma?;"),
        (["--verbose"], "--verbose is unknown; there are only --help, --list and --print-config"),
        (["data.name=caltech"], "data.name: 'caltech' is unknown; did you mean caltech101?"),
        (["nowhere.yaml"], "there is no file nowhere.yaml"),
    ],
)  # fmt: skip
def test_refusal_names_key_value_and_remedy(words: list[str], error: str) -> None:
    assert error in refused(*words)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("optim: {lr: fast}\n", "'fast' is not a number; for example optim.lr=0.001 (in my.yaml)"),
        ("optim: {lr: true}\n", "optim.lr: True is not a number"),
        ("seed: 1.5\n", "seed: 1.5 is not a whole number"),
        ("federation: {drop_last: 2}\n", "federation.drop_last: 2 is not true or false"),
        ("data: {root: 010}\n", "data.root: 8 is not text; quote it"),
        ("clip: {model: [a]}\n", "clip.model: ['a'] is not text"),
        ("clip: {dtype: null}\n", "clip.dtype: None is not one of float32, tfloat32, bfloat16"),
        ("clip: {modle: a}\n", "unknown key clip.modle (in my.yaml); did you mean clip.model"),
        ("federation.rounds: 5\n", "federation.rounds (in my.yaml): nest keys in a file"),
        ("federation: 5\n", "federation: 5 was given for a section of keys"),
        ("method: promptfl\n", "method: 'promptfl' is not a section"),
        ("method: {rank: 3, name: promptfl}\n", "method.rank (in my.yaml): promptfl has no"),
        ("seed: 1\nseed: 2\n", "found duplicate key seed"),
        ("seed: [\n", "my.yaml is not readable YAML"),
        ("- seed\n", "my.yaml holds a list"),
        ("3\n", "my.yaml holds no `key: value` lines"),
    ],
)  # fmt: skip
def test_refusal_names_the_file(write, text: str, error: str) -> None:
    assert error in refused(write(text))


def test_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not readable YAML" in refused(str(path))


def test_missing_file_suggests_one_of_configs(write) -> None:
    write("seed: 2\n", "configs/data/toyset.yaml")
    meant = "did you mean configs/data/toyset.yaml?"
    assert refused("toyset.yaml") == f"there is no file toyset.yaml; {meant}"
    assert meant in refused("toyset")
    assert meant in refused("elsewhere/toysets.yaml")


def test_run_folder_as_argument_suggests_its_config(write) -> None:
    write("seed: 2\n", "runs/a/config.yaml")
    assert refused("runs/a") == "runs/a is a folder; did you mean runs/a/config.yaml?"


def test_a_file_whose_folder_holds_an_equals_sign_is_a_file(write) -> None:
    assert parse(write("seed: 2\n", "runs/lr=0.1/config.yaml")).seed == 2


@pytest.mark.parametrize(
    "word",
    [
        "data.num_clients=0", "data.shots=0", "data.template=photo", "data.template={} {}",
        "data.views=-1", "clip.cache_memory=0", "federation.rounds=0", "federation.fraction=0",
        "federation.fraction=1.1", "federation.local_epochs=0", "federation.batch_size=0",
        "federation.num_shards=0", "federation.cohort_size=0", "optim.lr=0", "optim.momentum=1",
        "optim.momentum=-0.1", "optim.weight_decay=-1", "evaluate.every=-1",
        "evaluate.full_every=-1", "evaluate.batch_size=0", "run.device=gpu", "run.threads=0",
        "run.checkpoint_every=0", "run.keep_checkpoints=1", "run.threads=1025", "run.patience=0",
        "seed=-1", "seed=9223372036854775808", "data.views=1048576", "data.beta=0",
        "data.difficulty=1.1", "data.style_gap=-1", "data.train_per_class=0",
        "data.test_per_class=0", "data.classes_per_client=0",
    ],
)  # fmt: skip
def test_value_outside_its_limits_is_refused(word: str) -> None:
    key, _, value = word.partition("=")
    error = refused(word)
    assert re.match(rf"{re.escape(key)}: '?{re.escape(value)}(\.0)?'? is not ", error)
    assert f"{key}=" in error.partition("; for example ")[2]


@pytest.mark.parametrize(
    "word",
    ["federation.fraction=1", "evaluate.every=0", "data.views=0", "optim.momentum=0"],
)  # fmt: skip
def test_value_at_its_limit_is_taken(word: str) -> None:
    parse(word)


def test_every_example_of_a_refusal_is_accepted() -> None:
    tree = OmegaConf.to_container(OmegaConf.structured(Config), enum_to_str=True)
    for section, keys in tree.items():
        if section in ("seed", "plugins", "method"):
            continue
        for key, value in keys.items():
            parse(f"{section}.{key}={'null' if value is None else value}")


def test_method_options_are_made_of_the_saved_section() -> None:
    config = parse("method.share=none", "method.rank=4", "method.blocks=[9, 10]")
    assert config.method["share"] == "none"
    name, options = command_line.resolve_method(config.method, METHODS)
    assert name == "pfedmma"
    assert options == AdapterOptions(rank=4, share=Share.none, blocks=[9, 10])


def test_saved_configuration_repeats_the_run(write) -> None:
    config = parse(
        "clip.cache=off", "clip.pretrained=null", "optim.lr=1e-5", "data.template=off: {}",
        "method.name=promptfl", "method.context=3",
    )  # fmt: skip
    name = write(to_yaml(config), "runs/a/config.yaml")
    assert parse(name) == config
    assert command_line.from_yaml(name, methods=METHODS, sources=SOURCES) == config


def test_print_config_writes_what_can_be_read_back(write, capsys: pytest.CaptureFixture) -> None:
    words = ["seed=4", "--print-config"]
    assert command_line.parse(words, methods=METHODS, sources=SOURCES) is None
    assert parse(write(capsys.readouterr().out)).seed == 4


def test_what_one_command_sets_is_no_default_of_the_next() -> None:
    before = parse("data.name=folder")
    other = parse("data.name=folder", "optim.lr=3", "data.classes=[cat,ant]", "method.blocks=[1]")
    other.method["blocks"].append(2)
    other.data.classes.append("dog")
    assert parse("data.name=folder") == before
    assert parse("data.name=folder").method["blocks"] is None
