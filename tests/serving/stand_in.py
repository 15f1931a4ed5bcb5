"""A run in place of a trained one: it classifies images by their colour."""

import io
import threading
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

COLOURS = ["red", "green", "blue"]
PIXELS = {"red": (200, 30, 20), "green": (20, 180, 40), "blue": (10, 20, 220)}


class Colours:
    """A head: logits are the mean of each channel, times a scale."""

    class_names = COLOURS

    def __init__(self, scale: float, names: list[str] | None = None) -> None:
        self.scale = scale
        self.class_names = names or COLOURS

    def logits(self, images: Tensor) -> Tensor:
        return self.scale * images.mean(dim=(2, 3))


class StandIn:
    """Three clients; client 2 is of another data set, and never trained."""

    class_names = COLOURS
    class_sets = {"base": COLOURS, "other": ["rouge", "vert", "bleu"]}
    num_clients = 3

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        """before: called for each batch of images."""
        self.before, self.made, self.threads = before, [], set()

    def has_trained(self, client: int) -> bool:
        return client != 2

    def classes_of(self, client: int) -> list[str]:
        return [COLOURS[client]]

    def client(self, client: int) -> Colours:
        self.made.append(f"client {client}")
        return self._head(10.0 + client, "other" if client == 2 else None)

    def shared(self, *, among: str | None = None) -> Colours:
        self.made.append(f"shared among {among}")
        return self._head(5.0, among)

    def zero_shot(self, *, among: str | None = None) -> Colours:
        self.made.append(f"zero_shot among {among}")
        return self._head(1.0, among)

    def preprocess(self, image: Image.Image) -> Tensor:
        assert image.mode == "RGB"
        small = np.asarray(image.resize((4, 4)), np.float32) / 255
        return torch.from_numpy(small).permute(2, 0, 1)

    def _head(self, scale: float, among: str | None) -> Colours:
        model = self

        class Watched(Colours):
            def logits(self, images: Tensor) -> Tensor:
                model.threads.add(threading.current_thread().name)
                model.before()
                return super().logits(images)

        return Watched(scale, self.class_sets[among or "base"])


def picture(
    colour: str, kind: str = "PNG", size: tuple[int, int] = (8, 6), **options: object
) -> bytes:
    """Return an image file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, PIXELS[colour]).save(file, kind, **options)
    return file.getvalue()
