"""Go on without what a run can do without."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pfedmma_dist.run.labels import printable

log = logging.getLogger(__name__)


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Warn where the block fails, with the reason, and go on after it.

    what: names what is missing then. For pictures and TensorBoard alone, and never round a
    collective: the other ranks would wait in it.
    """
    try:
        yield
    except Exception as error:
        # Libraries that draw and log raise whatever they come upon, from ImportError to errors of
        # their own parsers, and none of it is worth the hours of a run. Here, and where plugins are
        # imported, which are told as an error.
        first = next(iter(str(error).strip().splitlines()), "no reason given")
        log.warning("going on without %s (%s: %s)", what, type(error).__name__, printable(first))
