"""The membership attack: areas and intervals on paper, members found where they are learned by
heart, and nobody where nothing was."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from runs import alone, call, make_lab
from tiny import tiny_federation

from pfedmma_dist import membership
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.inference import area, attack, by_client, of_two
from pfedmma_dist.membership import guessed_at_most
from pfedmma_dist.methods.linear_probe import LinearProbe


def test_area_counts_pairs_and_halves_of_equal_ones() -> None:
    assert area(np.array([3.0, 1.0]), np.array([0.0, 1.0, 2.0])) == (3 + 1.5) / 6
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 5, 40) * 1.0, rng.integers(0, 5, 30) * 1.0
    pairs = np.sign(members[:, None] - others)
    assert area(members, others) == pytest.approx(((pairs + 1) / 2).mean())


def test_intervals_are_those_of_the_books() -> None:
    ones, halves, low = np.ones(2), np.array([0.0, 1.0]), np.zeros(2)
    found = by_client([(ones, low), (ones, halves), (ones, low)])  # areas 1, 0.75, 1
    assert found.area == pytest.approx(11 / 12)
    assert found.margin == pytest.approx(4.302653 * math.sqrt(1 / 48) / math.sqrt(3))
    assert (found.members, found.others) == (6, 6)
    both = of_two(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0]))  # 4.5 of 6 pairs
    square = (0.75 * 0.25 + 2 * (0.75 / 1.25 - 0.5625) + (2 * 0.5625 / 1.75 - 0.5625)) / 6
    assert both.area == 0.75 and both.margin == pytest.approx(1.959964 * math.sqrt(square))


def test_what_was_learned_by_heart_is_found_and_nothing_before_it() -> None:
    federation = tiny_federation(LinearProbe, optim=OptimConfig(lr=1.0), rounds=60, local_epochs=4)
    nothing = attack(federation, 1).images
    assert (nothing.area, nothing.margin) == (0.5, 0.0)
    for index in range(60):
        federation.round(index)
    found = attack(federation, 60)
    assert found.images.area - found.images.margin > 0.5
    assert found.images.members == 28 and found.clients is None


def test_privacy_leaves_so_many_right_guesses() -> None:
    assert guessed_at_most(0.0, 0.0) == 0.5
    assert guessed_at_most(math.log(3), 0.0) == pytest.approx(0.75)
    assert guessed_at_most(1e9, 0.1) == 1.0


def test_run_is_attacked_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = make_lab(tmp_path, (12, 10, 11, 12, 2, 2, 2, 2))
    keys = {"federation__rounds": 1, "method__name": "promptfl", "federation__unseen": 0.5}
    assert call(lab.words("run", **keys)) == 0
    with alone():
        assert membership.main([str(lab.folder("run"))]) == 0
    found = json.loads((lab.folder("run") / "evaluations" / "membership.json").read_text())
    assert found["rounds"] == 1 and found["epsilon"] is None
    assert found["clients"]["members"] == found["clients"]["others"] == 2
    out = capsys.readouterr().out
    assert f"area {found['images']['area']:.3f} ± {found['images']['margin']:.3f}" in out
    assert membership.main([str(tmp_path)]) == 2
