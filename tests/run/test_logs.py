"""Log lines reach people once, and a full disk is no traceback."""

import logging
import threading
from pathlib import Path

import pytest
from runs import alone

from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.logs import begin_log, configure_logging, drop_log
from pfedmma_dist.world import World


def failing(error: Exception) -> None:
    """Let a thread end with an error."""

    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def test_every_line_is_written_once_although_set_up_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with alone():
        configure_logging(World.alone(), None)
        configure_logging(World.alone(), None)
        logging.getLogger("pfedmma_dist.anything").info("a line")
    assert capsys.readouterr().err.count("a line") == 1


def test_thread_without_room_on_its_disk_ends_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with alone():
        configure_logging(World.alone(), None)
        failing(OSError(28, "No space left on device"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "a helper thread stopped: [Errno 28] No space left on device" in line


def test_thread_that_ends_by_our_mistake_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    with alone():
        configure_logging(World.alone(), None)
        failing(KeyError("ours"))
    assert "Traceback" in capsys.readouterr().err


def test_line_holds_no_control_characters_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with alone():
        configure_logging(World.alone(), None)
        logging.getLogger("pfedmma_dist.anything").warning("%s, 100%%", "a\x1b[2J\udcffb")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING a\\x1b[2J\\udcffb, 100%")


def test_lines_before_there_is_something_to_keep_are_written_with_their_times(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    with alone():
        configure_logging(World.alone(), folder)
        speaker = logging.getLogger("pfedmma_dist.anything")
        speaker.info("early %d", 1)
        assert not folder.log.exists()
        begin_log()
        speaker.info("late")
    early, late = folder.log.read_text().splitlines()
    assert early.endswith("INFO early 1") and late.endswith("INFO late")


def test_log_that_is_dropped_is_never_made(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with alone():
        configure_logging(World.alone(), folder)
        logging.getLogger("pfedmma_dist.anything").info("a line")
        drop_log()
        logging.getLogger("pfedmma_dist.anything").info("another")
    assert not folder.log.exists()
