"""Forms: the shapes in which a head can leave, each written, and read back by its own reader.

Every form answers from images to logits, so that what was written is held to what we compute
before anybody relies on it. A form is asked first why it cannot hold a head.
"""

import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from pfedmma_dist.clip import catalogue
from pfedmma_dist.home.merging import has_terms, merge_into
from pfedmma_dist.home.own import COSINE, IDS
from pfedmma_dist.home.taken import Taken, description
from pfedmma_dist.run.files import write_json, write_text_atomically

TOLD = "export.json"
PERSONAL = "personal.safetensors"
CODE = "personal_clip.py"
TOWER = "image_tower.safetensors"
WHOLE = "clip.safetensors"
"""Both towers, where texts are run for each image."""
SIZES = "clip_model.json"
CLASSES = "classes.safetensors"
OPEN_CLIP = ("open_clip_config.json", "open_clip_model.safetensors")
"""As open_clip publishes a model."""


class Unheld(Exception):
    """A head that a form cannot hold, as came out while it was written."""

    def __init__(self, reason: str, alike: tuple[str, ...]) -> None:
        """reason: completes "...: ". alike: forms that need not be tried either."""
        super().__init__(reason)
        self.alike = alike


class Form(ABC):
    """One shape; its instances have no state."""

    name: ClassVar[str]
    """As written behind --as."""
    what: ClassVar[str]
    """What lies in the folder, in a few words."""

    @abstractmethod
    def why_not(self, taken: Taken) -> str:
        """Say why a head cannot be written so (completes "...: "); nothing where it can, or where
        only `write` finds out and raises Unheld."""

    @abstractmethod
    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Write the files; return what export.json says beside the rest. tower: whether the image
        tower comes along though open_clip can fetch it."""

    @abstractmethod
    def read_back(self, taken: Taken, folder: Path, images: Tensor) -> Tensor:
        """Return the logits [n, C] of images as the folder gives them."""

    @abstractmethod
    def usage(self, taken: Taken) -> list[str]:
        """Return the lines of Python that README.md shows."""


class Personal(Form):
    """What a small module over open_clip reads: personal.safetensors."""

    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Write the client's own tensors, and the image tower where nobody else has it."""
        own, facts = self.tensors(taken)
        save_file({name: x.cpu().contiguous() for name, x in own.items()}, folder / PERSONAL)
        code = Path(__file__).with_name(CODE).read_text(encoding="utf-8")
        write_text_atomically(folder / CODE, code)
        if tower or taken.tag is None:
            module = taken.module()
            part, name = (module, WHOLE) if IDS in own else (module.visual, TOWER)
            state = {name: x.contiguous() for name, x in part.state_dict().items()}
            save_file(state, folder / name)
            model = taken.trained.federation.cfg.clip.model
            sizes = description(model, module)
            sizes.pop("custom_text", None)  # says which class is built of the others
            write_json(folder / SIZES, sizes)
        return facts

    @abstractmethod
    def tensors(self, taken: Taken) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the client's own tensors, and what export.json says of them."""

    def read_back(self, taken: Taken, folder: Path, images: Tensor) -> Tensor:
        """Import the module from the folder, and ask it."""
        spec = importlib.util.spec_from_file_location("personal_clip_of_a_folder", folder / CODE)
        assert spec is not None and spec.loader is not None
        code = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(code)
        clip = taken.module()
        with torch.no_grad():
            for name, part in ((TOWER, clip.visual), (WHOLE, clip)):
                for weight in part.parameters() if (folder / name).exists() else ():
                    weight.zero_()  # what is read must come from the folder
            found: Tensor = code.load(folder, clip)(images)
        return found

    def usage(self, taken: Taken) -> list[str]:
        """Show how the module is loaded."""
        return [
            "import json, open_clip, personal_clip",
            "from PIL import Image",
            *_clip_lines(taken, "json.load(open('clip_model.json'))"),
            "model = personal_clip.load('.', clip)",
            "pixels = personal_clip.preprocess(Image.open('cat.jpg'), model.told)",
            "print(model.told['class_names'][model(pixels[None]).argmax()])",
        ]


