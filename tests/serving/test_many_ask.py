"""The server under load, with slow clients, and at its end."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import Served, serving
from stand_in import COLOURS, StandIn, picture

from pfedmma_dist.serving.desk import Desk
from pfedmma_dist.serving.limits import Limits
from pfedmma_dist.serving.server import Server, listen
from pfedmma_dist.serving.web import Site

RED = picture("red")
HALF = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf"


class Door:
    """Holds up whoever asks the model until it is opened."""

    def __init__(self) -> None:
        self.asked, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.asked.set()
        assert self.open.wait(30)


def wait(served: Served, number: int) -> None:
    """Wait until so many requests are under way."""
    end = time.monotonic() + 30
    while len(served.server.server_state.tasks) < number:
        assert time.monotonic() < end


def test_each_is_answered_with_its_own() -> None:
    model = StandIn()
    with serving(model) as served, ThreadPoolExecutor(8) as pool:
        asked = [COLOURS[i % 3] for i in range(48)]
        found = list(pool.map(lambda colour: served.classify(picture(colour)), asked))
    best = [one.json["images"][0]["answers"]["0"][0]["class"] for one in found]
    assert best == asked
    assert len({one.content for one in found}) == 3  # to the last digit, whoever asked beside
    assert model.threads == {"model_0"}


def test_too_many_are_told_to_come_again() -> None:
    door = Door()
    with serving(StandIn(door), requests=1) as served, ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.classify, RED)
        assert door.asked.wait(30)
        second = served.classify(RED)
        assert second.status == 503 and second.headers["retry-after"] == "2"
        door.open.set()
        assert first.result().status == 200
        assert served.classify(RED).status == 200


def test_body_that_does_not_come_is_told_and_harms_nobody() -> None:
    with serving(receive=0.2) as served, served.connection() as link:
        link.sendall(HALF)
        assert served.classify(RED).status == 200
        answer = link.recv(4000)
        assert answer.startswith(b"HTTP/1.1 408")


def test_headers_that_do_not_come_end_the_connection() -> None:
    with serving(receive=-0.8) as served, served.connection() as link:  # a second of grace more
        link.sendall(b"GET /health HT")
        assert link.recv(100) == b""


def test_headers_without_end_are_refused() -> None:
    with serving() as served, served.connection() as link:
        link.sendall(b"GET /health HTTP/1.1\r\nX: " + 20_000 * b"x")
        assert link.recv(100).startswith(b"HTTP/1.1 400")


def test_who_leaves_in_the_middle_harms_nobody() -> None:
    with serving() as served:
        with served.connection() as link:
            link.sendall(HALF)
        assert served.classify(RED).status == 200


def test_model_that_fails_is_told_and_the_next_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = StandIn()
    with serving(model) as served:
        model.before = lambda: 1 / 0
        found = served.classify(RED)
        assert found.status == 500 and "ZeroDivisionError" in found.error
        model.before = lambda: None
        assert served.classify(RED).status == 200


def test_line_of_the_log_has_no_name_of_a_file(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "pfedmma_dist"), serving() as served:
        served.classify_all({"secret.png": RED, "bad": b""}, "?client=1")
        served.ask("GET", "/a%1b[31m")
    [first, second] = [one.getMessage() for one in caplog.records if "guard" in one.name]
    assert first.startswith("POST /classify 200 client 1 2 images 1 unreadable, ")
    assert "secret" not in first and "\x1b" not in second


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_what_is_under_way_finish(number: signal.Signals) -> None:
    door = Door()
    desk = Desk(StandIn(door), Limits())
    server = Server(Site(desk, desk.limits, "a run", "0"), [])
    with listen("127.0.0.1", 0) as port, ThreadPoolExecutor(2) as pool:
        served = Served(port.getsockname()[1], server, threading.main_thread())

        def ask_and_stop() -> bytes:
            whole = pool.submit(served.classify, RED)
            with served.connection() as half:
                half.sendall(HALF)
                assert door.asked.wait(30)
                wait(served, 2)
                os.kill(os.getpid(), number)
                told = half.recv(4000)
                door.open.set()
            assert whole.result().status == 200
            return told

        asking = pool.submit(ask_and_stop)
        server.run([port])
        assert asking.result().startswith(b"HTTP/1.1 503")
    desk.close()


def test_idle_server_ends_within_a_second() -> None:
    with serving() as served:
        with served.connection() as idle:
            assert served.classify(RED).status == 200
            began = time.monotonic()
            served.server.should_exit = True
            served.thread.join()
            assert idle.recv(10) == b""
        assert time.monotonic() - began < 1
