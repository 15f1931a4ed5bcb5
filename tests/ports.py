"""Ports for ranks to meet at."""

import random
import socket


def free_port() -> int:
    """Return a port that nobody has, of those that the system gives to no connection by itself: one
    of its own choice may be taken again before the ranks are there."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
