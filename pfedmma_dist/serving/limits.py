"""Limits: how much the server takes from anybody at a time."""

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What is refused, and what is waited for. Memory stays below about
    `requests * body + DECODERS * 8 * pixels` bytes beside the model's."""

    body: int = 32 * MB  # bytes of a request
    images: int = 32  # of a request
    pixels: int = 64 * MB  # of an image, before it is decoded
    scans: int = 100  # of a JPEG; a progressive one has about 10, and each costs a whole pass
    requests: int = 16  # under way at a time; the next is told to come again
    connections: int = 256  # open at a time, idle ones included
    receive: float = 30.0  # seconds until a request is there, from its first byte
    answer: float = 120.0  # seconds until its answer is sent, from then on
    grace: float = 10.0  # seconds for what is under way when the server is asked to end
    retry: int = 2  # seconds after which who was refused may come again


DECODERS = 2
"""Images decoded at a time."""
