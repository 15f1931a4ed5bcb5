"""Uploads: the images of a request, read within bounds of size and time."""

import asyncio
from collections.abc import Awaitable, Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Scope

from pfedmma_dist.serving.desk import Upload
from pfedmma_dist.serving.limits import MB, Limits
from pfedmma_dist.spelling import quoted

FORM = "multipart/form-data"

RAW = ("", "application/octet-stream")
"""Types of a body that may be an image, beside image/*; curl and programs leave it out."""

LAST = 512
"""Bytes at the end of a body that hold the last boundary of a form."""

FIELD = (
    "form: {} is no file; give client and top in the address, as in /classify?client=7&top=5, and "
    "each image as a file, with a file name"
)


async def uploads(request: Request, limits: Limits, closing: asyncio.Event) -> list[Upload]:
    """Return the images of a request; HTTPException where they are none, too large or too slow.

    closing: set when the server ends; who has not sent all by then is told.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM and kind not in RAW and not kind.startswith("image/"):
        raise HTTPException(
            415,
            f"content-type: {quoted(kind)} is no image; send an image file as the body, with "
            f"image/* or application/octet-stream, or several as {FORM}",
        )
    _check_length(request.headers.get("content-length", ""), limits)
    bounded = _Bounded(request.receive, limits)
    reading = asyncio.ensure_future(_read(bounded, request.scope, kind == FORM))
    ending = asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait(
            (reading, ending), timeout=limits.receive, return_when=asyncio.FIRST_COMPLETED
        )
        if not reading.done():
            if closing.is_set():
                raise HTTPException(503, "the server ends; nothing was classified")
            raise HTTPException(
                408,
                f"the request was not there after {limits.receive:g} s",
                {"connection": "close"},
            )
        found = reading.result()
    finally:
        reading.cancel()
        ending.cancel()
    if not any(upload.content for upload in found):
        raise HTTPException(400, "no image was sent, or it is empty")
    return found


def _check_length(words: str, limits: Limits) -> None:
    """Refuse by its header a request that is too large, before any of it is read."""
    if words.isdecimal() and int(words) > limits.body:
        raise _too_large(limits)


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(
        413,
        f"the request is larger than {limits.body / MB:g} MB; send fewer images at a time, or "
        "scale them down: the model sees a few hundred pixels a side",
    )


class _Bounded:
    """Receives a body, raises once there is too much of it, and remembers its end."""

    def __init__(self, receive: Callable[[], Awaitable[Message]], limits: Limits) -> None:
        self.receive, self.limits = receive, limits
        self.num_bytes, self.end = 0, b""

    async def __call__(self) -> Message:
        """Return the next part."""
        message = await self.receive()
        part = message.get("body", b"")
        self.num_bytes += len(part)
        self.end = (self.end + part[-LAST:])[-LAST:]
        if self.num_bytes > self.limits.body:
            raise _too_large(self.limits)
        return message


async def _read(bounded: _Bounded, scope: Scope, is_form: bool) -> list[Upload]:
    """Return the files of a form, under whatever names, or the body as the only image."""
    request = Request(scope, bounded)
    if not is_form:
        return [Upload("", await request.body())]
    most, found = bounded.limits.images, []
    try:
        async with request.form(max_files=most + 1, max_fields=most) as form:
            for key, part in form.multi_items():
                if not isinstance(part, UploadFile):
                    raise HTTPException(400, FIELD.format(quoted(key)))
                found.append(Upload(part.filename or "", await part.read()))
    except FormParserError as error:  # older versions of starlette let it pass
        raise HTTPException(400, f"the body is no {FORM} ({error})") from error
    _, options = parse_options_header(request.headers["content-type"])
    if b"--%b--" % options[b"boundary"] not in bounded.end:  # the parser drops what is cut off
        raise HTTPException(400, "the form is cut off before its end; nothing was classified")
    if len(found) > most:
        raise HTTPException(413, f"{most} images are the most of one request; send others after it")
    return found
