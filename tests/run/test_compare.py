"""Which differences of configuration make another run, and what a null adopts."""

import pytest

from pfedmma_dist.run.compare import compare

SAVED = {
    "seed": 1,
    "clip": {"pretrained": "openai", "cache_memory": 8.0, "cache_dtype": "float32"},
    "federation": {"rounds": 100, "cohort_size": 8},
    "method": {"name": "pfedmma", "rank": 32},
    "run": {"folder": "runs/a", "threads": 2, "checkpoint_every": 10, "deterministic": True},
}


def change(section: str, **values: object) -> dict:
    return SAVED | {section: SAVED[section] | values}


def test_equal_configurations_do_not_differ() -> None:
    assert compare(SAVED, SAVED) == []


def test_differences_are_named_by_dotted_key() -> None:
    wanted = change("method", rank=16) | {"seed": 2}
    assert compare(SAVED, wanted) == [("seed", 1, 2), ("method.rank", 32, 16)]


def test_more_rounds_are_another_run() -> None:
    assert compare(SAVED, change("federation", rounds=200)) == [("federation.rounds", 100, 200)]


def test_keys_that_cannot_reach_the_result_are_free() -> None:
    assert compare(SAVED, change("run", folder="b", checkpoint_every=1)) == []
    assert compare(SAVED, change("clip", cache_memory=1.0)) == []


def test_threads_and_determinism_are_compared() -> None:
    keys = [key for key, *_ in compare(SAVED, change("run", threads=1, deterministic=False))]
    assert keys == ["run.threads", "run.deterministic"]


def test_wanted_null_of_an_open_key_is_no_difference() -> None:
    assert compare(SAVED, change("federation", cohort_size=None)) == []


@pytest.mark.parametrize("key", ["pretrained", "cache_dtype"])
def test_any_other_null_is_a_value(key: str) -> None:
    wanted = change("clip", **{key: None})
    assert compare(SAVED, wanted) == [(f"clip.{key}", SAVED["clip"][key], None)]


def test_key_unknown_to_the_saved_run_differs() -> None:
    assert compare(SAVED, change("method", bias=True)) == [("method.bias", None, True)]
