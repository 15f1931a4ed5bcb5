"""Runs pair by all that tells them apart; what has no partner is named and counted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from recorded import plan, record, three

from launch.runs import named_runs, sweep_runs
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.paired import Pairs, paired, sides
from pfedmma_dist.results.tables import with_reference

Run = tuple[str, dict[str, Any], float | None]


def sweep(folder: Path, runs: Sequence[Run], **further: Any) -> list[Outcome]:
    """Return the runs of a sweep: row, values of keys, Local or None where it has not finished."""
    rows = []
    for index, (row, keys, local) in enumerate(runs):
        scores = None if local is None else three(local, 50, 50)
        config = {"method.name": row, **keys}
        record(folder / f"{index}", scores, config=config, **further)
        rows.append({"row": row, "folder": f"{index}"})
    return with_reference(sweep_runs(plan(folder, rows)))


def pairs(runs: Sequence[Outcome], one: str, other: str) -> Pairs:
    return paired(*sides(runs, (one, other)))


def locals_of(found: Pairs) -> list[tuple[float, float]]:
    return [
        (pair.one.scores["local_mean"], pair.other.scores["local_mean"])
        for own in found.found.values()
        for pair in own
    ]


def seed(number: int, **keys: Any) -> dict[str, Any]:
    return {"seed": number, **{key.replace("__", "."): value for key, value in keys.items()}}


def test_pairs_share_seed_and_settings(tmp_path: Path) -> None:
    points = [(s, n) for s in (1, 2) for n in (10, 100)]
    own = [("a", seed(s, data__num_clients=n), 50.0 + s + n / 100) for s, n in points]
    other = [("b", seed(s, data__num_clients=n), 40.0 + s + n / 100) for s, n in reversed(points)]
    found = pairs(sweep(tmp_path, [*own, *other]), "a", "b")
    assert [one - other for one, other in locals_of(found)] == pytest.approx([10.0] * 4)
    assert found.left == ()
    words = {pair.words for pair in next(iter(found.found.values()))}
    assert words == {f"seed {s}, clients {n}" for s, n in points}


def test_what_differs_between_the_rows_alone_does_not_part_them(tmp_path: Path) -> None:
    runs = [("a", seed(s, optim__lr=0.1), 60.0) for s in (1, 2)]
    runs += [("b", seed(s, optim__lr=0.5), 50.0) for s in (1, 2)]
    assert len(locals_of(pairs(sweep(tmp_path, runs), "a", "b"))) == 2


def test_lines_of_one_row_pair_by_seed(tmp_path: Path) -> None:
    runs = [("a", seed(s, optim__lr=lr), 50 + 100 * lr) for s in (1, 2) for lr in (0.1, 0.2)]
    found = pairs(sweep(tmp_path, runs), "a, lr 0.2", "a, lr 0.1")
    assert locals_of(found) == [(70.0, 60.0)] * 2


def test_runs_that_the_other_lacks_are_named_and_counted(tmp_path: Path) -> None:
    runs = [("a", seed(s), 60.0) for s in range(1, 8)] + [("b", seed(s), 50.0) for s in (1, 2, 9)]
    found = pairs(sweep(tmp_path, runs), "a", "b")
    assert len(locals_of(found)) == 2
    assert found.left == (
        "Left out: 5 runs of a that b lacks: seed 3; seed 4; seed 5; and 2 more.",
        "Left out: 1 run of b that a lacks: seed 9.",
    )


def test_run_without_a_result_takes_its_partner_with_it_aloud(tmp_path: Path) -> None:
    runs = [("a", seed(s), 60.0) for s in (1, 2)] + [("b", seed(1), 50.0), ("b", seed(2), None)]
    found = pairs(sweep(tmp_path, runs), "a", "b")
    assert len(locals_of(found)) == 1
    assert found.left == ("Left out: 1 run of b without a result, and so its partner: seed 2.",)


def test_data_sets_are_pairs_of_their_own(tmp_path: Path) -> None:
    sets = {"pets": 60.0, "cars": 70.0}
    runs = [("a", seed(1, data__name=name), local) for name, local in sets.items()]
    runs += [("b", seed(1, data__name="cars"), 50.0)]
    found = pairs(sweep(tmp_path, runs), "a", "b")
    assert [(data, len(own)) for (_, (data, _)), own in found.found.items()] == [("cars", 1)]
    assert found.left == ("Left out: 1 run of a that b lacks: seed 1 on pets.",)


def test_second_run_of_a_place_is_told(tmp_path: Path) -> None:
    for name, row, local in (("1", "a", 60), ("2", "a", 99), ("3", "b", 50)):
        record(tmp_path / name, three(local, 50, 50), config={"method.name": row})
    found = pairs(named_runs(map(str, sorted(tmp_path.iterdir()))), "a", "b")
    assert locals_of(found) == [(60, 50)]
    assert found.left == ("Left out: 1 run of a beside another of the same place: seed 1.",)


def test_zero_shot_scores_pair_with_the_runs_they_stand_beside(tmp_path: Path) -> None:
    points = [(s, f) for s in (1, 2) for f in (0.1, 1.0)]
    runs = [("a", seed(s, federation__fraction=f), 60.0 + s) for s, f in points]
    own = sweep(tmp_path, runs, zero_shot=three(55, 50, 50))
    found = locals_of(pairs(own, "a", "zero-shot CLIP"))
    assert sorted(found) == [(61, 55), (61, 55), (62, 55), (62, 55)]
    assert locals_of(pairs(own, "zero-shot CLIP", "a"))[0] == (55, 61)


def refused(runs: Sequence[Outcome], one: str, other: str) -> str:
    with pytest.raises(ValueError) as error:
        pairs(runs, one, other)
    return str(error.value)


def test_misspelt_row_is_refused_with_the_nearest(tmp_path: Path) -> None:
    runs = sweep(tmp_path, [("PromptFL", seed(1), 60.0), ("pFedMMA", seed(1), 60.0)])
    told = refused(runs, "pFedMMA", "PromtFL")
    assert told.startswith("--compare: 'PromtFL' is no row of these runs; did you mean PromptFL?")


def test_rows_with_common_runs_are_refused(tmp_path: Path) -> None:
    runs = sweep(tmp_path, [("a", seed(1, optim__lr=lr), 60.0) for lr in (0.1, 0.2)])
    assert "have 1 run in common" in refused(runs, "a", "a, lr 0.1")
    assert "have 2 runs in common" in refused(runs, "a", "a")


def test_rows_without_any_pair_are_refused_with_the_reason(tmp_path: Path) -> None:
    runs = sweep(tmp_path, [("a", seed(1), 60.0), ("b", seed(2), 60.0)])
    told = refused(runs, "a", "b")
    assert "no run of 'a' pairs with one of 'b' by data set, seed" in told
    assert "1 run of a that b lacks: seed 1" in told
