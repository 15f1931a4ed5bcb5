"""The server: uvicorn with bounds on idle time, ended by a signal within a moment."""

import asyncio
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pfedmma_dist.serving.web import Site

HEADER_BYTES = 16_384
"""Of a request line and its headers."""

KEPT_ALIVE = 5
"""Seconds that a connection may wait for its next request."""


class Server(uvicorn.Server):
    """Serves a site until SIGINT or SIGTERM; what is under way is finished first.

    Unlike uvicorn's, it ends without the signal being raised again: to end so is no failure.
    """

    def __init__(
        self, site: Site, names: list[str], ready: Callable[[], object] = lambda: None
    ) -> None:
        """names: of this machine, beside its addresses. ready: called once requests are taken, and
        signals heard."""
        self.site, self.ready = site, ready
        limits = site.limits
        super().__init__(
            uvicorn.Config(
                site.app(names),
                http=_Bounded.within(limits.receive),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=limits.connections,
                timeout_keep_alive=KEPT_ALIVE,
                timeout_graceful_shutdown=int(limits.grace),
                h11_max_incomplete_event_size=HEADER_BYTES,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End the server on a signal; a second Ctrl-C does not wait for what is under way."""
        if threading.current_thread() is not threading.main_thread():  # nobody else gets any
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so."""
        await super().startup(sockets)
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: half-sent requests are refused, whole ones answered."""
        self.site.closing.set()
        await super().shutdown(sockets)


class _Bounded(H11Protocol):
    """A connection that is closed where a request takes too long to come.

    uvicorn itself bounds only the wait between two requests.
    """

    def __init__(self, *args: Any, seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seconds = seconds
        self._overdue: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, seconds: float) -> Any:
        """Return what makes connections, as uvicorn calls it. seconds: from a request's first byte
        (or the connection) to its last."""
        return partial(cls, seconds=seconds + 1)  # the application has words for it, so comes first

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request; wait for the rest of it."""
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._stop_waiting()  # for the rest of the request before
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(self._seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


def listen(host: str, port: int) -> socket.socket:
    """Take a port, before anything that takes a while; ValueError, in words, where that fails."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        is_name = isinstance(error, (socket.gaierror, UnicodeError))
        number = None if is_name or not isinstance(error, OSError) else error.errno
        why = str(error) if number is None else os.strerror(number)
        raise ValueError(
            f"{'--host' if is_name else '--port'}: {host} port {port} cannot be taken ({why}); "
            "give a --port that nobody has (0: any), and a --host of this machine"
        ) from error


def is_loopback(found: socket.socket) -> bool:
    """Say whether only this machine reaches a port."""
    return ipaddress.ip_address(found.getsockname()[0]).is_loopback


def address_of(found: socket.socket) -> str:
    """Return the address for a browser."""
    host, port = found.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
