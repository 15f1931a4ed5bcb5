"""Recorded: the gradient of a step of fixed shape as a CUDA graph, which a GPU starts as one.

A small step is over on a GPU before the host has started its kernels one by one. So of each form of
a step the first is computed as ever, and recorded; the inputs of a later one are copied to where
the recording reads, and its kernels are started together. They are the same kernels on the same
numbers, so the bits are those of the plain step.

A recording is kernels and addresses: no line of Python runs again. All that differs between two
steps of a form must be among the `Inputs`, and the tensors that the kernels read beside them, those
of the CLIP and of the class side, must stay where they are. Were an input forgotten, every later
step would quietly read that of the first. So the first step that is replayed, the second of its
form, is computed by both ways, and a bit that differs ends the run.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pfedmma_dist.clip.carry import sent
from pfedmma_dist.clip.kinds import Read
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.keys import Config
from pfedmma_dist.federation.laid import Laid
from pfedmma_dist.federation.steady import Form, Unsteady, put_together, taken_apart

log = logging.getLogger(__name__)

Slope = Callable[[Tensor, Any, Laid], tuple[Tensor, Tensor]]
"""(rows [G, P + S], what is drawn, step) -> each client's loss [G] and gradient [G, P + S]."""

WARM = 3
"""Steps on the recording's stream before it, in which libraries set up what they need: as many as
torch.cuda.make_graphed_callables takes."""

READ = ("images", "labels", "weight", "active", "own")
"""What a gradient reads of a laid step."""

MOST = 16
"""Forms that are recorded, the first that occur: a cohort of 1 to 8 clients in two class sets. Each
keeps its inputs, and takes as long as four steps to record; the rest of their memory is shared."""

OFF = "set run.cuda_graphs=false, with which the same command goes on"


@dataclass(frozen=True)
class Inputs:
    """All that may differ between two steps."""

    theta: Tensor  # [G, P + S]
    drawn: Any  # by the method, on what was prepared
    images: Read  # [G, B, *record_shape]
    labels: Tensor  # [G, B]
    weight: Tensor  # [G, B]
    active: Tensor  # [G]
    own: Tensor | None  # [G, C]

    def laid(self, like: Laid) -> Laid:
        """Return the step of these inputs. What is left of another is nothing that a gradient may
        read: its keys are drawn with before, and its rates come after."""
        rates = torch.full_like(like.rates, torch.nan)
        return replace(
            like, images=self.images, labels=self.labels, weight=self.weight, active=self.active,
            own=self.own, keys=(), rates=rates,
        )  # fmt: skip


class Recording:
    """One form of step: the memory that its kernels read and write."""

    def __init__(self, inputs: list[Tensor]) -> None:
        self.inputs = [x.clone() for x in inputs]
        self.graph, self.is_held = torch.cuda.CUDAGraph(), False
        self.found: tuple[Tensor, ...] = ()  # loss [G], gradient [G, P + S]

    def replay(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return loss [G] and gradient [G, P + S] of other inputs of the same form."""
        for own, x in zip(self.inputs, inputs, strict=True):
            own.copy_(x)
        self.graph.replay()
        # Copies: the next replay, of this form or of another, writes where these are.
        loss, grad = self.found
        return loss.clone(), grad.clone()


class Recorder:
    """The recordings of a run, which share a stream and memory: no two run at a time.

    They outlive a round, as features do: what is kept is addresses, and no number is read again.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.kept: dict[Form, Recording] = {}
        self.stream, self.pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()
        self.told: set[str] = set()

    def takes(self, terms: Sequence[Any]) -> bool:
        """Say whether a step with such terms in its loss can be recorded, and if not, why."""
        if terms:  # each is made anew for a round, of whatever it likes
            self._tell("a correction adds a term of its own to the loss")
        return not terms

    def gradient(
        self, slope: Slope, text: ClassText, theta: Tensor, drawn: Any, step: Laid
    ) -> tuple[Tensor, Tensor]:
        """Return what `slope` does of a step in which the classes of `text` compete."""
        tensors: list[Tensor] = []
        given = Inputs(theta, drawn, *(getattr(step, name) for name in READ))
        try:
            form = text, taken_apart(given, tensors)
        except Unsteady as error:
            self._tell(f"they hold a {error}, which cannot be recorded")
            return slope(theta, drawn, step)
        tensors = [x if x.device == theta.device else sent(x, theta.device) for x in tensors]
        known = self.kept.get(form)
        if known is None:
            found = slope(theta, drawn, step)
            if len(self.kept) < MOST:
                self.kept[form] = self._recorded(slope, form[1], tensors, step)
            else:
                self._tell(f"{MOST} forms are recorded already, the most that are kept")
            return found
        found = known.replay(tensors)
        if not known.is_held:
            hold(found, slope(theta, drawn, step))
            known.is_held = True
        return found

    def _recorded(self, slope: Slope, form: Form, tensors: list[Tensor], step: Laid) -> Recording:
        """Record a step."""
        own = Recording(tensors)
        inputs = put_together(form, iter(own.inputs))
        step = inputs.laid(step)
        parts = inputs.theta, inputs.drawn, step
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            for _ in range(WARM):
                slope(*parts)
        torch.cuda.current_stream(self.device).wait_stream(self.stream)
        try:
            with torch.cuda.graph(own.graph, pool=self.pool, stream=self.stream):
                own.found = slope(*parts)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(
                f"run.cuda_graphs: true, and torch records no step of this run ({error}); {OFF}"
            ) from error
        return own

    def _tell(self, why: str) -> None:
        """Say once why steps run as they do without graphs."""
        if why not in self.told:
            self.told.add(why)
            log.info("run.cuda_graphs: steps are started kernel by kernel where %s", why)


def hold(replayed: tuple[Tensor, Tensor], plain: tuple[Tensor, Tensor]) -> None:
    """Raise where a replayed step differs from the plain one in a bit."""
    for what, ours, theirs in zip(("loss", "gradient"), replayed, plain, strict=True):
        bits = [x.contiguous().view(torch.uint8) for x in (ours, theirs)]
        if not torch.equal(*bits):
            gap = float((ours - theirs).abs().max())
            raise ValueError(
                f"run.cuda_graphs: true, and the {what} of the first replayed step of "
                f"{len(ours)} clients is not that of the plain step, bit for bit (they differ by "
                f"up to {gap:.1e}); {OFF}"
            )


def recorder_of(cfg: Config, device: torch.device) -> Recorder | None:
    """Return what records the steps of a run; None where none are recorded."""
    if not cfg.run.cuda_graphs or device.type != "cuda":
        return None
    if cfg.privacy.example_clip is not None:
        log.info("run.cuda_graphs: nothing is recorded where privacy.example_clip is set")
        return None
    return Recorder(device)
