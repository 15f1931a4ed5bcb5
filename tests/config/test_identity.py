"""Which configurations are the same run, what names it, and what a later program may add."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pfedmma_dist.config import identity, keys
from pfedmma_dist.config.command_line import read, with_default
from pfedmma_dist.config.identity import (
    defaults,
    differences,
    digest,
    digest_of_format_0,
    flat,
    moved,
    open_keys,
    run_folder,
)
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.meaning import Role, key
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.reading import FORMAT

USUAL = defaults("pfedmma", METHODS)


def config(*words: str) -> Config:
    return read(words, methods=METHODS, sources=SOURCES)


def found(saved: Config, wanted: Config) -> list[tuple[str, object, object]]:
    return differences(flat(saved), flat(wanted), USUAL)


def test_equal_configurations_do_not_differ() -> None:
    assert found(config(), config()) == []


def test_differences_are_named_by_dotted_key() -> None:
    wanted = config("seed=2", "method.rank=16")
    assert found(config(), wanted) == [("seed", 1, 2), ("method.rank", 32, 16)]


def test_more_rounds_are_another_run() -> None:
    assert found(config(), config("federation.rounds=200")) == [("federation.rounds", 100, 200)]


FREE = (
    "run.folder=b", "run.checkpoint_every=1", "run.threads=1", "run.device=cpu",
    "clip.cache_memory=1", "clip.cache_folder=/x", "clip.cache=disk", "clip.cache=ram",
    "evaluate.every=5", "evaluate.full_every=2", "plugins=[json]", "run.trackers=[aim]",
    "run.cuda_graphs=true",
)  # fmt: skip


@pytest.mark.parametrize("word", FREE)
def test_key_that_reaches_no_number_starts_no_second_run(word: str) -> None:
    assert found(config(), config(word)) == []
    assert digest(config(word), METHODS) == digest(config(), METHODS)


BITS = ("run.deterministic=false", "federation.num_shards=2", "federation.cohort_size=2",
        "evaluate.batch_size=7", "clip.cache=off")  # fmt: skip


@pytest.mark.parametrize("word", BITS)
def test_key_that_rounds_otherwise_is_another_run(word: str) -> None:
    assert [name for name, *_ in found(config(), config(word))] == [word.partition("=")[0]]
    assert digest(config(word), METHODS) != digest(config(), METHODS)


def test_place_names_a_run_but_its_content_is_compared() -> None:
    elsewhere = config("data.root=/other")
    assert digest(elsewhere, METHODS) != digest(config(), METHODS)
    assert found(config(), elsewhere) == []
    assert moved(flat(config()), flat(elsewhere)) == [("data.root", "data", "/other")]


def test_wanted_null_of_an_open_key_is_no_difference() -> None:
    assert set(open_keys()) == {
        "federation.first_round_all", "federation.num_shards", "federation.cohort_size",
        "run.threads", "evaluate.every",
    }  # fmt: skip
    assert found(config("federation.cohort_size=8"), config()) == []
    assert found(config(), config("federation.cohort_size=8")) != []


def test_any_other_null_is_a_value() -> None:
    found_keys = found(config("clip.cache_dtype=float32"), config())
    assert found_keys == [("clip.cache_dtype", "float32", None)]


def test_key_that_an_older_program_did_not_know_had_its_default() -> None:
    saved = {name: value for name, value in flat(config()).items() if name != "federation.proximal"}
    assert differences(saved, flat(config()), USUAL) == []
    wanted = flat(config("federation.proximal=0.5"))
    assert differences(saved, wanted, USUAL) == [("federation.proximal", 0.0, 0.5)]


def test_every_key_says_what_it_means() -> None:
    roles = {name: identity.meaning(name).role for name in flat(config())}
    assert roles["optim.lr"] is roles["method.rank"] is Role.RESULT
    assert {name for name, role in roles.items() if role is Role.RESOURCE} == {
        "clip.cache_memory", "clip.cache_folder", "run.folder", "run.device", "run.threads",
        "run.checkpoint_every", "run.keep_checkpoints", "run.patience", "run.pause_after",
        "run.cuda_graphs",
            "federation.client_memory", "plugins",
    }  # fmt: skip


@dataclass(kw_only=True)
class Later(keys.OptimConfig):
    """Keys of a later version, with defaults that change nothing."""

    lookahead: bool = key(False, since=FORMAT + 1)


@dataclass(kw_only=True)
class LaterConfig(Config):
    """The configuration of a later version."""

    optim: Later = field(default_factory=Later)


def later(config: Config, **values: object) -> LaterConfig:
    parts = dict(vars(config))
    parts["optim"] = Later(**vars(config.optim), **values)
    return LaterConfig(**parts)


def test_key_of_a_later_version_changes_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    now = read(with_default([]), methods=METHODS, sources=SOURCES)
    names = run_folder(now, METHODS), digest_of_format_0(now, METHODS)
    monkeypatch.setattr(identity, "Config", LaterConfig)
    assert (run_folder(later(now), METHODS), digest_of_format_0(later(now), METHODS)) == names
    changed = later(now, lookahead=True)
    assert digest(changed, METHODS) != digest(now, METHODS)
    assert digest_of_format_0(changed, METHODS) is None


def test_default_folder_has_the_name_it_was_published_with() -> None:
    """Change this name only with a format number: every user's folders would begin anew."""
    now = read(with_default([]), methods=METHODS, sources=SOURCES)
    assert str(run_folder(now, METHODS)) == "runs/glyphs-pfedmma-6b2673aa"


def test_run_of_format_0_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = config()
    older = Path(f"runs/caltech101-pfedmma-{digest_of_format_0(now, METHODS)}")
    assert run_folder(now, METHODS) != older
    older.mkdir(parents=True)
    assert run_folder(now, METHODS) == older


@pytest.mark.parametrize("words", [[], ["optim.lr=1", "data.classes=[a,b]", "clip.cache=disk"]])
def test_plain_values_are_those_of_omegaconf(words: list[str]) -> None:
    config = read(words, methods=METHODS, sources=SOURCES)
    config.server.beta1 = 0
    slow = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    assert repr(identity._tree(config)) == repr(slow)
