"""Trained: a run that is done with, as something one can ask: images in, each client's logits out.

    trained = Trained.open("runs/example")
    images = torch.stack([trained.preprocess(Image.open("cat.jpg"))])
    trained.client(7).logits(images)        # [1, C], as `evaluate` would score it
    trained.shared().logits(images)         # what somebody new would be handed
    trained.zero_shot().logits(images)      # the untouched CLIP

A finished run needs no image of its own for that: its folder tells its classes and how many images
each client had (recorded.py). One that is still under way, whose clients are tuned before they are
scored (evaluate.finetune_epochs), or that followed a plan reads its data.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.data.images.files import to_rgb
from pfedmma_dist.data.images.images import Scaling
from pfedmma_dist.data.images.pixels import normalised
from pfedmma_dist.data.sets.registry import read as read_images
from pfedmma_dist.data.sets.registry import sets_of
from pfedmma_dist.divided import divide
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.home.head import (
    Head,
    head_of,
    named_text,
    newcomer_start,
    own_start,
    untouched,
)
from pfedmma_dist.home.opening import opened
from pfedmma_dist.run.folder import RunFolder

log = logging.getLogger(__name__)


class Trained:
    """The clients of a run and its CLIP, to be asked and never trained. `Trained.open` makes it."""

    def __init__(self, federation: Federation, folder: RunFolder, num_rounds: int) -> None:
        """federation: with the state of the run after so many rounds."""
        self.federation, self.folder, self.num_rounds = federation, folder, num_rounds

    @classmethod
    def open(
        cls, run_folder: str | Path, *, device: str = "cpu", words: Sequence[str] = ()
    ) -> "Trained":
        """Return the run in a folder, at its newest checkpoint, or at its best round where
        evaluate.select says so; ValueError in words where that cannot be.

        device: cpu or cuda. words: key=value, of what `evaluate` may change, such as
        data.template="a blurry photo of a {}.".
        """
        folder = RunFolder(run_folder)
        return cls(*opened(folder, device, words))

    @property
    def class_names(self) -> list[str]:
        """The classes of the training softmax; of several data sets, those of all side by side."""
        return list(self.class_sets[self.federation.task.train_classes])

    @property
    def class_sets(self) -> dict[str, list[str]]:
        """The sets in which classes compete, by name: in base-to-novel runs `base` and `novel`."""
        sets = self.federation.task.class_sets
        return {name: list(own.names) for name, own in sets.items()}

    @property
    def num_clients(self) -> int:
        """How many clients the run has, those that never trained included."""
        return self.federation.task.num_clients

    def has_trained(self, client: int) -> bool:
        """Say whether a client took part in a round; else it holds what all began with."""
        known = self.federation.clients.have_trained(np.array([self.checked(client)]))
        return bool(known[0])

    def classes_of(self, client: int) -> list[str]:
        """Return the classes that a client trains on; none where only the images would tell, and
        these are not there."""
        own = self._dealt.get(self.checked(client)) if self._dealt else None
        return own or []

    def client(self, client: int, *, among: str | Sequence[str] | None = None) -> Head:
        """Return the head of a client of the run.

        among: a class set of the run, or names of any classes, in place of those it trained on.
        """
        start = own_start(self.federation, self.checked(client))
        examiner = Examiner(self.federation)
        if examiner.tunes and client in self.federation.seen:
            start = examiner.start(np.array([client]))
        return head_of(self.federation, f"client {client}", start, self._text(client, among))

    def shared(self, *, among: str | Sequence[str] | None = None) -> Head:
        """Return the head of who was never in the run: the shared part, with a private one as every
        client began with."""
        return head_of(
            self.federation, "shared", newcomer_start(self.federation), self._text(0, among)
        )

    def zero_shot(self, *, among: str | Sequence[str] | None = None) -> Head:
        """Return the head of the untouched CLIP."""
        return untouched(self.federation.clip, self._text(0, among))

    def preprocess(self, image: Image.Image) -> Tensor:
        """Return pixels [3, H, H] as the run scores images: shorter side scaled, centre cropped,
        normalised; whatever its EXIF says of its orientation, and whatever is transparent."""
        scaling = self.scaling
        return normalised(to_rgb(image), self.image_size, scaling.mean, scaling.std)

    @property
    def image_size(self) -> int:
        """Pixels per side of what the CLIP reads."""
        return self.federation.clip.dims.image_size

    @property
    def scaling(self) -> Scaling:
        """What pixels are normalised by."""
        clip = self.federation.clip
        (a, b, c), (x, y, z) = clip.mean, clip.std
        usual = Scaling((a, b, c), (x, y, z))
        return self.federation.task.images.scaling or usual

    def _text(self, client: int, among: str | Sequence[str] | None) -> ClassText:
        """Return the text side of the classes that are asked for."""
        federation = self.federation
        if among is None:
            return federation.text_of(np.array([client]))
        if isinstance(among, str):
            if among not in federation.texts:
                known = ", ".join(federation.texts)
                raise ValueError(f"{among!r} is no class set of {self.folder.path}; it has {known}")
            return federation.texts[among]
        return named_text(federation.clip, among, federation.cfg.data.template)

    def checked(self, client: int) -> int:
        """Return the number of a client of the run."""
        if not 0 <= client < self.num_clients:
            raise ValueError(
                f"client {client}: {self.folder.path} has clients 0 to {self.num_clients - 1}; "
                "name one of them, or shared for what all of them share"
            )
        return int(client)

    @cached_property
    def _dealt(self) -> dict[int, list[str]] | None:
        """The classes of every client, if the images of the run can be listed."""
        cfg, task = self.federation.cfg, self.federation.task
        if task.client_classes.members.size == 0:
            try:
                folder = Path(cfg.clip.cache_folder).expanduser()
                images = [read_images(own, cfg.seed, folder) for own in sets_of(cfg.data)]
                dealt = divide(cfg, images)
            except (ValueError, OSError) as error:
                log.info("which classes each client has is not told: %s", error)
                return None
            if not np.array_equal(dealt.train.sizes(), task.train.sizes()):
                log.info("which classes each client has is not told: the images are others by now")
                return None
            task = replace(task, images=dealt.images, client_classes=dealt.client_classes)
        names = task.images.class_names
        clients = range(task.num_clients)
        return {one: [names[label] for label in task.client_classes.rows(one)] for one in clients}
