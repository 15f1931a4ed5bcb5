"""The measurement of growth runs, and its numbers add up."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("growth", ROOT / "benchmarks" / "clients.py")
growth = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(growth)


def test_a_few_clients_are_measured_from_start_to_report() -> None:
    found = growth.grow(20, 2, 1)
    assert found["start"] > found["encoding"] > 0 < found["a round"]
    [head, _, *rows] = growth.table({"20": found, "40": found}, exponents=True)
    assert head == "| | 20 | 40 | exponent |"
    assert len(rows) == len(found)
    assert all(row.endswith("| 0.00 |") for row in rows)


def test_rows_of_many_clients_are_written_once_and_not_held() -> None:
    found = growth.hold(trained=100, clients=1000, width=2**16, memory=8.0, num_shards=1)
    assert [costs["trained"] for costs in found] == list(range(10, 101, 10))
    written = [round(costs["MiB written"], 1) for costs in found]
    assert written[:6] == [2.5, 5, 7.5, 10, 12.5, 15]  # all rows, while they are few
    assert written[6:] == [2.5, 2.5, 2.5, 2.5]
    assert round(found[-1]["checkpoint MiB"]) == 25
