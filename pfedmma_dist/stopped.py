"""The end of a run that was asked to stop: its exit code, and the exception that leads there."""

STOPPED = 75
"""Exit code of a run that stopped on request and can go on: EX_TEMPFAIL, "try again"."""


class Stopped(SystemExit):
    """Leave on request, with or without having saved; the text says why and what is lost.

    A SystemExit, so that no library takes it for an error of its own.
    """

    code: int

    def __init__(self, text: str) -> None:
        super().__init__(STOPPED)
        self.text = text

    def __str__(self) -> str:
        return self.text
