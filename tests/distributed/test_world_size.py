"""The number of ranks reaches no bit of a result, nor does a change of it on the way."""

import pytest
from ranks import run
from runs import Ended, Lab, call, checkpoints, make_lab, outcome, scores, state

CHANGES = {"data__views": 2, "federation__fraction": 0.75, "evaluate__full_every": 3}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The same run on one rank (in this process), on two, on three, and on two and then three."""
    lab = make_lab(tmp_path_factory.mktemp("world_size"))
    assert call(lab.words("1", **CHANGES)) == 0
    for ranks in (2, 3):
        ended = run(lab.words(str(ranks), **CHANGES), lab.path / f"said {ranks}", ranks)
        assert [rank.code for rank in ended] == [0] * ranks
    return lab


@pytest.fixture(scope="module")
def stopped(lab: Lab) -> list[Ended]:
    """A run on two ranks, of which the second is asked to stop in the middle of round 2."""
    return run(lab.words("2 then 3", **CHANGES), lab.path / "said stopped", 2, ("term", 1, 2))


@pytest.mark.parametrize("ranks", ["2", "3"])
def test_clients_and_shared_part_have_the_same_bits_on_more_ranks(lab: Lab, ranks: str) -> None:
    assert state(lab.folder(ranks)) == state(lab.folder("1"))


@pytest.mark.parametrize("ranks", ["2", "3"])
def test_every_client_and_round_has_the_same_scores_on_more_ranks(lab: Lab, ranks: str) -> None:
    assert outcome(lab.folder(ranks)) == outcome(lab.folder("1"))


def test_rounds_change_clients_and_scores(lab: Lab) -> None:
    rows = scores(lab.folder("1"))
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert len({row[1] for row in rows}) == 4  # losses: the comparisons above are not idle


def test_all_ranks_stop_together_when_one_is_asked_to(lab: Lab, stopped: list[Ended]) -> None:
    assert [rank.code for rank in stopped] == [75, 75]
    assert "saved after round 3 of 4; the same command goes on" in stopped[0].err
    assert checkpoints(lab.folder("2 then 3"))[-1] == "round_000003"


def test_run_stopped_on_two_ranks_goes_on_on_three_to_the_same_bits(
    lab: Lab, stopped: list[Ended]
) -> None:
    ended = run(lab.words("2 then 3", **CHANGES), lab.path / "said again", 3)
    assert [rank.code for rank in ended] == [0, 0, 0]
    assert "going on after round 3 of 4" in ended[0].err
    assert outcome(lab.folder("2 then 3")) == outcome(lab.folder("1"))


def test_more_ranks_than_shards_are_told_once_what_to_set(lab: Lab) -> None:
    words = lab.words("too many", federation__num_shards=1)
    ended = run(words, lab.path / "said too many")
    assert [rank.code for rank in ended] == [2, 2]
    told = "".join(rank.err for rank in ended)
    assert told.count("error:") == 1
    assert "federation.num_shards: 1 shards cannot be hosted by 2 ranks; set" in told
    assert "Traceback" not in told
