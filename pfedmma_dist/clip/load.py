"""open_clip models into FrozenCLIP: by name and tag, from a local file, or with random weights.

The only file that imports open_clip. Its modules give up their tensors here and are then forgotten;
only an image tower that is no plain ViT (a ResNet, a timm model) is kept as a module.
"""

import copy
import difflib
import json
import logging
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.model import Dims, FrozenCLIP, Tokenizer
from pfedmma_dist.config import CacheMode, ClipConfig

log = logging.getLogger(__name__)

OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")
"""Entries of OpenAI's published archives that no other checkpoint has."""


def dims(model: str) -> Dims:
    """Return the sizes of an open_clip model by name, without building it."""
    config = _model_config(model)
    vision, text = config["vision_cfg"], config["text_cfg"]
    sizes = {
        "embed_dim": config["embed_dim"],
        "image_size": vision.get("image_size", 224),
        "text_width": text.get("width", 512),
        "text_blocks": text.get("layers", 12),
    }
    if "timm_model_name" in vision or not isinstance(vision.get("layers", 12), int):
        return Dims(**sizes, why_no_image_tower="is no Vision Transformer")
    return Dims(
        **sizes,
        image_width=vision.get("width", 768),
        image_blocks=vision.get("layers", 12),
        num_patches=(sizes["image_size"] // vision.get("patch_size", 16)) ** 2,
    )


def load(cfg: ClipConfig, seed: int, device: torch.device) -> FrozenCLIP:
    """Load the CLIP of a configuration onto a device.

    Raises ValueError for an unknown model, tag or file, for weights that do not fit the model, and
    for a text tower that is no causal transformer pooled at EOT.
    """
    module = _build(cfg, seed).eval().requires_grad_(False)
    tokenizer = _strict(_tokenizer(cfg.model))
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
        if not quick and all(torch.equal(v, v.half().float()) for v in state.values()):
            log.warning(
                "clip.pretrained: %s holds half-precision numbers, as OpenAI's do; if it is "
                "OpenAI's CLIP in another format, set clip.model=%s-quickgelu, or all logits are "
                "wrong",
                path,
                cfg.model,
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
    try:
        return open_clip.create_model(cfg.model, pretrained=cfg.pretrained, quick_gelu=quick)
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"clip.pretrained: the weights of {cfg.model}/{cfg.pretrained} could not be fetched "
            f"({error}); without a network give the path of a local file, or null for random "
            "weights"
        ) from error


def _module(model: str, quick_gelu: bool) -> nn.Module:
    """Build an open_clip module without weights."""
    import open_clip

    config = _model_config(model)
    if "multimodal_cfg" in config:
        raise ValueError(f"clip.model: {model} is a CoCa model; choose an OpenAI-style CLIP")
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    return kind(**{**config, "quick_gelu": quick_gelu})


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


def read_weights(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return (state dict in float32, whether it is OpenAI's archive).

    Reads safetensors, TorchScript archives, and what torch's weights-only reader accepts: tensors,
    no other pickled object.
    """
    openai = False
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        elif _is_torchscript(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # OpenAI publishes TorchScript alone
                state, openai = torch.jit.load(str(path), map_location="cpu").state_dict(), True
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, UnpicklingError, EOFError) as error:
        raise ValueError(f"clip.pretrained: {path} cannot be read as weights: {error}") from error
    state = dict(state.get("state_dict", state))
    state = {key.removeprefix("module."): value for key, value in state.items()}
    openai = openai or all(mark in state for mark in OPENAI_MARKS)
    return {key: x.float() for key, x in state.items() if key not in OPENAI_MARKS}, openai


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


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
    config = open_clip.get_model_config(model)
    if config is None:
        near = difflib.get_close_matches(model, open_clip.list_models(), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"clip.model: open_clip knows no model {model!r}{hint}")
    return copy.deepcopy(config)


def _own_config(path: Path) -> dict:
    """Read a model of the user's own, in the format of open_clip's model_configs/*.json."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"clip.model: {path} cannot be read as JSON: {error}") from error
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - config.keys()
    if missing:
        raise ValueError(f"clip.model: {path} lacks {', '.join(sorted(missing))}")
    return config


def _tokenizer(model: str) -> Callable:
    import open_clip

    if model.endswith(".json"):
        length = _model_config(model)["text_cfg"].get("context_length", 77)
        return open_clip.SimpleTokenizer(context_length=length)
    return open_clip.get_tokenizer(model)


def _strict(tokenizer: Callable) -> Tokenizer:
    """Wrap an open_clip tokenizer, which cuts what is too long, into one that refuses it."""

    def tokenize(texts: list[str]) -> Tensor:
        ids = tokenizer(texts)
        longer = tokenizer(texts, context_length=2 * ids.shape[1])
        for text, has_more in zip(texts, (longer[:, ids.shape[1] :] != 0).any(dim=1), strict=True):
            if has_more:
                raise ValueError(
                    f"data: the prompt {text!r} does not fit the {ids.shape[1]} tokens of the text "
                    "tower; shorten the class name, data.template or the method's context"
                )
        return ids

    return tokenize
