"""Uploads: the images of a request, read within bounds of size and time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pfedmma_dist.serving.desk import Upload
from pfedmma_dist.serving.limits import MB, Limits
from pfedmma_dist.spelling import quoted

FORM = "multipart/form-data"

RAW = ("", "application/octet-stream")
"""Types of a body that may be an image, beside image/*; curl and programs leave it out."""

Message = MutableMapping[str, Any]


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
    bounded = Request(request.scope, _bounded(request.receive, limits))
    reading = asyncio.ensure_future(_form(bounded, limits) if kind == FORM else _body(bounded))
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


def _bounded(
    receive: Callable[[], Awaitable[Message]], limits: Limits
) -> Callable[[], Awaitable[Message]]:
    """Return what receives a body, and raises once there is too much of it."""
    num_bytes = 0

    async def counted() -> Message:
        nonlocal num_bytes
        message = await receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > limits.body:
            raise _too_large(limits)
        return message

    return counted


async def _body(request: Request) -> list[Upload]:
    """Return the body as the only image."""
    return [Upload("", await request.body())]


async def _form(request: Request, limits: Limits) -> list[Upload]:
    """Return the files of a form, under whatever names."""
    async with request.form(max_files=limits.images + 1, max_fields=limits.images) as form:
        found = []
        for key, part in form.multi_items():
            if not isinstance(part, UploadFile):
                raise HTTPException(
                    400,
                    f"form: {quoted(key)} is no file; give client and top in the address, as in "
                    "/classify?client=7&top=5, and each image as a file, with a file name",
                )
            found.append(Upload(part.filename or "", await part.read()))
    if len(found) > limits.images:
        raise HTTPException(
            413, f"{limits.images} images are the most of one request; send the others in another"
        )
    return found
