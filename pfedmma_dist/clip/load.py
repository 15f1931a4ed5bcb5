"""open_clip models into FrozenCLIP: by name and tag, from a file, or with random weights.

The modules of open_clip give up their tensors here and are then forgotten;
only an image tower that is no plain ViT (a ResNet, a timm model) is kept as a module.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pfedmma_dist.clip import catalogue, hub, names, packaged, sizes
from pfedmma_dist.clip.described import read_scaling
from pfedmma_dist.clip.fit import Misfit, fill
from pfedmma_dist.clip.freeze import freeze, measure
from pfedmma_dist.clip.hugging_face import Told
from pfedmma_dist.clip.model import Dims, FrozenCLIP, Tokenizer
from pfedmma_dist.clip.room import weights, within_room
from pfedmma_dist.clip.tokens import restricted, strict
from pfedmma_dist.clip.weights import (
    holds_half,
    need_finite,
    need_readable,
    read_weights,
    take_token_ids,
)
from pfedmma_dist.config.keys import CacheMode, ClipConfig
from pfedmma_dist.spelling import quoted

log = logging.getLogger(__name__)

GIB = 2**30


def dims(model: str) -> Dims:
    """Return the sizes of an open_clip model by name, without its weights.

    Raises ValueError where the text tower is no causal transformer pooled at EOT.
    """
    return measure(_skeleton(model))


def check(cfg: ClipConfig) -> None:
    """Refuse, by a look at names and at the beginning of a file, what `load` would refuse at once.

    Asks no network, and reads no weights.
    """
    if cfg.model.startswith(names.HUB):
        names.need_repository(cfg.model)
    else:
        dims(cfg.model)
    path = _file(cfg, fetch=False)
    if path is not None:
        need_readable(path)
    elif cfg.pretrained is not None and not names.is_folder(cfg.model):
        catalogue.tag(cfg.model, cfg.pretrained)


def load(cfg: ClipConfig, seed: int, device: torch.device) -> FrozenCLIP:
    """Load the CLIP of a configuration onto a device.

    Raises ValueError for an unknown model, tag or file, for weights that do not fit the model, and
    for a text tower that is no causal transformer pooled at EOT.
    """
    module, words = opened(cfg, seed)
    dtype = getattr(torch, cfg.dtype.stored)
    with within_room(device, "the weights", lambda: [weights(module, dtype)]):
        return freeze(module, words, device, dtype, plain=cfg.cache is CacheMode.off)


def opened(cfg: ClipConfig, seed: int) -> tuple[nn.Module, Tokenizer]:
    """Return the module of open_clip with the weights of a configuration, float32 on the CPU, and
    its tokenizer. ValueError as of `load`."""
    skeleton = _skeleton(cfg.model)
    measured = measure(skeleton)  # refuses a text tower before its weights are fetched
    _need_memory(cfg.model, skeleton)
    words = tokenizer(cfg.model)
    path = _file(cfg)
    module: Any  # of open_clip, with attributes that its type does not tell
    if cfg.pretrained is None:
        module = untrained(cfg.model, seed)
    elif path is not None:
        module, stored = _from_file(cfg, path, measured)
        if stored is not None:
            words = restricted(words, stored, packaged.told(path))
    else:
        module = _from_tag(cfg, cfg.pretrained)
    if names.is_folder(cfg.model):
        module.visual.preprocess_cfg = read_scaling(catalogue.description(cfg.model))
        _warn_of_scaling("model", cfg.model, module.visual.preprocess_cfg)
    return module.eval().requires_grad_(False), words


def _file(cfg: ClipConfig, *, fetch: bool = True) -> Path | None:
    """Return the file that weights are read from; None for open_clip's tags and random weights.

    fetch: whether a repository's may be fetched, or is None until then.
    """
    path = packaged.find(cfg.model, cfg.pretrained)
    if path is not None or cfg.pretrained is None or not names.is_folder(cfg.model):
        return path
    if cfg.pretrained != ClipConfig().pretrained:
        raise ValueError(
            f"clip.pretrained: {quoted(cfg.pretrained)} is no file; beside clip.model={cfg.model} "
            "leave it out for the weights that lie there, or give a file, or null"
        )
    if cfg.model.startswith(names.HUB):
        return hub.weights(cfg.model) if fetch else None
    folder = catalogue.description(cfg.model).parent
    found = names.weights_in(folder)
    if found is None:
        raise ValueError(
            f"clip.model: {folder} has no file of weights of a usual name, such as "
            f"{names.WEIGHTS[0]}, or several; name it in clip.pretrained"
        )
    if fetch:
        log.info("clip.model: the weights of %s are those of %s", cfg.model, found)
    return found


def _skeleton(model: str) -> nn.Module:
    """Return an open_clip module whose tensors have sizes but no numbers, to be looked at alone."""
    return _built(model, json.dumps(catalogue.config(model), sort_keys=True))


@lru_cache(maxsize=8)
def _built(model: str, description: str) -> nn.Module:
    """Build it: a start asks three times, and that is 0.1 s. description: it may have changed."""
    with torch.device("meta"):
        return catalogue.module(model, quick_gelu=False)


def _need_memory(model: str, skeleton: nn.Module) -> None:
    """Refuse a model that is larger than this host, before any of it is allocated."""
    count = sum(x.numel() for x in skeleton.parameters())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 4 * count > memory:
        raise ValueError(
            f"clip.model: {model} has {count:,} numbers, {4 * count / GIB:,.0f} GiB in float32, "
            f"and this host has {memory / GIB:,.0f} GiB of memory; choose a smaller model"
        )


def untrained(model: str, seed: int) -> nn.Module:
    """Return an open_clip module with open_clip's own random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # open_clip initialises from the global generator
        return catalogue.module(model, catalogue.names_quick(model))


