'''What a federated method is: a declaration, and functions over a cohort of clients.

A method says which numbers a client trains (`specs`), which frozen features it reads (`images`) and
what crosses the network (`exchange`). It owns no loop, no optimiser and no state: `classes` and
`logits` are functions of their arguments, with a leading axis G over the clients of a cohort. No
term may join two clients of that axis; the contract test runs every method at G = 3 and G = 1 and
compares.

All else has a default. Once a run a method is asked for `frozen` values, the `template` of a
client's row and the `exchange`; once a client what its own images `begin` in that row; whenever a
row is taken up, what the client's number says of it (`deal`); once a round to `prepare` what was
downloaded, and which parts are `resting`; at each training step to `draw` what is random, then for
`classes`, what it does `see` of images, `logits`, a `penalty`, which sees the whole step, and a
loss that its steps yield to (`against`); and behind the last to `pick` what is sent. Scores ask for
`classes` once per client and class set, then to `see` images and for `logits`. A method with a part
per class takes a third argument, `num_classes` of the training softmax; other classes
(`text.is_trained` is false) have no such part and fall back to what all have, such as `text.plain`;
`num_images` is how many training images the largest client has, `num_rounds` the run's rounds. A
method that takes no step `counts`: where it shares anything, it makes `statistics` of its images.

A whole toy method, one bias per class on top of the untouched CLIP, averaged by the server:

    @dataclass(kw_only=True)
    class BiasOptions:
        """None."""

    class Bias(Method):
        """Bias: one logit bias per class on top of zero-shot CLIP."""

        name = "bias"
        Options = BiasOptions

        def __init__(self, options, dims, num_classes=50):
            self.specs = (ParamSpec("bias", (num_classes,), zeros, shared=True),)

        def classes(self, params, prepared, text):
            bias = params["bias"] if text.is_trained else torch.zeros(1, len(text.names))
            return text.plain[None], bias.to(text.plain)              # [1, C, D], [G, C]

        def logits(self, params, classes, images, clip):
            vectors, bias = classes
            final = encode(clip, images, self.images)                 # [G, B, D]
            return clip.scale * final @ vectors.mT + bias[:, None]
'''

import inspect
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.kinds import Kinds, Read
from pfedmma_dist.clip.low_rank import Inside, nothing_inside
from pfedmma_dist.clip.model import FINAL, Dims, FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.prompted import Prompted, unprompted
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.clip.tower import Branch
from pfedmma_dist.exchange import Exchange
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.gathered import Gathered
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.methods.step import Step
from pfedmma_dist.params import Layout, ParamSpec, drawn
from pfedmma_dist.rng import Key

Values = dict[str, Tensor]


