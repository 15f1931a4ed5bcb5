"""A real server on a free port of this machine, and the ways to ask it."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from stand_in import StandIn

from pfedmma_dist.serving.desk import Desk
from pfedmma_dist.serving.limits import Limits
from pfedmma_dist.serving.server import Server, listen
from pfedmma_dist.serving.web import Site

BOUNDARY = "of-a-test"


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        return self.json["error"]


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    port: int
    server: Server
    thread: threading.Thread

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answered:
        """Send one request and return the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as link:
            link.request(method, path, body, headers or {}, encode_chunked=body is not None
                         and not isinstance(body, (bytes, str)))  # fmt: skip
            found = link.getresponse()
            return Answered(found.status, dict(found.getheaders()), found.read())

    def classify(self, content: bytes, query: str = "", **headers: str) -> Answered:
        """Send one image as the body."""
        named = {"content-type": "application/octet-stream"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", f"/classify{query}", content, named)

    def classify_all(self, files: dict[str, bytes], query: str = "") -> Answered:
        """Send several images as a form."""
        kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.ask("POST", f"/classify{query}", form(files), kind)

    def connection(self) -> socket.socket:
        """Return a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def form(files: dict[str, bytes]) -> bytes:
    """Return files as multipart/form-data."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def serving(model: StandIn | None = None, **limits: float) -> Iterator[Served]:
    """Serve a run that stands in for a trained one."""
    desk = Desk(model or StandIn(), Limits(**limits))  # type: ignore[arg-type]
    server = Server(Site(desk, desk.limits, "a run", "0"), [])
    with listen("127.0.0.1", 0) as port:
        thread = threading.Thread(target=server.run, args=([port],))
        thread.start()
        try:
            yield Served(port.getsockname()[1], server, thread)
        finally:
            server.should_exit = True
            thread.join()
            desk.close()
