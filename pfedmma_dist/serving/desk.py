"""The desk: reads the pictures of requests side by side, and asks the model one after another."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from pfedmma_dist.serving.answers import Answer, Model, Panel, told
from pfedmma_dist.serving.limits import DECODERS, Limits
from pfedmma_dist.serving.pictures import Unreadable, read


@dataclass(frozen=True)
class Upload:
    """An image file as it was sent."""

    name: str  # empty where it has none
    content: bytes


@dataclass(frozen=True)
class Seen:
    """A picture ready for the model."""

    size: tuple[int, int]  # width, height
    note: str
    pixels: Tensor  # [3, H, W]


@dataclass(frozen=True)
class Reply:
    """What became of the images of one request."""

    images: list[dict[str, Any]]  # one for each upload, in their order, for programs
    num_unreadable: int
    seconds: float


class Desk:
    """Answers requests in the order in which their pictures are read.

    The model is asked by one thread, with the images of one request at a time: what a picture is
    answered does not depend, by one bit, on who asks beside.
    """

    def __init__(self, model: Model, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self._panel = Panel(model)
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
        self._asker = ThreadPoolExecutor(1, thread_name_prefix="model")

    def warm(self, asked: str) -> None:
        """Ask about nothing in particular, so that the first request does not wait for texts."""
        pixels = self.model.preprocess(Image.new("RGB", (8, 8)))
        self._asker.submit(self._panel.ask, [pixels], asked, 1).result()

    def answer(self, uploads: Sequence[Upload], asked: str, top: int) -> Reply:
        """Return what the models say; blocks until they do."""
        began = time.monotonic()
        waiting = [self._decoders.submit(self._seen, upload.content) for upload in uploads]
        seen = [_outcome(one) for one in waiting]
        pixels = [one.pixels for one in seen if isinstance(one, Seen)]
        answers = iter(self._ask(pixels, asked, top))
        images = [
            {"name": upload.name, **_written(one, answers)}
            for upload, one in zip(uploads, seen, strict=True)
        ]
        return Reply(images, len(seen) - len(pixels), time.monotonic() - began)

    def close(self) -> None:
        """End the threads; what has not begun is given up."""
        for pool in (self._decoders, self._asker):
            pool.shutdown(cancel_futures=True)

    def _ask(self, pixels: list[Tensor], asked: str, top: int) -> list[Answer]:
        return self._asker.submit(self._panel.ask, pixels, asked, top).result() if pixels else []

    def _seen(self, content: bytes) -> Seen:
        picture = read(content, self.limits)
        return Seen(picture.image.size, picture.note, self.model.preprocess(picture.image))


def _outcome(one: Future[Seen]) -> Seen | Unreadable:
    """Wait for a picture; one that cannot be read harms no other."""
    try:
        return one.result()
    except Unreadable as error:
        return error


def _written(one: Seen | Unreadable, answers: Iterator[Answer]) -> dict[str, Any]:
    if isinstance(one, Unreadable):
        return {"error": str(one)}
    note = {"note": one.note} if one.note else {}
    return {"width": one.size[0], "height": one.size[1], **note, "answers": told(next(answers))}
