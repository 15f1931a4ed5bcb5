"""Folder: one exported head on the disk, whole, tried and described, or not there at all.

It is written beside its place under another name, read back by its own reader, held to our own
logits, and renamed last; what fails leaves nothing.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pfedmma_dist.config.identity import digest, flat
from pfedmma_dist.home.exporting import others
from pfedmma_dist.home.forms import TOLD, Form, Unheld
from pfedmma_dist.home.linear import largest_allowed
from pfedmma_dist.home.taken import Taken, short
from pfedmma_dist.methods import METHODS
from pfedmma_dist.reading import FORMAT
from pfedmma_dist.run.files import write_json, write_text_atomically
from pfedmma_dist.run.manifest import digest_of

CHECK = "check.safetensors"
"""Images and our logits of them, for whoever wants to see on another machine that all is well."""

NUM_KEPT = 2


def export(
    taken: Taken, form: Form, to: Path, version: str, *, tower: bool = False, **more: Any
) -> dict[str, Any]:
    """Write a head in a form into a new folder; return what export.json says.

    more: facts that go into it. ValueError where the folder holds something, where the form cannot
    hold the head, or where what was written answers otherwise than we do.
    """
    need_room(to)
    why_not = form.why_not(taken)
    if why_not:
        raise ValueError(f"--as {form.name}: {why_not}; {others(taken, form)}")
    with _made(to) as part:
        try:
            told = facts_of(taken, form, version) | more | form.write(taken, part, tower=tower)
        except Unheld as error:
            raise ValueError(
                f"--as {form.name}: {error}; {others(taken, form, error.alike)}"
            ) from error
        write_json(part / TOLD, told)
        told["check"] = _held_to_ours(taken, form, part)
        save_file(
            {
                "images": taken.images[:NUM_KEPT].contiguous(),
                "logits": taken.logits[:NUM_KEPT].contiguous(),
            },
            part / CHECK,
        )
        write_text_atomically(part / "README.md", readme(taken, form, told))
        told["files"] = {path.name: digest_of(path).hex() for path in sorted(part.iterdir())
                         if path.name != TOLD}  # fmt: skip
        write_json(part / TOLD, told)
    return told


def need_room(to: Path) -> None:
    """Refuse a place that is taken."""
    if to.is_dir() and not any(to.iterdir()):
        return
    if to.exists() or to.is_symlink():
        what = "holds something already" if to.is_dir() else "is a file"
        raise ValueError(f"--to: {to} {what}; name a new or an empty folder")


def facts_of(taken: Taken, form: Form, version: str) -> dict[str, Any]:
    """Return what an exported folder tells of itself."""
    trained, head, clip = taken.trained, taken.head, taken.head.clip
    cfg = trained.federation.cfg
    scaling = trained.scaling
    return {
        "format": FORMAT,
        "form": form.name,
        "what": form.what,
        "made_by": f"pfedmma_dist {version}",
        "run": {
            "id": digest(cfg, METHODS), "folder": trained.folder.path.absolute().name,
            "rounds": trained.num_rounds, "data": cfg.data.name, "seed": cfg.seed,
        },
        "client": head.who,
        "method": head.method.name,
        "options": {
            key: _bare(value) for key, value in flat(cfg).items()
            if key.startswith("method.") and key != "method.name"
        },
        "class_names": head.class_names,
        "template": taken.template,
        "scale": clip.scale,
        "image": {
            "size": trained.image_size, "mean": list(scaling.mean), "std": list(scaling.std),
            "interpolation": "bicubic", "resize": "shorter side", "crop": "centre",
        },
        "clip": {
            "model": short(cfg.clip.model), "pretrained": short(cfg.clip.pretrained),
            "image_sha256": clip.image_hash(), "text_sha256": clip.text_hash(),
        },
    }  # fmt: skip


def readme(taken: Taken, form: Form, told: dict[str, Any]) -> str:
    """Return how the folder is used, for people."""
    code = "\n".join(form.usage(taken))
    run, check, count = told["run"], told["check"], len(told["class_names"])
    return (
        f"# {told['client']} of {run['folder']}\n\n"
        f"{told['method']} on {run['data']} after {run['rounds']} rounds, {count} classes: "
        f"{told['what']}. From this folder:\n\n```python\n{code}\n```\n\n"
        f"Held to {told['made_by']} on {check['num_images']} images: logits differ by at most "
        f"{check['largest_difference']:.1e}, {check['allowed']:.1e} were allowed. "
        f"{CHECK} holds {NUM_KEPT} of these images with our logits; {TOLD} says all the rest.\n"
    )


def _bare(value: Any) -> Any:
    """Return an option without the folders of this machine."""
    return short(value) if isinstance(value, str) and Path(value).is_absolute() else value


def _held_to_ours(taken: Taken, form: Form, folder: Path) -> dict[str, Any]:
    """Read the folder back and compare; ValueError where it answers otherwise."""
    found, ours = form.read_back(taken, folder, taken.images), taken.logits
    difference, allowed = float((found - ours).abs().max()), largest_allowed(ours)
    if found.shape != ours.shape or not difference <= allowed:  # nan is not
        raise ValueError(
            f"--as {form.name}: what was written answers otherwise than the run: logits differ by "
            f"{difference:.3g}, and {allowed:.1e} is allowed; nothing is "
            f"kept; {others(taken, form)}"
        )
    return {
        "num_images": len(ours),
        "largest_difference": difference,
        "allowed": allowed,
        "largest_logit": float(ours.abs().max()),
        "torch": torch.__version__,
    }


@contextmanager
def _made(to: Path) -> Iterator[Path]:
    """Make a folder beside its place, and put it there at the end; gone where it comes to
    nothing."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{to.name}.", suffix=".part", dir=to.parent))
        try:
            part.chmod(0o755)
            yield part
            os.replace(part, to)  # onto an empty folder, or where nothing is
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise ValueError(
            f"--to: cannot write {error.filename or to} ({error.strerror or error}); name a folder "
            "with room that you may write to"
        ) from error
