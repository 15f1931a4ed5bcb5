"""Keep a run's numbers and pictures for TensorBoard, which may fail without the run.

The only file that imports tensorboard, and that when a board is opened.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pfedmma_dist.run.folder import EVENTS
from pfedmma_dist.run.labels import printable
from pfedmma_dist.run.optional import optional

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Board:
    """An open event file. The first failure is told, and ends it."""

    def __init__(
        self, folder: Path, start_round: int, config: Mapping[str, Any], config_text: str
    ) -> None:
        """Open a file in `folder`; what older ones say of `start_round` and later is void."""
        self.session_end: Any = None
        self._writer: Any = None  # a SummaryWriter, until it fails
        with optional("TensorBoard"):
            from torch.utils.tensorboard import SummaryWriter

            _put_before(folder, int(time.time()))
            self._writer = SummaryWriter(str(folder), purge_step=start_round)
        self._add(
            lambda writer: writer.add_text("config", f"```yaml\n{config_text}\n```", start_round)
        )
        self._add(lambda writer: self._start_session(writer, config))
        self.flush()

    def scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Add tag -> number."""

        def add(writer: "SummaryWriter") -> None:
            for tag, value in numbers.items():
                writer.add_scalar(printable(tag), value, step)

        self._add(add)

    def histogram(self, tag: str, values: np.ndarray, step: int, edges: np.ndarray) -> None:
        """Add how values are spread over bins of these edges."""
        self._add(lambda writer: writer.add_histogram(tag, values, step, edges))

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture [height, width, 3] uint8."""
        # add_figure would import pyplot, and with it matplotlib's global state.
        self._add(lambda writer: writer.add_image(printable(tag), pixels, step, dataformats="HWC"))

    def end_session(self) -> None:
        """Say that the run has finished."""
        self._add(lambda writer: _events(writer).add_summary(self.session_end))
        self.flush()

    def flush(self) -> None:
        """Write down what was added; the thread that does it tells here what hindered it."""
        self._add(lambda writer: writer.flush())

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        self._add(lambda writer: writer.close())
        self._writer = None

    def _add(self, add: Callable[["SummaryWriter"], object]) -> None:
        """Do something with the writer, for the last time where it fails."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with optional("TensorBoard"):
                add(writer)
                self._writer = writer

    def _start_session(self, writer: "SummaryWriter", config: Mapping[str, Any]) -> None:
        """Add the configuration to the hparams page, and keep the event that ends the session.

        SummaryWriter.add_hparams would open a second writer in a folder of its own. No run says
        which hyperparameters there are: the page would believe any one of them about all others,
        while left alone it asks all, and shows first what differs.
        """
        from torch.utils.tensorboard.summary import hparams

        values = {
            key: value
            if isinstance(value, (int, float)) and not isinstance(value, bool)
            else printable(str(value))
            for key, value in config.items()
        }
        _, session_start, self.session_end = hparams(values, {})
        _events(writer).add_summary(session_start)


def _events(writer: "SummaryWriter") -> Any:
    """Return the file that a writer adds to; SummaryWriter says that it may have none."""
    return writer.file_writer


def _put_before(folder: Path, now: int) -> None:
    """Rename event files that are not older than `now`, as where the clock was set back.

    TensorBoard reads by name, and a name begins with a time: what comes would be read before what
    was, and be voided by it.
    """
    files = sorted(folder.glob(f"{EVENTS}*"))
    for place, path in enumerate(files):
        stamp, _, rest = path.name.removeprefix(EVENTS).partition(".")
        before = now - len(files) + place
        if stamp.isdecimal() and int(stamp) > before:
            path.rename(path.with_name(f"{EVENTS}{before:010d}.{rest}"))
