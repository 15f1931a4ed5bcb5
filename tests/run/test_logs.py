"""Log lines reach people once, and a full disk is no traceback."""

import logging
import threading

import pytest
from runs import alone

from pfedmma_dist.run.logs import configure_logging
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
