"""open_clip models into FrozenCLIP: by name and tag, from a file, or with random weights.

The only file that imports open_clip. Its modules give up their tensors here and are then forgotten;
only an image tower that is no plain ViT (a ResNet, a timm model) is kept as a module.
"""

import difflib
import logging
import os
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from pfedmma_dist.clip import packaged
from pfedmma_dist.clip.described import read_description
from pfedmma_dist.clip.freeze import freeze, measure
from pfedmma_dist.clip.model import Dims, FrozenCLIP, Tokenizer
from pfedmma_dist.clip.tokens import restricted, strict
from pfedmma_dist.clip.weights import holds_half, read_weights, take_token_ids
from pfedmma_dist.config.keys import CacheMode, ClipConfig

log = logging.getLogger(__name__)

GIB = 2**30


def dims(model: str) -> Dims:
    """Return the sizes of an open_clip model by name, without its weights.

    Raises ValueError where the text tower is no causal transformer pooled at EOT.
    """
    return measure(_skeleton(model))


def load(cfg: ClipConfig, seed: int, device: torch.device) -> FrozenCLIP:
    """Load the CLIP of a configuration onto a device.

    Raises ValueError for an unknown model, tag or file, for weights that do not fit the model, and
    for a text tower that is no causal transformer pooled at EOT.
    """
    skeleton = _skeleton(cfg.model)
    sizes = measure(skeleton)  # refuses a text tower before its weights are fetched
    _need_memory(cfg.model, skeleton)
    words = tokenizer(cfg.model)
    path = packaged.find(cfg.model, cfg.pretrained)
    if cfg.pretrained is None:
        module = untrained(cfg.model, seed)
    elif path is not None:
        module, stored = _from_file(cfg, path, sizes)
        if stored is not None:
            words = restricted(words, stored, packaged.told(path))
    else:
        module = _from_tag(cfg)
    module.eval().requires_grad_(False)
    dtype = getattr(torch, cfg.dtype.value)
    return freeze(module, words, device, dtype, plain=cfg.cache is CacheMode.off)


def _skeleton(model: str) -> nn.Module:
    """Return an open_clip module whose tensors have sizes but no numbers."""
    with torch.device("meta"):
        return _module(model, quick_gelu=False)


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
        return _module(model, _names_quick(model))


def tokenizer(model: str) -> Tokenizer:
    """Return the tokenizer of a model, which refuses texts that are too long."""
    return strict(_tokenizer(model))


def _from_file(cfg: ClipConfig, path: Path, sizes: Dims) -> tuple[nn.Module, Tensor | None]:
    """Return (module, ids of the tokens it knows, or None: all) with the weights of a file."""
    state, openai = read_weights(path)
    stored = take_token_ids(state, path)
    quick = _names_quick(cfg.model) or openai
    _say_activation(cfg, quick)
    if not quick and stored is None and holds_half(state):
        log.warning(
            "clip.pretrained: %s holds half-precision numbers, as OpenAI's do; if it is "
            "OpenAI's CLIP in another format, choose the -quickgelu form of clip.model, or all "
            "logits are wrong",
            path,
        )
    # A tower kept as a module has buffers of its own; of all others the file gives every tensor.
    with torch.device("cpu" if sizes.why_no_image_tower else "meta"):
        module = _module(cfg.model, quick, None if stored is None else len(stored))
    return _filled(cfg, path, state, module), stored


def _from_tag(cfg: ClipConfig) -> nn.Module:
    """Return the module with weights that open_clip knows by a tag."""
    import open_clip

    tag = open_clip.get_pretrained_cfg(cfg.model, cfg.pretrained)
    if not tag:
        known = packaged.WEIGHTS.get(cfg.model) or open_clip.list_pretrained_tags_by_model(
            cfg.model
        )
        raise ValueError(
            f"clip.pretrained: {cfg.pretrained!r} is neither a file nor a tag of {cfg.model}; "
            f"known tags: {', '.join(known) or 'none'}; null means random weights"
        )
    quick = bool(tag.get("quick_gelu", False))
    _say_activation(cfg, quick)
    scaled = tag.get("interpolation") or "bicubic", tag.get("resize_mode") or "shortest"
    if scaled != ("bicubic", "shortest"):
        log.warning(
            "clip.pretrained: %s was trained on images scaled otherwise (%s, %s) than here: "
            "bicubic, shorter side, centre crop; expect scores below the published ones",
            cfg.pretrained,
            *scaled,
        )
    try:
        _find_hub(tag)
        # the first spares a warning, the second also turns QuickGELU off
        how = {"force_quick_gelu": quick, "quick_gelu": quick}
        return open_clip.create_model(cfg.model, pretrained=cfg.pretrained, **how)
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"clip.pretrained: the weights of {cfg.model}/{cfg.pretrained} could not be fetched "
            f"({error}); without a network give the path of a local file, or null for random "
            "weights"
        ) from error


