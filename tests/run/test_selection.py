"""Selection: which round is reported, for any curve."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfedmma_dist.quantities.catalogue import of_rounds
from pfedmma_dist.quantities.quantity import Source
from pfedmma_dist.run import selection
from pfedmma_dist.run.selection import best, wanted

SCORES = st.sampled_from([math.nan, 0.0, 50.0, 50.00000001, 75.0, 100.0])
CURVES = st.lists(SCORES, max_size=12).map(lambda values: dict(enumerate(values, 1)))
QUANTITIES = [q for q in of_rounds(["local", "own", "val"]) if q.source is Source.CLIENTS]


def told(local: list[float], val: list[float] | None = None, rule: str = "last") -> dict:
    """Return the facts of a run with these scores of its rounds, nan where not scored."""
    metrics = {"round": np.arange(len(local)), "local_mean_percent": np.array(local)}
    if val is not None:
        metrics["val_mean_percent"] = np.array(val)
    chosen_by = {"best_val": val, "best_test": local}.get(rule)
    reported = len(local) if chosen_by is None else best(dict(enumerate(chosen_by, 1)))
    return selection.facts(rule, reported, len(local), metrics, QUANTITIES, {"own_mean": 99.0})


@given(CURVES)
def test_best_is_the_first_round_that_no_other_beats(numbers: dict[int, float]) -> None:
    found = best(numbers)
    known = {index: x for index, x in numbers.items() if not math.isnan(x)}
    if not known:
        assert found is None
        return
    assert all(x <= known[found] for x in known.values())
    assert all(x < known[found] for index, x in known.items() if index < found)


@given(CURVES)
def test_best_does_not_depend_on_the_order_in_which_rounds_became_known(
    numbers: dict[int, float],
) -> None:
    assert best(dict(reversed(numbers.items()))) == best(numbers)


@given(CURVES, st.integers(0, 12), st.integers(0, 12))
def test_state_that_any_checkpoint_leads_back_to_is_wanted(
    numbers: dict[int, float], since: int, start: int
) -> None:
    kept = wanted(numbers, since)
    before = best({n: x for n, x in numbers.items() if n <= max(since, start)})
    assert before is None or before in kept
    assert kept <= numbers.keys()
    assert {best(numbers)} - {None} == wanted(numbers, 12)


def test_beaten_round_is_wanted_while_a_checkpoint_is_of_its_time() -> None:
    numbers = {1: 10.0, 2: 30.0, 3: 20.0, 4: 40.0, 5: 35.0}
    assert [wanted(numbers, since) for since in (0, 1, 2, 3, 4)] == [
        {1, 2, 4}, {1, 2, 4}, {2, 4}, {2, 4}, {4},
    ]  # fmt: skip


def test_last_best_by_validation_and_best_on_test_are_told_apart() -> None:
    found = told([50.0, 60.0, 80.0, 70.0], [90.0, 95.0, 95.0, 80.0])
    assert (found["rule"], found["round"], found["rounds_scored"]) == ("last", 4, 4)
    assert found["last"]["scores"] == {"local_mean": 70.0, "val_mean": 80.0, "own_mean": 99.0}
    assert found["best_val"] == {"round": 2, "scores": {"local_mean": 60.0, "val_mean": 95.0}}
    test = found["best_test"]
    assert (test["round"], test["peeking"]) == (3, True)
    assert (test["gain_over_last"], test["gain_over_best_val"]) == (10.0, 20.0)
    assert selection.peeking(found) == 10.0


def test_gain_of_peeking_is_over_what_is_reported() -> None:
    found = told([50.0, 60.0, 80.0, 70.0], [90.0, 95.0, 95.0, 80.0], "best_val")
    assert selection.peeking(found) == 20.0
    assert list(selection.lines(found)) == [
        "reported     round 2 of 4, the best on validation images",
        "validation   best Val 95.00 in round 2",
        "peeking      Local 80.00 in round 3, chosen on test images: +20.00 to what is reported",
    ]


def test_choice_on_test_images_is_called_peeking() -> None:
    found = told([50.0, 60.0, 80.0, 70.0], rule="best_test")
    assert found["round"] == 3 and selection.peeking(found) == 0.0
    assert list(selection.lines(found)) == [
        "reported     round 3 of 4, the best on test images, chosen by peeking",
        "peeking      Local 80.00 in round 3, chosen on test images: +10.00 over the last round",
    ]


def test_without_validation_images_the_last_and_the_best_on_test_are_known() -> None:
    found = told([50.0, 60.0, math.nan, 55.0])
    assert "best_val" not in found and found["rounds_scored"] == 3
    assert found["best_test"]["gain_over_last"] == 5.0
    assert "gain_over_best_val" not in found["best_test"]


def test_nothing_is_claimed_of_rounds_that_were_not_scored() -> None:
    found = told([math.nan, math.nan, 55.0])
    assert "best_test" not in found and selection.peeking(found) is None
    assert "no round before the last was scored (evaluate.every)" in selection.lines(found)[-1]
    assert told([55.0])["best_test"]["gain_over_last"] == 0.0  # all rounds are known


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_number_chosen_by_is_that_of_metrics_csv(scores: list[float]) -> None:
    number = selection.number({"val": np.array([*scores, np.nan])})
    table = f"round,val_mean_percent\n4,{np.mean(np.sort(scores)):.8g}\n5,\n"
    read = selection.read_numbers(table)
    assert read[5] == number and math.isnan(read[6])


def test_round_without_scores_has_no_number() -> None:
    assert math.isnan(selection.number({"local": np.array([1.0])}))
    assert math.isnan(selection.number({"val": np.array([np.nan])}))
    assert math.isnan(selection.read_numbers("round,loss\n0,1.5\n")[1])


@pytest.mark.parametrize("rule", selection.CHOICES)
def test_every_rule_has_words(rule: str) -> None:
    assert selection.CHOICES[rule] in selection.lines(told([50.0, 40.0], [1.0, 2.0], rule))[0]
