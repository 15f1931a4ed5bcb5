"""Whom the server left out of a round stands in a row of dropped.csv, and goes with the round."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from dealt import dealt

from pfedmma_dist.federation.attackers import told_apart
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.record import ClientTable, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.world import World


def reported(folder: RunFolder, dropped: dict[int, list[int]], start: int = 0) -> str:
    clients = ClientTable.count(4, *dealt(3, lambda client: np.array([client, 3])))
    with Report(folder, World.alone(), clients, ["local"], {}, "", start) as report:
        for index, out in dropped.items():
            told = told_apart(out, np.array([1, 5]))
            report.round(
                RoundRecord(
                    round_index=index, loss=1.5, samples=1, train_seconds=2.0, client_up_bytes=12,
                    client_down_bytes=16, rank_bytes=24, dropped=told,
                )
            )  # fmt: skip
    return folder.dropped.read_text() if folder.dropped.exists() else ""


def test_rows_say_how_many_and_who_and_end_where_a_run_goes_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create()
    assert reported(folder, {0: []}) == ""
    first = reported(folder, {0: [1, 2, 5], 1: [0]})
    assert first == "round,attackers,honest,clients\n0,2,1,1 2 5\n1,0,1,0\n"
    assert reported(folder, {1: [5]}, start=1) == "\n".join([*first.splitlines()[:2], "1,1,0,5\n"])


def test_stats_of_earlier_checkpoints_left_nobody_out() -> None:
    stats = RoundStats(1.0, 2, 3, 4, 5.0, False, [1, 2])
    assert RoundStats.of(asdict(stats)) == stats
    earlier = {name: value for name, value in asdict(stats).items() if name != "dropped"}
    assert RoundStats.of(earlier).dropped == []
