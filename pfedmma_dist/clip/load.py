"""open_clip models into FrozenCLIP: by name and tag, from a local file, or with random weights.

The only file that imports open_clip. Its modules give up their tensors here and are then forgotten;
only an image tower that is no plain ViT (a ResNet, a timm model) is kept as a module.
"""

import difflib
import json
import logging
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from pfedmma_dist.clip.freeze import freeze, measure
from pfedmma_dist.clip.model import Dims, FrozenCLIP, Tokenizer
from pfedmma_dist.clip.weights import holds_half, read_weights
from pfedmma_dist.config import CacheMode, ClipConfig

log = logging.getLogger(__name__)


def dims(model: str) -> Dims:
    """Return the sizes of an open_clip model by name, without its weights.

    Raises ValueError where the text tower is no causal transformer pooled at EOT.
    """
    with torch.device("meta"):
        return measure(_module(model, quick_gelu=False))


def load(cfg: ClipConfig, seed: int, device: torch.device) -> FrozenCLIP:
    """Load the CLIP of a configuration onto a device.

    Raises ValueError for an unknown model, tag or file, for weights that do not fit the model, and
    for a text tower that is no causal transformer pooled at EOT.
    """
    dims(cfg.model)  # refuses a text tower before its weights are fetched
    tokenizer = _strict(_tokenizer(cfg.model))
    module = _build(cfg, seed).eval().requires_grad_(False)
    dtype = getattr(torch, cfg.dtype.value)
    return freeze(module, tokenizer, device, dtype, plain=cfg.cache is CacheMode.off)


def _build(cfg: ClipConfig, seed: int) -> nn.Module:
    """Return the open_clip module with its weights, QuickGELU where the weights need it."""
    import open_clip

    named_quick = bool(_model_config(cfg.model).get("quick_gelu", False))
    if cfg.pretrained is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # open_clip initialises from the global generator
            return _module(cfg.model, named_quick)
    path = Path(cfg.pretrained).expanduser()
    if path.is_file():
        state, openai = read_weights(path)
        quick = named_quick or openai
        _say_activation(cfg, named_quick, quick)
        if not quick and holds_half(state):
            log.warning(
                "clip.pretrained: %s holds half-precision numbers, as OpenAI's do; if it is "
                "OpenAI's CLIP in another format, choose the -quickgelu form of clip.model, or all "
                "logits are wrong",
                path,
            )
        return _filled(cfg, path, state, quick)
    tag = open_clip.get_pretrained_cfg(cfg.model, cfg.pretrained)
    if not tag:
        known = open_clip.list_pretrained_tags_by_model(cfg.model)
        raise ValueError(
            f"clip.pretrained: {cfg.pretrained!r} is neither a file nor a tag of {cfg.model}; "
            f"known tags: {', '.join(known) or 'none'}; null means random weights"
        )
    quick = bool(tag.get("quick_gelu", False))
    _say_activation(cfg, named_quick, quick)
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


def _module(model: str, quick_gelu: bool) -> nn.Module:
    """Build an open_clip module without weights."""
    import open_clip

    config = _model_config(model)
    if "multimodal_cfg" in config or "hf_model_name" in config["text_cfg"]:
        raise ValueError(
            f"clip.model: the text tower of {model} is not CLIP's own; choose an OpenAI-style CLIP"
        )
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    try:
        return kind(**{**config, "quick_gelu": quick_gelu})
    except (TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise ValueError(f"clip.model: open_clip cannot build {model}: {error}") from error


def _filled(cfg: ClipConfig, path: Path, state: dict[str, Tensor], quick: bool) -> nn.Module:
    """Return the model with a state dict of open_clip's or OpenAI's key names in it."""
    import open_clip

    module = _module(cfg.model, quick)
    if hasattr(module, "text") and "positional_embedding" in state:
        state = open_clip.model.convert_to_custom_text_state_dict(state)
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ValueError(
            f"clip.pretrained: {path} does not hold the weights of clip.model={cfg.model}: {error}"
        ) from error
    return module


def _say_activation(cfg: ClipConfig, named_quick: bool, quick: bool) -> None:
    if named_quick != quick:
        log.warning(
            "clip.model: %s names %s, but the weights %s were trained with %s; using the latter",
            cfg.model,
            _activation(named_quick),
            cfg.pretrained,
            _activation(quick),
        )


def _activation(quick: bool) -> str:
    return "QuickGELU" if quick else "GELU"


def _model_config(model: str) -> dict:
    """Return a copy of open_clip's configuration of a model."""
    import open_clip

    if model.endswith(".json"):
        return _own_config(Path(model).expanduser())
    known = open_clip.list_models()
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"clip.model: open_clip knows no model {model!r}{hint}")
    return open_clip.get_model_config(model)


def _own_config(path: Path) -> dict:
    """Read a model of the user's own, in the format of open_clip's model_configs/*.json."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"clip.model: {path} cannot be read as JSON: {error}") from error
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(config)
    if missing:
        raise ValueError(f"clip.model: {path} lacks {', '.join(sorted(missing))}")
    for section in ("vision_cfg", "text_cfg"):
        if not isinstance(config[section], dict):
            raise ValueError(f"clip.model: {section} in {path} is no group of sizes")
    if "hf_tokenizer_name" in config["text_cfg"]:
        raise ValueError(f"clip.model: {path} names a tokenizer other than CLIP's own")
    return config


def _tokenizer(model: str) -> Callable:
    import open_clip

    if model.endswith(".json"):
        length = _model_config(model)["text_cfg"].get("context_length", 77)
        return open_clip.SimpleTokenizer(context_length=length)
    try:
        return open_clip.get_tokenizer(model)
    except (ImportError, OSError) as error:
        raise ValueError(
            f"clip.model: the tokenizer of {model} cannot be had: {error}; choose a model with "
            "CLIP's own tokenizer"
        ) from error


def _strict(tokenizer: Callable) -> Tokenizer:
    """Wrap an open_clip tokenizer, which cuts what is too long, into one that refuses it."""

    def tokenize(texts: list[str]) -> Tensor:
        ids = tokenizer(texts)
        whole = tokenizer(texts, context_length=2 * ids.shape[1])[:, : ids.shape[1]]
        for text, cut in zip(texts, (ids != whole).any(dim=1), strict=True):
            if cut:  # its last token gave way to EOT
                raise ValueError(
                    f"data: the prompt {text!r} does not fit the {ids.shape[1]} tokens of the text "
                    "tower; shorten the class name, data.template or the method's context"
                )
        return ids

    return tokenize