class ClassMatrix(Personal):
    """A class matrix, for any CLIP of the same image tower."""

    name = "classes"
    what = "a class matrix: logits = scale * unit image vector @ classes.T (+ bias)"

    def why_not(self, taken: Taken) -> str:
        return taken.linear if isinstance(taken.linear, str) else ""

    def tensors(self, taken: Taken) -> tuple[dict[str, Tensor], dict[str, Any]]:
        found = taken.linear
        assert not isinstance(found, str)
        own = {"classes": found.classes}
        own = own if found.bias is None else {**own, "bias": found.bias}
        return own, {"answer": COSINE}


class Module(Personal):
    """What is a client's own, over open_clip's own modules."""

    name = "module"
    what = "tensors of the client's own, and a small module over open_clip that answers with them"

    def why_not(self, taken: Taken) -> str:
        if taken.own is None and isinstance(taken.linear, str):
            return "what it adds to a CLIP is nothing that the module knows how to answer with"
        return ""

    def tensors(self, taken: Taken) -> tuple[dict[str, Tensor], dict[str, Any]]:
        own = taken.own
        if own is None:
            return ClassMatrix().tensors(taken)
        return own.tensors, {"answer": own.answer, **own.facts}


class OpenClip(Form):
    """Low-rank terms merged into a whole CLIP, in the format that open_clip publishes."""

    name = "open_clip"
    what = "a whole CLIP of open_clip with the terms merged in, both towers, and a class matrix"

    def why_not(self, taken: Taken) -> str:
        if not has_terms(taken.head):
            return "what it trains are no terms inside attention that could be merged"
        return ""

    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Write model and weights as open_clip reads them, and the class vectors."""
        module, (sizes, weights) = taken.module(), OPEN_CLIP
        merge_into(module, taken.head)
        state = {name: x.detach().contiguous() for name, x in module.state_dict().items()}
        save_file(state, folder / weights)
        scaling, model = taken.trained.scaling, taken.trained.federation.cfg.clip.model
        scaled = {"interpolation": "bicubic", "resize_mode": "shortest"}
        write_json(folder / sizes, {
            "model_cfg": description(model, module),
            "preprocess_cfg": {"mean": scaling.mean, "std": scaling.std, **scaled},
        })  # fmt: skip
        write_classes(taken, folder)
        return {}

    def read_back(self, taken: Taken, folder: Path, images: Tensor) -> Tensor:
        """Let open_clip read the folder."""
        with torch.no_grad():
            clip: Any = catalogue.published(folder)
            seen = F.normalize(clip.encode_image(images), dim=1)
        return taken.head.clip.scale * seen @ load_file(folder / CLASSES)["classes"].mT

    def usage(self, taken: Taken) -> list[str]:
        """Show how open_clip reads the folder."""
        return [
            "import json, open_clip, torch",
            "from PIL import Image; from safetensors.torch import load_file",
            "clip, _, preprocess = open_clip.create_model_and_transforms('local-dir:.')",
            "told, classes = json.load(open('export.json')), load_file('classes.safetensors')",
            "x = clip.eval().encode_image(preprocess(Image.open('cat.jpg'))[None], normalize=True)",
            "print(told['class_names'][(x @ classes['classes'].T).argmax()])",
        ]


def write_classes(taken: Taken, folder: Path) -> None:
    """Write the class vectors [C, D] that the text tower makes with a client's own terms."""
    vectors = taken.head.classes.vectors[0]
    save_file({"classes": vectors.float().cpu().contiguous()}, folder / CLASSES)


def _clip_lines(taken: Taken, sizes: str) -> list[str]:
    """Return the lines that build the CLIP whose image tower is used."""
    if taken.tag is None:
        whole = catalogue.config(taken.trained.federation.cfg.clip.model).get("custom_text", False)
        kind = "CustomTextCLIP" if whole else "CLIP"
        return [f"clip = open_clip.{kind}(**{sizes})  # filled from this folder"]
    model, tag = taken.tag
    quick = catalogue.tag(model, tag).get("quick_gelu", False)
    return [f"clip = open_clip.create_model({model!r}, pretrained={tag!r}, "
            f"force_quick_gelu={bool(quick)})"]  # fmt: skip
