"""Answers: what a client, zero-shot CLIP and the global model say about images."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from pfedmma_dist.spelling import quoted

SHARED, ZERO_SHOT = "shared", "zero-shot"
"""Who may be asked in place of a client, by the word for it."""

HEADINGS = {SHARED: "global model", ZERO_SHOT: "zero-shot CLIP"}

KEPT = 16
"""Clients whose classes stay encoded; those of another are encoded anew, which takes a moment."""


class Head(Protocol):
    """What classifies images among the classes of a run, or of one of its data sets."""

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of the logits."""
        ...

    def logits(self, images: Tensor) -> Tensor:
        """Return [N, C] float32 for preprocessed images [N, 3, H, W]."""
        ...


class Model(Protocol):
    """What is asked of a trained run."""

    @property
    def class_names(self) -> list[str]:
        """The classes that the run was trained on."""
        ...

    @property
    def class_sets(self) -> dict[str, list[str]]:
        """The sets in which classes compete, by name."""
        ...

    @property
    def num_clients(self) -> int:
        """How many clients there are."""
        ...

    def has_trained(self, client: int) -> bool:
        """Say whether a client took part in a round."""
        ...

    def classes_of(self, client: int) -> list[str]:
        """Return the names of a client's own classes; none where nothing tells them."""
        ...

    def client(self, client: int) -> Head:
        """Return the model of one client."""
        ...

    def shared(self, *, among: str | None = None) -> Head:
        """Return what a newcomer is handed. among: a name of class_sets."""
        ...

    def zero_shot(self, *, among: str | None = None) -> Head:
        """Return CLIP as it was before the run. among: a name of class_sets."""
        ...

    def preprocess(self, image: Image.Image) -> Tensor:
        """Return an RGB image as [3, H, W], as the run's own images are scored."""
        ...


@dataclass(frozen=True)
class Guess:
    """A class, and how probable it is by the softmax of the logits."""

    name: str
    probability: float


Answer = dict[str, list[Guess]]
"""Who was asked ("7", "zero-shot", "shared") -> the most probable classes, best first."""


class Panel:
    """Asks the client in question, zero-shot CLIP and the global model, all among the same classes.

    For one thread.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._heads: OrderedDict[str, dict[str, Head]] = OrderedDict()  # least lately asked first

    def ask(self, images: Sequence[Tensor], asked: str, top: int) -> list[Answer]:
        """Return an answer for each preprocessed image [3, H, W].

        asked: a client's number, SHARED or ZERO_SHOT. top: classes at most.
        """
        batch = torch.stack(list(images))
        found = {word: ranked(word, head, batch, top) for word, head in self.heads(asked).items()}
        return [dict(zip(found, each, strict=True)) for each in zip(*found.values(), strict=True)]

    def heads(self, asked: str) -> dict[str, Head]:
        """Return who is asked, the one in question first. Made before, or in place of others."""
        if asked not in self._heads:
            self._heads[asked] = self._made(asked)
        self._heads.move_to_end(asked)
        if len(self._heads) > KEPT:
            self._heads.popitem(last=False)
        return self._heads[asked]

    def _made(self, asked: str) -> dict[str, Head]:
        model = self.model
        if asked in HEADINGS:
            heads = {SHARED: model.shared(), ZERO_SHOT: model.zero_shot()}
            return {asked: heads.pop(asked), **heads}
        own = model.client(int(asked))
        heads = {ZERO_SHOT: model.zero_shot(), SHARED: model.shared()}
        if heads[SHARED].class_names != own.class_names:  # the client is of another data set
            among = _set_of(own, model)
            heads = {ZERO_SHOT: model.zero_shot(among=among), SHARED: model.shared(among=among)}
        return {asked: own, **heads}


def _set_of(head: Head, model: Model) -> str:
    """Return the name of the class set that a head chooses from."""
    [*found] = (name for name, own in model.class_sets.items() if own == head.class_names)
    assert found, head.class_names
    return found[0]


@torch.no_grad()
def ranked(word: str, head: Head, images: Tensor, top: int) -> list[list[Guess]]:
    """Return the most probable classes of each image; of equal ones, the first comes first."""
    logits = head.logits(images).cpu()
    if not logits.isfinite().all():
        raise ValueError(
            f"{heading(word)} gives logits that are not finite; its numbers are damaged, or the "
            "run diverged: see its metrics.csv, and train it again"
        )
    probabilities = logits.double().softmax(dim=1)
    order = probabilities.argsort(dim=1, descending=True, stable=True)[:, :top]
    values = probabilities.gather(1, order)
    return [
        [Guess(head.class_names[index], value) for index, value in zip(*each, strict=True)]
        for each in zip(order.tolist(), values.tolist(), strict=True)
    ]


def heading(word: str) -> str:
    """Return who was asked, for people."""
    return HEADINGS.get(word, f"client {word}")


def percent(probability: float) -> str:
    """Return a probability for people: what is not certain never reads as if it were."""
    if probability < 0.001:
        return "< 0.1"
    return "> 99.9" if probability > 0.999 else f"{100 * probability:.1f}"


def told(answer: Answer) -> dict[str, list[dict[str, object]]]:
    """Return an answer for programs."""
    return {
        word: [{"class": one.name, "probability": one.probability} for one in guesses]
        for word, guesses in answer.items()
    }


def checked(word: str, model: Model, key: str) -> str:
    """Return who is asked as it is spelled here; ValueError, naming `key`, where nobody is."""
    name = word.strip().lower().replace("_", "-")
    if name in HEADINGS:
        return name
    last = model.num_clients - 1
    if not (name.isascii() and name.isdecimal() and len(name) <= len(str(last)) + 9):
        raise ValueError(
            f"{key}: {quoted(word)} is no client; give a number from 0 to {last}, {SHARED} or "
            f"{ZERO_SHOT}"
        )
    if int(name) > last:
        raise ValueError(f"{key}: there is no client {int(name)}; the run has 0 to {last}")
    return str(int(name))
