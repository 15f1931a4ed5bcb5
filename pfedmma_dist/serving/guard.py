"""The guard: what every request meets before the rest, and every answer after it."""

import asyncio
import ipaddress
import logging
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pfedmma_dist.serving.limits import Limits
from pfedmma_dist.spelling import quoted, shortened, spelled

log = logging.getLogger(__name__)

SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""Headers of every answer. None of CORS: pages of other origins may not read what is answered."""

FACTS = "facts"
"""Key of a request's state: words for its line of the log."""


class Guard:
    """Refuses requests that come by way of foreign pages, and those that are too many."""

    def __init__(self, app: ASGIApp, limits: Limits, names: Collection[str]) -> None:
        """names: of this server, beside every address: a page that has its own name resolve to us
        (DNS rebinding) sends that name, never an address."""
        self.app, self.limits = app, limits
        self.names = {"localhost", *(name.lower() for name in names)}
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and log one line of it without a word of its content."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, num_bytes = time.monotonic(), 0, 0
        facts = scope.setdefault("state", {})[FACTS] = []

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            return message

        async def secured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SECURITY)
            await send(message)

        self.under_way += 1
        try:
            whole = self.limits.receive + self.limits.answer
            await asyncio.wait_for(self._app_for(scope)(scope, counted, secured), whole)
        except asyncio.TimeoutError:
            facts.append(f"given up after {whole:g} s")
            if not status:
                await _refused(503, "the answer took too long")(scope, receive, secured)
        finally:
            self.under_way -= 1
            words = [scope["method"], shortened(scope["path"]), str(status), *facts]
            size = f"{num_bytes / 1000:,.0f} kB" if num_bytes else "no body"
            milliseconds = 1000 * (time.monotonic() - began)
            log.info("%s, %s, %.0f ms", spelled(" ".join(words)), size, milliseconds)

    def _app_for(self, scope: Scope) -> ASGIApp:
        """Return what answers this request: the application, or a refusal."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _refused(
                421,
                f"host: {quoted(host)} is not a name of this server; open it by its address, or "
                "start it with --host and that name",
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return _refused(403, f"origin: {quoted(origin)} is another page; its requests are not")
        if self.under_way > self.limits.requests:
            again = {"retry-after": str(self.limits.retry)}
            return _refused(503, "too many requests are under way; come again", again)
        return self.app

    def _is_ours(self, host: str) -> bool:
        """Say whether a Host header names this server, whatever the port."""
        name = host[: host.rindex(":")] if host.rpartition(":")[2].isdecimal() else host
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower().removesuffix(".") in self.names
        return True


def _refused(status: int, words: str, headers: dict[str, str] | None = None) -> ASGIApp:
    return JSONResponse({"error": words}, status, headers)