def tokenizer(model: str) -> Tokenizer:
    """Return the tokenizer of a model, which refuses texts that are too long."""
    return strict(catalogue.tokenizer(model))


def _from_file(cfg: ClipConfig, path: Path, measured: Dims) -> tuple[nn.Module, Tensor | None]:
    """Return (module, ids of the tokens it knows, or None: all) with the weights of a file."""
    state, told = read_weights(path)
    stored = take_token_ids(state, path)
    quick = catalogue.names_quick(cfg.model) if told.quick_gelu is None else told.quick_gelu
    # A tower kept as a module has buffers of its own; of all others the file gives every tensor.
    with torch.device("cpu" if measured.why_no_image_tower else "meta"):
        module = catalogue.module(cfg.model, quick, None if stored is None else len(stored))
    module = _filled(cfg, path, state, told, module)
    _say_activation(cfg, quick)
    if told.quick_gelu is None and told.by_transformers:
        log.warning(
            "clip.pretrained: %s has transformers' names, and no config.json beside it that tells "
            "its activation: %s is taken from clip.model; OpenAI's weights need QuickGELU "
            "(the -quickgelu form of clip.model), or all logits are wrong",
            path, _activation(quick),
        )  # fmt: skip
    elif told.quick_gelu is None and not quick and stored is None and holds_half(state):
        log.warning(
            "clip.pretrained: %s holds half-precision numbers, as OpenAI's do; if it is "
            "OpenAI's CLIP in another format, choose the -quickgelu form of clip.model, or all "
            "logits are wrong",
            path,
        )
    return module, stored


def _from_tag(cfg: ClipConfig, pretrained: str) -> nn.Module:
    """Return the module with weights that open_clip knows by a tag."""
    told = catalogue.tag(cfg.model, pretrained)
    quick = bool(told.get("quick_gelu", False))
    _say_activation(cfg, quick)
    _warn_of_scaling("pretrained", pretrained, told)
    module = catalogue.from_tag(cfg.model, pretrained, quick)
    need_finite(f"{cfg.model}/{pretrained}", module.state_dict())
    return module


def _warn_of_scaling(key: str, which: str, told: Mapping[str, Any]) -> None:
    scaled = told.get("interpolation") or "bicubic", told.get("resize_mode") or "shortest"
    if scaled != ("bicubic", "shortest"):
        log.warning(
            "clip.%s: %s was trained on images scaled otherwise (%s, %s) than here: "
            "bicubic, shorter side, centre crop; expect scores below the published ones",
            key,
            which,
            *scaled,
        )


def _filled(
    cfg: ClipConfig, path: Path, state: dict[str, Tensor], told: Told, module: nn.Module
) -> nn.Module:
    """Return the module with a state dict of open_clip's or OpenAI's key names in it."""
    try:
        fill(module, state, told, path)
    except Misfit as error:
        found = sizes.of_tensors(state)
        remedy = error.remedy or "choose the clip.model that they are of, or other weights"
        what = f"it {error}"
        if re.search(r"-\d{5}-of-\d{5}\.", path.name):
            what, remedy = "it is one shard of several", "give the .index.json that lists them"
        elif re.fullmatch(r"round_\d+", path.parent.name):
            what, remedy = "it is part of a checkpoint of this program", "give a CLIP's weights"
        elif found is not None and found != sizes.of_config(catalogue.config(cfg.model)):
            near = sizes.models(found, catalogue.plain_models(), catalogue.names_quick(cfg.model))
            what = (
                f"its sizes are those of {near[0] if near else f'no model of open_clip: {found}'}"
            )
            remedy = f"set clip.model={near[0]}" if near else remedy
        raise ValueError(
            f"clip.pretrained: {path} does not hold the weights of clip.model={cfg.model}: {what}; "
            f"{remedy}"
        ) from error
    return module


def _say_activation(cfg: ClipConfig, quick: bool) -> None:
    if catalogue.names_quick(cfg.model) != quick:
        log.warning(
            "clip.model: %s names %s, but the weights %s were trained with %s; using the latter",
            cfg.model,
            _activation(not quick),
            cfg.pretrained,
            _activation(quick),
        )


def _activation(quick: bool) -> str:
    return "QuickGELU" if quick else "GELU"
