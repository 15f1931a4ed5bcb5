"""Exporting: which form a head leaves in, and how a run is opened for it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pfedmma_dist.config.choices import CacheMode, Dtype
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.home.forms import ClassMatrix, Form, Module, OpenClip
from pfedmma_dist.home.graph_forms import Onnx, Program
from pfedmma_dist.home.peft_form import PEFT
from pfedmma_dist.home.taken import Taken
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.folder import RunFolder

log = logging.getLogger(__name__)

FORMS: dict[str, Form] = {
    form.name: form for form in (ClassMatrix(), OpenClip(), PEFT(), Module(), Program(), Onnx())
}
"""By name, as written behind --as."""

BEST = (ClassMatrix.name, OpenClip.name, Module.name, Program.name)
"""What is written unless a form is asked for: the first of these that holds the head. Of the last
only its own tracer could say that it does not."""

TRAINING = ("optim.", "evaluate.finetune", "federation.batch_size", "federation.drop_last")
"""Beginnings of the keys that a newcomer's training may have of its own."""

FLOAT32 = f"clip.dtype={Dtype.float32.value}"
FAST = f"clip.cache={CacheMode.auto.value}"
UNTUNED = "evaluate.finetune_epochs=0"


def best_form(taken: Taken) -> Form:
    """Return the form that says most in the fewest words."""
    return next(FORMS[name] for name in BEST if not FORMS[name].why_not(taken))


def others(taken: Taken, form: Form, alike: tuple[str, ...] = ()) -> str:
    """Say what to write of a head that a form, and those alike, cannot hold (completes "...; ")."""
    names = [name for name, other in FORMS.items()
             if name not in (form.name, *alike) and not other.why_not(taken)]  # fmt: skip
    if names:
        return f"try --as {', '.join(names)}"
    return "no other form holds it; ask it through pfedmma_dist.home.trained.Trained"


def open_to_export(
    run: str | Path, words: Sequence[str], *, newcomer: bool = False
) -> tuple[Trained, Config]:
    """Return a run to take something home of, and its configuration with the words.

    Other programs compute in float32, so that is what is written. newcomer: whether somebody is to
    be personalised, for whom words may change the training.
    """
    folder = RunFolder(run)
    own = [word for word in words if not (newcomer and word.startswith(TRAINING))]
    if not folder.config.is_file():
        Trained.open(run)  # says what is wrong
    was = read([str(folder.config)], methods=METHODS, sources=SOURCES)
    if was.clip.dtype is not Dtype.float32:
        log.warning(
            "clip.dtype: the run computed in %s, and what is written is float32: logits differ "
            "from those that were scored by what the rounding was", was.clip.dtype.value,
        )  # fmt: skip
        own.append(FLOAT32)
    if was.clip.cache is CacheMode.off:
        own.append(FAST)
    if newcomer and was.evaluate.finetune_epochs:
        own.append(UNTUNED)  # its clients' tuning does not matter
    trained = Trained.open(run, words=own)
    asked = [*own, *(word for word in words if word not in own)]
    return trained, read([str(folder.config), *asked], methods=METHODS, sources=SOURCES)
