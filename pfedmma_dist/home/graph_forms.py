"""Graph forms: image to logits as one file, for torch.export or ONNX; every method can leave so."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pfedmma_dist.home.forms import TOLD, Form, Unheld
from pfedmma_dist.home.head import Head
from pfedmma_dist.home.taken import Taken

log = logging.getLogger(__name__)

PROGRAM = "personal.pt2"
ONNX = "personal.onnx"
IMAGES = "images"
GRAPHS = ("torch", "onnx")
MOST = 4096
"""Images that a graph takes at once."""

NEEDS = (
    "--as onnx: {} is not installed; install it with `pip install pfedmma_dist[export]`, or write "
    "--as torch"
)


FAILURES = (RuntimeError, ValueError, TypeError, AssertionError)
"""What torch's exporters raise of a head that they cannot follow: they have no error of their
own."""


class _Graph(nn.Module):
    """A head as a module of torch, to be traced."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head.answer(images).float()


class Program(Form):
    """A program of torch.export."""

    name = GRAPHS[0]
    what = f"image to logits as one program of torch.export: {PROGRAM}"

    def why_not(self, taken: Taken) -> str:
        return ""  # a tracer alone knows, see Unheld

    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Trace the head and save it."""
        program, batch = traced(taken)
        with _told("torch.export cannot save it", GRAPHS):
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

    name = GRAPHS[1]
    what = f"image to logits as one graph of ONNX: {ONNX}"

    def why_not(self, taken: Taken) -> str:
        return ""  # a tracer alone knows, see Unheld

    def write(self, taken: Taken, folder: Path, *, tower: bool) -> dict[str, Any]:
        """Trace the head and translate it."""
        for package in ("onnx", "onnxscript", "onnxruntime"):
            _needed(package)
        program, batch = traced(taken)
        with _told("ONNX has no graph of it"), _one_precision():
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


def traced(taken: Taken) -> tuple[torch.export.ExportedProgram, int | None]:
    """Return the head as a graph, and how many images it takes at once; None: any number.

    It is one where a method counts its images in Python, so that a trace holds their number fast.
    """
    graph = _Graph(taken.head).eval()
    batch = torch.export.Dim("batch", min=1, max=MOST)
    shapes, own = {IMAGES: {0: batch}}, (taken.images[:2].clone(),)
    graph(own[0])  # what is made at its first use, such as token ids, is no part of a trace
    with torch.no_grad(), _told("torch.export cannot trace it", GRAPHS), _one_precision():
        try:
            return torch.export.export(graph, own, dynamic_shapes=shapes, strict=False), None
        except torch._dynamo.exc.UserError:  # its number of images is held fast
            program = torch.export.export(graph, (own[0][:1].clone(),), strict=False)
    log.info("traced for one image at a time: the method counts images in Python")
    return program, 1


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
def _told(what: str, alike: tuple[str, ...] = ()) -> Iterator[None]:
    """Say in words that an exporter has failed, and keep from the user what those of torch say of
    their own insides, some of it straight to stderr. alike: forms that fail together."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        except FAILURES as error:
            first: BaseException = error
            while first.__cause__ is not None:  # the exporters wrap it in advice to report it
                first = first.__cause__
            reason = next(iter(str(first).strip().splitlines()), type(first).__name__)
            raise Unheld(f"{what} ({reason.rstrip('.')})", alike) from error
        finally:
            logging.disable(before)
