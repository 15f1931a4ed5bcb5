"""The number of ranks reaches no bit of a result, nor does a change of it on the way."""

import pytest
from runs import DRIVER, Ended, Lab, call, checkpoints, make_lab, outcome, scores, state, torchrun

CHANGES = {"data__views": 2, "federation__fraction": 0.75, "evaluate__full_every": 3}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The same run on one rank (in this process), on two, on three, and on two and then three."""
    lab = make_lab(tmp_path_factory.mktemp("world_size"))
    assert call(lab.words("1", **CHANGES)) == 0
    for ranks in (2, 3):
        words = lab.words(str(ranks), **CHANGES)
        assert torchrun(ranks, "-m", "pfedmma_dist.train", *words).code == 0
    return lab


@pytest.fixture(scope="module")
def stopped(lab: Lab) -> Ended:
    """A run on two ranks, of which the second is asked to stop in the middle of round 2."""
    return torchrun(2, DRIVER, "term", 1, 2, *lab.words("2 then 3", **CHANGES))


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


def test_all_ranks_stop_together_when_one_is_asked_to(lab: Lab, stopped: Ended) -> None:
    assert "exitcode  : 75" in stopped.err
    assert "saved after round 3 of 4; the same command goes on" in stopped.err
    assert checkpoints(lab.folder("2 then 3"))[-1] == "round_000003"


def test_run_stopped_on_two_ranks_goes_on_on_three_to_the_same_bits(
    lab: Lab, stopped: Ended
) -> None:
    words = lab.words("2 then 3", **CHANGES)
    assert torchrun(3, "-m", "pfedmma_dist.train", *words).code == 0
    assert outcome(lab.folder("2 then 3")) == outcome(lab.folder("1"))


def test_more_ranks_than_shards_are_told_once_what_to_set(lab: Lab) -> None:
    words = lab.words("too many", federation__num_shards=1)
    ended = torchrun(2, "-m", "pfedmma_dist.train", *words)
    ours, torchruns = ended.err.split("torch/distributed/elastic", 1)
    assert "exitcode  : 2" in torchruns
    assert ours.count("error:") == 1
    assert "federation.num_shards: 1 shards cannot be hosted by 2 ranks; set" in ours
    assert "Traceback" not in ours
