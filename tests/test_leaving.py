"""Leaving while the ranks still meet: another's signal ends this one without a crash."""

import pytest

from pfedmma_dist import command
from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world import World


def test_stop_of_another_rank_before_all_have_met_ends_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect(device: str, patience: float) -> World:
        raise Stopped("stopped by a signal to rank 1, which has left")

    monkeypatch.setattr(World, "connect", connect)
    code = command.run(["run.device=cpu"], lambda config, world: 0)
    assert code == Stopped("").code
