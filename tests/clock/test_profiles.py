"""Profiles of clients: drawn by keys, or read from a file that is refused by line and column."""

from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.clock.profiles import FLEETS, LIMITS, of_fleet, read
from pfedmma_dist.config.choices import Fleet

HEAD = "client,flops_per_second,up_bits_per_second,down_bits_per_second"


@pytest.mark.parametrize("fleet", FLEETS)
def test_fleet_is_a_function_of_seed_and_client(fleet: str) -> None:
    many, few = of_fleet(fleet, 3, 200), of_fleet(fleet, 3, 5)
    np.testing.assert_array_equal(many.table[:, :5], few.table)
    for (holds, _), values in zip(LIMITS.values(), many.table, strict=True):
        assert all(map(holds, values))
    if fleet != "even":
        assert len(np.unique(many.flops_per_second)) == 200
        assert not np.array_equal(few.table, of_fleet(fleet, 4, 5).table)


def test_mixed_fleet_has_each_kind_by_its_share() -> None:
    found = of_fleet("mixed", 1, 2000).availability
    shares = [(found == tier.availability).mean() for _, tier in FLEETS["mixed"]]
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.04)


def test_every_choice_is_a_fleet() -> None:
    assert {fleet.value for fleet in Fleet} == {*FLEETS, "none", "file"}


def test_file_gives_what_it_says_and_the_usual_for_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text(f"\ufeff{HEAD},dropout\n1,2e9,1e6,1e7,0.25\n\n0, 1e9,3e6,1e7,0\n")
    found = read(file, 2)
    assert found.table.tolist() == [
        [1e9, 2e9], [3e6, 1e6], [1e7, 1e7], [1.0, 1.0], [0.0, 0.25], [0.0, 0.0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HEAD}\n0,1e9,fast,1e7\n", "line 2, column up_bits_per_second: 'fast' is not a number"),
        (f"{HEAD}\n0,1e9,0,1e7\n", "line 2, column up_bits_per_second: '0' is not a number above"),
        (f"{HEAD}\n0,1e9,nan,1e7\n", "column up_bits_per_second: 'nan'"),
        (f"{HEAD},availability\n0,1,1,1,0\n", "column availability: '0' is not a probability"),
        (f"{HEAD}\n0,1,1,1\n0,1,1,1\n", "line 3, column client: 0 stands twice"),
        (f"{HEAD}\n7,1,1,1\n", "line 2, column client: '7' is no number from 0 to 1"),
        (f"{HEAD}\n0,1,1\n", "line 2: 3 values below 4 columns"),
        (f"{HEAD}\n0,1,1,1\n", "has no line for client 1, and there are 2 clients; add it"),
        (f"{HEAD},availabilty\n", "line 1: column 'availabilty' is unknown; did you mean avail"),
        (f"{HEAD},client\n", "line 1: column 'client' stands twice"),
        ("client,up_bits_per_second\n", "line 1: no column flops_per_second; add it"),
        ("", "line 1: no column client"),
        (None, "is not there; name the file"),
    ],
)
def test_file_is_refused_by_line_and_column(tmp_path: Path, text: str | None, told: str) -> None:
    file = tmp_path / "p.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match="^system.profiles: ") as error:
        read(file, 2)
    assert told in str(error.value)
