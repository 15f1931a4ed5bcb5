"""Graph forms: image to logits as one file, for torch.export or ONNX; every method can leave so."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pfedmma_dist.home.forms import TOLD, Form
from pfedmma_dist.home.head import Head
from pfedmma_dist.home.taken import Taken

log = logging.getLogger(__name__)

PROGRAM = "personal.pt2"
ONNX = "personal.onnx"
IMAGES = "images"
MOST = 4096
"""Images that a graph takes at once."""

NEEDS = (
    "--as onnx: {} is not installed; install it with `pip install pfedmma_dist[export]`, or write "
    "--as torch"
)


class _Graph(nn.Module):
    """A head as a module of torch, to be traced."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head.answer(images).float()


class Program(Form):
    """A program of torch.export."""

    name = "torch"
    what = f"image to logits as one program of torch.export: {PROGRAM}"

    def why_not(self, taken: Taken) -> str:
        return _why_not(taken)

    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Trace the head and save it."""
        program, batch = traced(taken)
        with _quiet():
            torch.export.save(program, folder / PROGRAM)
        return {"batch": batch}

    def read_back(self, taken: Taken, folder: Path, images: Tensor) -> Tensor:
        """Load the program and run it."""
        program = torch.export.load(folder / PROGRAM).module()
        return _asked(program, folder, images)

    def usage(self, taken: Taken) -> list[str]:
        """Show how torch runs the program."""
        return [
            "import json, torch",
            f"model = torch.export.load('{PROGRAM}').module()",
            "told = json.load(open('export.json'))",
            "logits = model(pixels)  # [N, 3, H, H] float32, normalised as export.json says",
            "print([told['class_names'][place] for place in logits.argmax(dim=1)])",
        ]


class Onnx(Form):
    """A graph of ONNX."""

    name = "onnx"
    what = f"image to logits as one graph of ONNX: {ONNX}"

    def why_not(self, taken: Taken) -> str:
        return _why_not(taken)

    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Trace the head and translate it."""
        for package in ("onnx", "onnxscript", "onnxruntime"):
            _needed(package)
        program, batch = traced(taken)
        with _quiet():
            made = torch.onnx.export(
                program, dynamo=True, input_names=[IMAGES], output_names=["logits"], verbose=False
            )
            assert made is not None
            made.save(str(folder / ONNX), external_data=False)
        return {"batch": batch}

    def read_back(self, taken: Taken, folder: Path, images: Tensor) -> Tensor:
        """Let onnxruntime run the graph on the CPU."""
        session = _needed("onnxruntime").InferenceSession(
            str(folder / ONNX), providers=["CPUExecutionProvider"]
        )

        def run(part: Tensor) -> Tensor:
            [found] = session.run(None, {IMAGES: part.numpy()})
            return torch.from_numpy(found)

        return _asked(run, folder, images)

    def usage(self, taken: Taken) -> list[str]:
        """Show how onnxruntime runs the graph."""
        return [
            "import json, onnxruntime",
            f"session = onnxruntime.InferenceSession('{ONNX}')",
            "told = json.load(open('export.json'))",
            "[logits] = session.run(None, {'images': pixels})  # [N, 3, H, H] float32",
            "print([told['class_names'][place] for place in logits.argmax(axis=1)])",
        ]


def _why_not(taken: Taken) -> str:
    """Say why torch.export has no graph of a head."""
    if taken.head.classes is taken.head.text:
        return "each image has class vectors of its own, whose text pass torch.export cannot trace"
    return ""


def traced(taken: Taken) -> tuple[torch.export.ExportedProgram, int | None]:
    """Return the head as a graph, and how many images it takes at once; None: any number.

    It is one where a method counts its images in Python, so that a trace holds their number fast.
    """
    graph = _Graph(taken.head).eval()
    batch = torch.export.Dim("batch", min=1, max=MOST)
    with torch.no_grad(), _quiet(), _one_precision():
        try:
            shapes, own = {IMAGES: {0: batch}}, (taken.images[:2].clone(),)
            return torch.export.export(graph, own, dynamic_shapes=shapes, strict=False), None
        except torch._dynamo.exc.UserError:
            log.info("traced for one image at a time: the method counts images in Python")
        return torch.export.export(graph, (taken.images[:1].clone(),), strict=False), 1


def _asked(model: Any, folder: Path, images: Tensor) -> Tensor:
    """Return the logits of images, one by one where a graph takes no more."""
    batch = json.loads((folder / TOLD).read_text(encoding="utf-8"))["batch"]
    with torch.no_grad():
        return torch.cat([model(part) for part in images.split(batch or len(images))])


@contextmanager
def _one_precision() -> Iterator[None]:
    """Let cuDNN have one precision for all it does: torch.export refuses to ask for two, and a
    process that has trained has set that of convolutions alone."""
    cudnn: Any = torch.backends.cudnn
    before = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    cudnn.allow_tf32 = before[0] == "tf32"
    try:
        yield
    finally:
        cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = before


def _needed(name: str) -> Any:
    """Import a package of the extra, or say what to install."""
    try:
        return __import__(name)
    except ImportError as error:
        raise ValueError(NEEDS.format(name)) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporters say of their own insides from the user."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)
