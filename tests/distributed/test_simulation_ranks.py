"""A program with a Simulation on two ranks: the bits of the command, left by one and so by both."""

import sys

import pytest
from ranks import run
from runs import Lab, call, make_lab, outcome

from pfedmma_dist import Simulation

CHANGES = {"federation__rounds": 3, "run__checkpoint_every": 10}


def program(words: list[str]) -> int:
    """Train a run in two parts, of which rank 1 leaves the first, and look at its clients; then
    train another run in the same process."""
    with Simulation.open(*words) as simulation:
        rank = simulation.world.rank
        rounds = [record.round for record in _left_by(1, rank, simulation)]
        first = simulation.clients[0].scores
        simulation.train()
        sums = [float(sum(x.sum() for x in each.private.values())) for each in simulation.clients]
    other = Simulation.open(*words, {"seed": 2, "run.folder": f"{simulation.folder}-other"})
    other.train()
    sys.stderr.write(f"\nsaw {rounds} {sorted(first)} {sums} {other.result.rounds}\n")
    other.close()
    return 0


def _left_by(who: int, rank: int, simulation: Simulation):
    for record in simulation.rounds():
        yield record
        if rank == who and record.round == 2:
            break


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = make_lab(tmp_path_factory.mktemp("simulation_ranks"))
    assert call(lab.words("command", **CHANGES)) == 0
    return lab


def test_two_ranks_leave_together_go_on_and_reach_the_bits_of_the_command(lab: Lab) -> None:
    ended = run(lab.words("program", **CHANGES), lab.path / "said", main=program)
    assert [rank.code for rank in ended] == [0, 0], ended[0].err + ended[1].err
    assert outcome(lab.folder("program")) == outcome(lab.folder("command"))
    saw = [line for rank in ended for line in rank.err.splitlines() if line.startswith("saw ")]
    assert saw[0] == saw[1] and saw[0].startswith("saw [1, 2] ['local'")
    assert "another rank has left the rounds" in ended[0].err
