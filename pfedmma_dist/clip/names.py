"""What people call models elsewhere, and what is meant by it here."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pfedmma_dist.spelling import quoted

HUB, FOLDER = "hf-hub:", "local-dir:"
"""Beginnings of open_clip's names of models that are described beside their weights."""

DESCRIPTION = "open_clip_config.json"
"""What describes such a model, in its repository or folder."""

WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Names of published files of weights; the first that is there is taken."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")

REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)

OF_TRANSFORMERS = {
    "openai/clip-vit-base-patch32": ("ViT-B-32", "openai"),
    "openai/clip-vit-base-patch16": ("ViT-B-16", "openai"),
    "openai/clip-vit-large-patch14": ("ViT-L-14", "openai"),
    "openai/clip-vit-large-patch14-336": ("ViT-L-14-336", "openai"),
}
"""transformers' name of OpenAI's weights -> (clip.model, clip.pretrained)."""

Published = Mapping[str, tuple[str, str]]
"""Name on Hugging Face's hub -> (model, tag) of open_clip."""


def is_folder(model: str) -> bool:
    """Say whether a model is described in a folder or repository of its own."""
    return model.startswith((HUB, FOLDER))


def need_repository(model: str) -> None:
    """Refuse a name on the hub that cannot be one, or is that of a model of transformers."""
    name = model.removeprefix(HUB).strip("/")
    found = OF_TRANSFORMERS.get(name.lower())
    if found is not None:
        raise ValueError(
            f"clip.model: {model} is transformers'; that is clip.model={found[0]} "
            f"clip.pretrained={found[1]}"
        )
    if not REPOSITORY.fullmatch(name):
        raise ValueError(f"clip.model: {quoted(model)} is not of the form hf-hub:OWNER/NAME")


def hint(model: str, known: Iterable[str], published: Published) -> str:
    """Return what to write in place of an unknown model; empty where nothing is near."""
    known = list(known)
    name = model.removeprefix(HUB).strip("/")
    found = {**published, **OF_TRANSFORMERS}.get(name.lower())
    if found is not None:
        return f"; that is clip.model={found[0]} clip.pretrained={found[1]}"
    plain = {_plain(one): one for one in known}
    same = plain.get(_plain(model))
    if same is not None:
        return f"; did you mean {same}?"
    path = Path(model).expanduser()
    if model and path.is_dir():
        return f"; it is a folder: {in_folder(path)}"
    if path.is_file() or path.suffix in SUFFIXES:
        return "; weights are given by clip.pretrained, and clip.model names what they are of"
    near = difflib.get_close_matches(model, known, n=3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    if REPOSITORY.fullmatch(model):
        return f"; for a model of open_clip's on Hugging Face's hub write {HUB}{model}"
    return "; open_clip's own list is that of open_clip.list_models()"


def in_folder(folder: Path) -> str:
    """Return which key means a folder of weights, or a file in it."""
    if (folder / DESCRIPTION).is_file():
        return f"write clip.model={FOLDER}{folder}"
    found = weights_in(folder)
    if found is not None:
        return f"write clip.pretrained={found}"
    return f"no single file of weights is in it (such as {WEIGHTS[0]})"


def weights_in(folder: Path) -> Path | None:
    """Return the file of weights in a folder: the one of a usual name, or the only one."""
    usual = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    every = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if usual:
        return usual[0]
    return every[0] if len(every) == 1 else None


def wrong_weights(pretrained: str, published: Published) -> str:
    """Return what else clip.pretrained may be that is no file and no tag; completes "... is"."""
    path = Path(pretrained).expanduser()
    found = {**published, **OF_TRANSFORMERS}.get(pretrained.strip("/").lower())
    if found is not None:
        return f"a repository: write clip.model={found[0]} clip.pretrained={found[1]}"
    if pretrained and path.is_dir():
        return f"a folder: {in_folder(path)}"
    if re.match(r"(https?|s3|gs|hf)://", pretrained):
        return "an address: fetch the file, and give its path"
    if is_folder(pretrained):
        return f"the name of a model: write clip.model={pretrained}"
    if path.suffix in SUFFIXES or pretrained.startswith(("/", "./", "../", "~")):
        return f"the path of a file that does not exist{_beside(path)}"
    return ""


def _beside(path: Path) -> str:
    """Return a hint at a file of nearly that name."""
    there = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, there, n=1)
    return f" (beside it lies {quoted(near[0])})" if near else "; correct it"


def _plain(model: str) -> str:
    """Return a name without what spellings differ in: OpenAI writes ViT-L/14@336px."""
    return re.sub(r"[/@_ ]", "-", model.strip().lower()).removesuffix("px")
