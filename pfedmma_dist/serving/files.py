"""Files: images on this machine, read a bounded distance ahead of who asks about them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from pfedmma_dist.serving.limits import DECODERS
from pfedmma_dist.serving.pictures import Unreadable, read

AHEAD = 64
"""Images read before they are asked for."""


@dataclass(frozen=True)
class Outcome:
    """What became of an image file."""

    path: Path
    pixels: Tensor | None  # [3, H, W]; None: it cannot be read
    words: str  # why not; of one that was read, what may surprise


def outcomes(
    paths: Sequence[Path], preprocess: Callable[[Image.Image], Tensor]
) -> Iterator[Outcome]:
    """Yield what became of these files, in their order."""

    def one(path: Path) -> Outcome:
        try:
            picture = read(path.read_bytes())
        except OSError as error:
            return Outcome(path, None, error.strerror or str(error))
        except Unreadable as error:
            return Outcome(path, None, str(error))
        return Outcome(path, preprocess(picture.image), picture.note)

    waiting: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(DECODERS) as pool:
        try:
            for path in paths:
                waiting.append(pool.submit(one, path))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # who asks may leave early
