"""open_clip's models: their sizes, modules, tokenizers and tags, by name or from a description.

The only file that imports open_clip, and where it is asked: it takes seconds.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from pfedmma_dist.clip import hub, names, packaged
from pfedmma_dist.clip.described import read_description
from pfedmma_dist.spelling import quoted

TAGS = 8
"""Tags of a model that a message shows."""


def config(model: str) -> dict[str, Any]:
    """Return a copy of open_clip's configuration of a model."""
    import open_clip

    if is_described(model):
        return read_description(description(model))
    known = [*open_clip.list_models(), *packaged.MODELS]
    if model not in known:
        raise ValueError(
            f"clip.model: open_clip knows no model {quoted(model)}"
            f"{names.hint(model, known, _published())}"
        )
    return open_clip.get_model_config(model)


def is_described(model: str) -> bool:
    """Say whether a model has a .json of its own, outside open_clip's list."""
    return model in packaged.MODELS or model.endswith(".json") or names.is_folder(model)


def description(model: str) -> Path:
    """Return the .json that describes a model which is not in open_clip's list."""
    if model.startswith(names.HUB):
        names.need_repository(model)
        return hub.description(model)
    if not model.startswith(names.FOLDER):
        return packaged.MODELS.get(model) or Path(model).expanduser()
    given = model.removeprefix(names.FOLDER)
    folder = Path(given).expanduser()
    path = folder / names.DESCRIPTION
    if not given or not path.is_file():
        is_what = names.in_folder(folder) if given and folder.is_dir() else "no such folder"
        raise ValueError(
            f"clip.model: {model} has no {names.DESCRIPTION} ({is_what}); give a folder that "
            "open_clip published, or a name of its list and the file in clip.pretrained"
        )
    return path


def names_quick(model: str) -> bool:
    """Say whether a model is described with QuickGELU."""
    return bool(config(model).get("quick_gelu", False))


def module(model: str, quick_gelu: bool, num_tokens: int | None = None) -> nn.Module:
    """Build an open_clip module without weights.

    num_tokens: rows of its token embedding, where not all are stored; the last is the end of text.
    """
    import open_clip

    sizes = config(model)
    if "multimodal_cfg" in sizes or "hf_model_name" in sizes["text_cfg"]:
        raise ValueError(
            f"clip.model: the text tower of {model} is not CLIP's own; choose an OpenAI-style CLIP"
        )
    if num_tokens is not None:
        sizes["text_cfg"] |= {"vocab_size": num_tokens, "eos_id": num_tokens - 1}
    kind = open_clip.CustomTextCLIP if sizes.pop("custom_text", False) else open_clip.CLIP
    try:
        return kind(**{**sizes, "quick_gelu": quick_gelu})
    except (TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise ValueError(f"clip.model: open_clip cannot build {model}: {error}") from error


def tokenizer(model: str) -> Callable:
    """Return open_clip's tokenizer of a model."""
    import open_clip

    if is_described(model):
        return _clips_own(config(model)["text_cfg"].get("context_length", 77))
    try:
        return open_clip.get_tokenizer(model)
    except (ImportError, OSError) as error:
        raise ValueError(
            f"clip.model: the tokenizer of {model} cannot be had: {error}; choose a model with "
            "CLIP's own tokenizer"
        ) from error


@cache
def _clips_own(length: int) -> Callable:
    """Return CLIP's own tokenizer; a run asks twice, and reading its merges takes 0.1 s."""
    import open_clip

    return open_clip.SimpleTokenizer(context_length=length)


def tag(model: str, pretrained: str) -> dict[str, Any]:
    """Return what open_clip knows of the weights of a tag."""
    import open_clip

    found = open_clip.get_pretrained_cfg(model, pretrained)
    if found:
        return found
    what = names.wrong_weights(pretrained, _published())
    if what:
        told = f", but {what}"
    else:
        known = packaged.WEIGHTS.get(model) or open_clip.list_pretrained_tags_by_model(model)
        others = open_clip.list_pretrained_models_by_tag(pretrained)
        more = f" and {len(known) - TAGS} more" if len(known) > TAGS else ""
        told = f"; known tags: {', '.join([*known][:TAGS]) or 'none'}{more}; null means random "
        told += "weights" + (f"; it is a tag of {', '.join(others[:TAGS])}" if others else "")
    raise ValueError(
        f"clip.pretrained: {quoted(pretrained)} is neither a file nor a tag of {model}{told}"
    )


def from_tag(model: str, pretrained: str, quick: bool) -> nn.Module:
    """Return the module with the weights of a tag, fetched if they are not there."""
    import open_clip

    try:
        hub.need(tag(model, pretrained).get("hf_hub", "").rpartition("/")[0])
        # the first spares a warning, the second also turns QuickGELU off
        how = {"force_quick_gelu": quick, "quick_gelu": quick}
        return open_clip.create_model(model, pretrained=pretrained, **how)
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"clip.pretrained: the weights of {model}/{pretrained} could not be fetched "
            f"({hub.told(error)}); without a network give the path of a local file, or null for "
            "random weights"
        ) from error


def published(folder: Path) -> nn.Module:
    """Return the module that open_clip makes by itself of a folder in its own format."""
    import open_clip

    return open_clip.create_model(f"{names.FOLDER}{folder}").eval()


def plain_models() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield open_clip's models and their configurations."""
    import open_clip

    for name in open_clip.list_models():
        yield name, open_clip.get_model_config(name)


def _published() -> dict[str, tuple[str, str]]:
    """Return the repositories that open_clip fetches from -> (model, tag)."""
    import open_clip

    tags = [(one, open_clip.get_pretrained_cfg(*one)) for one in open_clip.list_pretrained()]
    return {told.get("hf_hub", "").strip("/").lower(): one for one, told in reversed(tags)}
