"""What a waiting person sees: bars in a terminal, plain lines elsewhere, nothing from rank 1."""

import io
import logging
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pfedmma_dist.run import progress as progress_module
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import begin_log, configure_logging
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import RoundRecord
from pfedmma_dist.world import World

OTHER = World(1, 2, 1, 2, World.alone().device)
RECORD = RoundRecord(
    round_index=2, loss=0.5, samples=64, train_seconds=2.0, client_up_bytes=1,
    client_down_bytes=1, rank_bytes=1, scores={"local": np.array([90.0, 100.0])},
)  # fmt: skip


def run(world: World, console: Console) -> None:
    with Progress(world, console, rounds=5, start_round=2) as progress:
        with progress.step("features", total=1000) as advance:
            advance(1000)
        with progress.round(2, 4) as advance:
            advance(4)
        progress.round_done(RECORD)


def test_plain_lines_where_there_is_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run(World.alone(), Console())
    assert [text.split(" in ")[0] for text in caplog.messages][0] == "features: 1,000"
    assert caplog.messages[1].startswith(
        "round 3/5: loss 0.5000, local 95.00 %, 32 samples/s, 2.0 s, about "
    )
    assert len(caplog.messages) == 2


def test_long_step_gives_signs_of_life(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "QUIET_SECONDS", -1.0)
    with (
        caplog.at_level(logging.INFO),
        Progress(World.alone(), Console(), rounds=1) as progress,
        progress.step("features", total=4) as advance,
    ):
        advance(2)
    assert caplog.messages[0].startswith("features: 2 of 4, about ")


def test_other_ranks_are_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run(OTHER, Console())
    assert caplog.messages == []


def test_bars_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "interactive", lambda: True)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with Progress(World.alone(), console, rounds=5, start_round=2) as progress:
        with progress.step("features", total=10) as advance:
            advance(5)
            progress.bars.refresh()
        with progress.round(2, 4) as advance:
            advance(3)
            progress.bars.refresh()
        progress.round_done(RECORD)
        progress.bars.refresh()
    shown = screen.getvalue()
    assert "features" in shown
    assert "round 3: clients" in shown
    assert "loss 0.5000, local 95.00 %, 32 samples/s" in shown


def test_first_rank_writes_the_log_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for _ in range(2):  # a second call replaces the first
        configure_logging(World.alone(), folder)
    begin_log()
    logging.getLogger("pfedmma_dist.train").info("ready")
    assert folder.log.read_text().count("INFO ready") == 1


def test_other_ranks_only_warn_and_say_who_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    configure_logging(OTHER, folder)
    logging.getLogger("pfedmma_dist.train").info("unheard")
    logging.getLogger("pfedmma_dist.train").warning("heard")
    assert capsys.readouterr().err.startswith("[rank 1] ")
    assert not folder.log.exists()