class Method:
    """The defaults of a method: reads final image features, trains nothing, averages what is
    shared. The functions stand in the order in which they are called."""

    name: ClassVar[str]
    """As written in `method.name` and in the tables."""
    Options: ClassVar[type]
    """kw_only dataclass of the method's own configuration keys."""
    first_round_all: ClassVar[bool] = False
    """Whether the published protocol trains every client in round 0, whatever the fraction."""
    neutral: tuple[str, ...] = ()
    """First words of the names of parameters at whose zero the method is zero-shot CLIP, whatever
    the others are; none where what it trains stands in place of something of CLIP's."""
    specs: tuple[ParamSpec, ...] = ()
    images: Kinds = FINAL
    """What is read of an image; of a tuple of kinds `see` is handed a tuple, in that order."""
    goes_on: bool = True
    """Whether clients start from the mean of what was sent, and what they send goes on from there:
    what corrections of it fit alone, and all that keeps or adds up moves."""
    counts: bool = False
    """Whether a round takes no step: `statistics` of a client's images stand in its place."""
    dealt: tuple[int, ...] = (0,)
    """What client k has entry k mod n of, where not all begin with the same: a rank, a length."""
    most_images: ClassVar[int | None] = None
    """Training images of all clients that the sums of `statistics` hold, if there is a limit."""

    def __init__(self, options: Any, dims: Dims) -> None:
        """options: an instance of `Options`. dims: the sizes of the CLIP; no weights are needed."""

    @classmethod
    def build(
        cls, options: Any, dims: Dims, num_classes: int, num_images: int, num_rounds: int
    ) -> "Method":
        """Return the method for a training softmax of so many classes, clients of so many training
        images at most, and a run of so many rounds; most ask for none of these."""
        sizes = {"num_classes": num_classes, "num_images": num_images, "num_rounds": num_rounds}
        asked = inspect.signature(cls.__init__).parameters
        return cls(options, dims, **{name: n for name, n in sizes.items() if name in asked})

    def frozen(self, seed: int, clip: FrozenCLIP) -> dict[str, Tensor]:
        """Return the values of what `specs` freeze: their draws, unless a method takes something of
        the CLIP's own."""
        return drawn(self.specs, seed)

    def check_names(self, names: Collection[str]) -> None:
        """Refuse, before an image is encoded, names of any class set that it cannot serve."""

    def template(self, layout: Layout, seed: int, clip: FrozenCLIP) -> Tensor:
        """Return the row [P + S] that every client starts from: the draws of `specs`, unless a
        method starts from something of the CLIP's own."""
        return layout.template(seed)

    def num_trained(self, layout: Layout) -> int:
        """Return how many numbers a client trains: none where it counts."""
        return 0 if self.counts else sum(spec.size for spec in layout.specs if spec.lr_scale)

    def exchange(
        self, layout: Layout, template: Tensor, seed: int, server: Server | None = None
    ) -> Exchange:
        """Return what crosses the network; `template` [P + S] is where every client starts, `seed`
        the run's, `server` the rule that is applied to the mean (None: none)."""
        kind = Gathered if server is not None and server.sees_uploads else Average
        return kind(template[layout.num_private :], server)

    def prepare(self, extra: Any, text: ClassText) -> Any:
        """Turn what was downloaded beside the shared part into what `classes` reads.

        Called once per cohort and round, without gradients.
        """
        return None

    def resting(self, prepared: Any, round_index: int) -> dict[str, Tensor]:
        """Return, by name, the clients [G] bool whose parameter sits this round out, or which of
        its numbers do [G, *shape], or one row for all: they keep their bits, decay included."""
        return {}

    def draw(self, prepared: Any, keys: Sequence[Key]) -> Any:
        """Add to `prepared` what is random in a training step; scores draw nothing.

        keys: one per client of the cohort. `key.generator(purpose)` is a function of seed, round,
        client and step alone, so that a resumed run draws the same.
        """
        return prepared

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Any:
        """Return the class side, for instance unit vectors [G, C, D].

        Called at every training step, but once per client in evaluation: what depends on the client
        and on the classes alone belongs here. params: {name: [G, *shape]}.
        """
        raise TypeError(f"{type(self).__name__} does not say how classes look")

    def see(self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP) -> Any:
        """Return what `logits` and `penalty` make of image features [G, B, *record_shape], where
        both need it: it is made once a step. Unless a method says otherwise, the features."""
        return images

    def logits(
        self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP
    ) -> Tensor:
        """Return logits [G, B, C] of images as the method does `see` them."""
        return cosine_logits(encode(clip, images, self.images), classes, clip.scale)

    def representation(
        self, params: dict[str, Tensor], classes: Any, images: Any, clip: FrozenCLIP
    ) -> Tensor:
        """Return what training moves, as vectors to compare: [G, B, n, D] of each image, or
        [G, 1, n, D] where images do not matter. Where it is left out, no MOON."""
        raise TypeError(f"{type(self).__name__} does not say what training moves")

    @property
    def represents(self) -> bool:
        """Whether it says what training moves."""
        return type(self).representation is not Method.representation

    def penalty(self, params: dict[str, Tensor], classes: Any, step: Step) -> Tensor | None:
        """Return a term [G] to add to each client's cross-entropy in training, or None.

        It may read the images of the step, their labels and logits, and zero-shot CLIP's logits.
        """
        return None

    yields: float = 1.0
    """How much of a gradient that points against that of `against` is taken out."""

    def against(self, params: dict[str, Tensor], classes: Any, step: Step) -> Tensor | None:
        """Return a second loss [G] that no step may raise, or None.

        Of the gradient of a client's loss, for each of its tensors, what points against the
        gradient of this one is taken out, by `yields`; the second loss is not added to the first.
        """
        return None

    def pick(self, before: Values, after: Values, places: Values, keys: Sequence[Key]) -> None:
        """Choose what clients send that have trained: `places` [G, *shape], which number of a row
        is to stand where, is permuted in place; before, after: the rows as handed and as left."""

    def statistics(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return sums [Q] int64 over images [n, D], unit vectors, and labels [n] int64, where
        `counts` says so.

        Each image is rounded to whole numbers before any sum, so that the sum over all images has
        the same bits however they are dealt. It goes to the exchange where anything is shared.
        """
        raise TypeError(f"{type(self).__name__} does not count")

    def deal(self, params: dict[str, Tensor], clients: np.ndarray) -> None:
        """Set, in place, what the numbers of clients [G] alone decide of their parameters: to the
        same, whenever their rows are taken up."""

    def begin(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return, by name, private parameters of a client that its own training images [n, D], unit
        vectors, and labels [n] int64 make, before its first round; others start as all do."""
        return {}

    @property
    def begins(self) -> bool:
        """Whether clients start from their own images."""
        return type(self).begin is not Method.begin


def at_least_one(options: Any, *names: str) -> None:
    """Refuse options that count something and are below 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"method.{name}: {getattr(options, name)}; set 1 or more")


def encode(
    clip: FrozenCLIP,
    images: Read,
    kind: Kinds,
    branch: Branch | None = None,
    inside: Inside = nothing_inside,
    prompts: Prompted = unprompted,
) -> Tensor:
    """Map image features [G, B, *record_shape] to unit vectors [G, B, D], or, where these are of
    patches, [G, B, M, D]. Where a method reads several kinds, each is encoded alone."""
    assert isinstance(images, Tensor) and isinstance(kind, ImageFeatures), kind
    encoded = clip.encode_image(images.flatten(0, 1), kind, branch, inside, prompts)
    return encoded.unflatten(0, images.shape[:2])


def cosine_logits(
    images: Tensor,  # [G, B, D] unit vectors
    classes: Tensor,  # [G, C, D] unit vectors
    scale: float,
) -> Tensor:
    """Return scaled cosine similarities [G, B, C]."""
    return scale * torch.matmul(images, classes.mT)
