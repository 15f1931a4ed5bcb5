"""The web application: a page for people, and the same as JSON for programs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pfedmma_dist.serving.answers import HEADINGS, checked, heading
from pfedmma_dist.serving.desk import Desk, Reply
from pfedmma_dist.serving.guard import FACTS, Guard
from pfedmma_dist.serving.limits import Limits
from pfedmma_dist.serving.schema import schema
from pfedmma_dist.serving.uploads import uploads
from pfedmma_dist.spelling import hint, quoted

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
"""Path -> file of the page, its type. No other file can be asked for, by any path."""

TOP = 5
"""Classes of an answer where nobody says how many."""

ASKED, MOST = "client", "top"
"""Keys of /classify."""


@dataclass
class Site:
    """What is served: a run, who is asked where a request does not say, and about what."""

    desk: Desk
    limits: Limits
    title: str  # of the run
    asked: str  # a client's number, or a word of HEADINGS
    closing: asyncio.Event = field(default_factory=asyncio.Event)  # set when the server ends
    _listing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def app(self, names: Sequence[str] = ()) -> Starlette:
        """Return the application. names: of this server, beside its addresses."""
        return Starlette(
            routes=[
                *(Route(path, _file(*what)) for path, what in PAGE.items()),
                Route("/classify", self.classify, methods=["POST"]),
                Route("/clients", self.clients),
                Route(f"/clients/{{{ASKED}}}", self.one_client),
                Route("/health", self.health),
                Route("/openapi.json", self.openapi),
            ],
            middleware=[Middleware(Guard, limits=self.limits, names=names)],
            exception_handlers={HTTPException: _told, 500: _broken},
        )

    async def classify(self, request: Request) -> Response:
        """Answer about the images of a request."""
        asked, top = self._asked(request)
        found = await uploads(request, self.limits, self.closing)
        answer = partial(self.desk.answer, found, asked, top)
        reply: Reply = await anyio.to_thread.run_sync(answer)
        request.scope["state"][FACTS] += [f"client {asked}", *_counts(reply)]
        return JSONResponse(
            {"client": asked, "top": top, "images": reply.images},
            400 if reply.num_unreadable == len(found) else 200,
            {"server-timing": f"classify;dur={1000 * reply.seconds:.1f}"},
        )

    async def clients(self, request: Request) -> Response:
        """Say who may be asked, about what, and what of a request is the most."""
        return JSONResponse(
            {
                "run": self.title,
                "client": self.asked,
                "num_clients": self.desk.model.num_clients,
                "others": HEADINGS,
                "classes": self.desk.model.class_names,
                "limits": {"bytes": self.limits.body, "images": self.limits.images},
            }
        )

    async def one_client(self, request: Request) -> Response:
        """Say which classes a client owns, and whether it has trained."""
        try:
            asked = checked(request.path_params[ASKED], self.desk.model, ASKED)
        except ValueError as error:
            raise HTTPException(404, str(error)) from error
        if asked in HEADINGS:
            return JSONResponse({"client": asked, "heading": heading(asked)})
        async with self._listing:  # the first one may list the images of the whole run
            own = await anyio.to_thread.run_sync(self.desk.model.classes_of, int(asked))
        trained = self.desk.model.has_trained(int(asked))
        facts = {"client": asked, "heading": heading(asked), "classes": own, "has_trained": trained}
        return JSONResponse(facts)

    async def health(self, request: Request) -> Response:
        """Say that requests are answered."""
        return JSONResponse({"status": "closing" if self.closing.is_set() else "ok"})

    async def openapi(self, request: Request) -> Response:
        """Return what programs may ask, as OpenAPI describes it."""
        return JSONResponse(schema(self.limits, self.desk.model.num_clients, TOP))

    def _asked(self, request: Request) -> tuple[str, int]:
        """Return who is asked and how many classes are wanted; HTTPException in words."""
        known = (ASKED, MOST)
        given = dict(request.query_params)
        for key in given.keys() - {*known}:
            words = f"{quoted(key)} is unknown{hint(key, known)}; known are {' and '.join(known)}"
            raise HTTPException(400, words)
        top = given.get(MOST, str(TOP))
        if not (top.isascii() and top.isdecimal() and 1 <= len(top) <= 6 and int(top)):
            raise HTTPException(400, f"{MOST}: {quoted(top)} is not 1 or more; leave it at {TOP}")
        try:
            asked = checked(given.get(ASKED, self.asked), self.desk.model, ASKED)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return asked, min(int(top), len(self.desk.model.class_names))


def _counts(reply: Reply) -> list[str]:
    """Return how many images there were, for the log."""
    number = len(reply.images)
    words = [f"{number} image{'s' * (number != 1)}"]
    return [*words, f"{reply.num_unreadable} unreadable"] if reply.num_unreadable else words


def _file(name: str, kind: str) -> Any:
    """Return what answers with a file of the page, which is read once."""
    content = (resources.files("pfedmma_dist.serving") / "page" / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    """Answer where we broke; the log has the traceback."""
    return JSONResponse({"error": f"the server failed: {type(error).__name__}: {error}"}, 500)
