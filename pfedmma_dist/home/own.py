"""Own: what personal_clip.py reads of a head, tensors and facts, by the kind of its method.

A method of another kind, a plugin's too, has its own line here by `own_of.register`, as long as it
answers in one of the ways that personal_clip.py knows: `cosine`, `gate`, `adapter`, `votes`,
`texts`.
"""

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.text_tree import Trees, Wording
from pfedmma_dist.home.head import Head
from pfedmma_dist.methods.clip_adapter import CLIPAdapter
from pfedmma_dist.methods.cocoop import CoCoOp
from pfedmma_dist.methods.fedclip import FedCLIP
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.prompted_images import PromptedImages
from pfedmma_dist.methods.tip_adapter import TipAdapter

COSINE = "cosine"
"""The way of what has class vectors that images are compared with, and no more."""

IDS = "ids"
"""Prompts of a head whose class vectors wait for an image, so that the text tower is needed."""


@dataclass(frozen=True)
class Own:
    """Tensors as personal_clip.py names them, and what export.json says beside them."""

    tensors: dict[str, Tensor]
    answer: str = COSINE
    facts: dict[str, float] = field(default_factory=dict)


@singledispatch
def own_of(method: Method, head: Head) -> Own | None:
    """Return what is a head's own; None where personal_clip.py has no way to answer so."""
    return None


@own_of.register
def _(method: PromptedImages, head: Head) -> Own:
    """Tokens behind the patches, by block."""
    vectors = method.image_vectors(head.params, head.classes)
    tokens = {f"tokens_{block}": own for block, own in vectors.items()}  # [N, k, W]
    return Own({"classes": _grouped(head.classes), **tokens})


@own_of.register
def _(method: PFedMMA, head: Head) -> Own:
    """Adapters beside blocks."""
    own: dict[str, Tensor] = {}
    for level in range(method.options.blocks):
        block = method.adapted(level)
        for part in ("down", "mix", "up"):
            name = f"{part}.{level}" if part == "mix" else f"{part}.{level}.image"
            own[f"{part}_{block}"] = head.params[name][0]
            if method.options.bias:
                own[f"{part}_{block}_bias"] = head.params[f"{name}.bias"][0]
    facts = {"alpha": method.options.alpha}
    return Own({"classes": _grouped(head.classes), **own}, facts=facts)


@own_of.register
def _(method: FedCLIP, head: Head) -> Own:
    """A gate on the image's vector."""
    own = {name.replace(".", "_"): x[0] for name, x in head.params.items()}
    facts = {"feature_norm": method.feature_norm}
    return Own({"classes": _grouped(head.classes), **own}, "gate", facts)


@own_of.register
def _(method: CLIPAdapter, head: Head) -> Own:
    """A net that the image's vector is mixed with."""
    own = {name: x[0] for name, x in head.params.items()}
    return Own({"classes": _grouped(head.classes), **own}, "adapter", {"ratio": method.ratio})


@own_of.register
def _(method: TipAdapter, head: Head) -> Own | None:
    """Images of one's own that vote; None where none does, and the class vectors say all."""
    vectors, voting = head.classes
    which = head.params["values"][0].round().long()  # the class + 1, or 0: no image
    if not voting or not bool(which.any()):
        return None
    labels = which[which > 0] - 1
    votes = labels[:, None] == labels.new_tensor(range(method.num_classes))
    own = {"kept": head.params["keys"][0][which > 0], "votes": votes.float()}
    facts = {"alpha": method.options.alpha, "beta": method.options.beta}
    return Own({"classes": _grouped(vectors), **own}, "votes", facts)


@own_of.register
def _(method: CoCoOp, head: Head) -> Own:
    """A context, the net that shifts it by the image, and the prompts in which it stands."""
    own = {name.replace(".", "_"): x[0] for name, x in head.params.items()}
    text, num_context = head.text, len(own["context"])
    texts = Trees(head.clip, text.names, text.template).texts(Wording(num_context))
    return Own({IDS: head.clip.tokenizer(texts), **own}, "texts")


def _grouped(classes: Any) -> Tensor:
    """Return class vectors [1, C, D], or [1, N, C, D], without the axis of clients."""
    return classes if classes.ndim == 3 else classes[0]