def _find_hub(tag: dict) -> None:
    """Raise OSError at once where weights lie neither in the hub's cache nor within reach.

    The hub's own client would first try again for 47 s (measured without a network).
    """
    from huggingface_hub import constants

    repository = tag.get("hf_hub", "").rpartition("/")[0].replace("/", "--")
    cached = Path(constants.HF_HUB_CACHE).glob(f"models--{repository}/snapshots/*/*")
    if repository and not any(cached) and not urllib.request.getproxies():
        hub = urlsplit(constants.ENDPOINT)
        socket.create_connection((hub.hostname, hub.port or 443), timeout=5).close()


def _module(model: str, quick_gelu: bool, num_tokens: int | None = None) -> nn.Module:
    """Build an open_clip module without weights.

    num_tokens: rows of its token embedding, where not all are stored; the last is the end of text.
    """
    import open_clip

    config = _model_config(model)
    if "multimodal_cfg" in config or "hf_model_name" in config["text_cfg"]:
        raise ValueError(
            f"clip.model: the text tower of {model} is not CLIP's own; choose an OpenAI-style CLIP"
        )
    if num_tokens is not None:
        config["text_cfg"] |= {"vocab_size": num_tokens, "eos_id": num_tokens - 1}
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    try:
        return kind(**{**config, "quick_gelu": quick_gelu})
    except (TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise ValueError(f"clip.model: open_clip cannot build {model}: {error}") from error


def _filled(cfg: ClipConfig, path: Path, state: dict[str, Tensor], module: nn.Module) -> nn.Module:
    """Return the module with a state dict of open_clip's or OpenAI's key names in it."""
    import open_clip

    if hasattr(module, "text") and "positional_embedding" in state:
        state = open_clip.model.convert_to_custom_text_state_dict(state)
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ValueError(
            f"clip.pretrained: {path} does not hold the weights of clip.model={cfg.model}: "
            f"{str(error)[:300]}"
        ) from error
    return module


def _names_quick(model: str) -> bool:
    return bool(_model_config(model).get("quick_gelu", False))


def _say_activation(cfg: ClipConfig, quick: bool) -> None:
    if _names_quick(cfg.model) != quick:
        log.warning(
            "clip.model: %s names %s, but the weights %s were trained with %s; using the latter",
            cfg.model,
            _activation(not quick),
            cfg.pretrained,
            _activation(quick),
        )


def _activation(quick: bool) -> str:
    return "QuickGELU" if quick else "GELU"


def _model_config(model: str) -> dict:
    """Return a copy of open_clip's configuration of a model."""
    import open_clip

    if _is_described(model):
        return read_description(packaged.MODELS.get(model) or Path(model).expanduser())
    known = [*open_clip.list_models(), *packaged.MODELS]
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"clip.model: open_clip knows no model {model!r}{hint}")
    return open_clip.get_model_config(model)


def _is_described(model: str) -> bool:
    """Say whether a model has a .json of its own, outside open_clip's list."""
    return model in packaged.MODELS or model.endswith(".json")


def _tokenizer(model: str) -> Callable:
    import open_clip

    if _is_described(model):
        length = _model_config(model)["text_cfg"].get("context_length", 77)
        return open_clip.SimpleTokenizer(context_length=length)
    try:
        return open_clip.get_tokenizer(model)
    except (ImportError, OSError) as error:
        raise ValueError(
            f"clip.model: the tokenizer of {model} cannot be had: {error}; choose a model with "
            "CLIP's own tokenizer"
        ) from error
