"""Find the tensors of a CLIP in what files wrap them in: dictionaries, and prefixes of names."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pfedmma_dist.clip.formats import Foreign
from pfedmma_dist.spelling import quoted

DEEPEST = 8
"""Dictionaries within dictionaries that are looked into."""

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of names that data parallelism, torch.compile and checkpointing put anywhere into them."""

ONE_ALONE = "save the state dict of one model alone"

USUAL = "state_dict"
"""The dictionary that is read where a file holds several CLIPs, as open_clip does."""

LAYOUTS = (
    ("token_embedding.weight", "visual."),
    ("text.token_embedding.weight", "visual."),
    ("text_model.embeddings.token_embedding.weight", "vision_model."),
)
"""(a name, the beginning of others) that stand behind the prefix of a CLIP."""

TOPS = re.compile(
    r"(visual|text|transformer|token_embedding|positional_embedding|ln_final|text_projection|"
    r"logit_scale|logit_bias|token_ids|input_resolution|context_length|vocab_size|"
    r"vision_model|text_model|visual_projection)(\.|$)"
)
"""Beginnings of the names that a CLIP has; what else stands beside them is not in its towers."""


@dataclass
class Unwrapped:
    """Tensors by name, as far as they are those of one CLIP."""

    state: dict[str, Tensor]
    place: str = ""
    """What stood before all names."""
    beside: list[str] = field(default_factory=list)
    """Names in the same dictionary that are none of a CLIP's."""
    elsewhere: list[str] = field(default_factory=list)
    """Other dictionaries that hold tensors."""


Places = dict[tuple[str, ...], dict[str, Tensor]]
"""Keys that lead to a dictionary -> the tensors in it."""


def unwrap(content: Any) -> Unwrapped | None:
    """Return the CLIP in the content of a file; None where it holds no tensors by names.

    Where none of them are a CLIP's, all are returned, of `state_dict` if there is one. Raises
    Foreign where a file holds several CLIPs.
    """
    places: Places = {}
    _collect(content, (), places, set())
    if not places:
        return None
    found = [(path, prefix) for path, names in places.items() for prefix in _prefixes(names)]
    if not found:
        return Unwrapped(places.get((USUAL,)) or places.get(()) or next(iter(places.values())))
    path, prefix = _only(found)
    state, beside = {}, []
    for name, tensor in places[path].items():
        own = name.removeprefix(prefix)
        if name.startswith(prefix) and TOPS.match(own):
            state[own] = tensor
        else:
            beside.append(name)
    elsewhere = [".".join(other) or "the file itself" for other in places if other != path]
    return Unwrapped(state, ".".join([*path, prefix]).rstrip("."), beside, elsewhere)


def _collect(content: Any, path: tuple[str, ...], places: Places, seen: set[int]) -> None:
    """Gather the tensors of a dictionary and of those in it, each dictionary once."""
    if not isinstance(content, dict) or id(content) in seen or len(path) > DEEPEST:
        return
    seen.add(id(content))
    named = {key: x for key, x in content.items() if isinstance(key, str)}
    tensors: dict[str, Tensor] = {}
    for key, x in named.items():
        if isinstance(x, Tensor):
            name = ".".join(part for part in key.split(".") if part not in WRAPPERS)
            if name in tensors:
                raise Foreign(
                    f"has two tensors {quoted(name)}, told apart by a wrapper alone", ONE_ALONE
                )
            tensors[name] = x
    if tensors:
        places[path] = tensors
    for key, x in named.items():
        _collect(x, (*path, key), places, seen)


def _prefixes(names: Collection[str]) -> list[str]:
    """Return what stands before the names of each CLIP among these."""
    found = []
    for mark, image in LAYOUTS:
        texts = {name.removesuffix(mark) for name in names if name.endswith(mark)}
        images = {name[: name.index(image)] for name in names if image in name}
        found += sorted(one for one in texts & images if not one or one.endswith("."))
    return found


def _only(found: list[tuple[tuple[str, ...], str]]) -> tuple[tuple[str, ...], str]:
    """Return the one CLIP of a file, or that of `state_dict`."""
    usual = [one for one in found if one[0] == (USUAL,)] or found
    if len(usual) > 1:
        places = [quoted(".".join([*path, prefix]).rstrip(".")) for path, prefix in usual]
        raise Foreign(f"holds {len(usual)} CLIPs, under {' and '.join(places[:2])}", ONE_ALONE)
    return usual[0]
