"""Show numbers as people read them, by the name of their unit."""

from collections.abc import Callable

DECIMALS = 2
"""Of accuracies; means that are equal to so many are equally good."""


def percent(value: float) -> str:
    """Return an accuracy as tables show it."""
    return f"{value:.{DECIMALS}f}"


def number(value: float) -> str:
    """Return a count as tables show it."""
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    """Return a time as tables show it, with milliseconds where it has no seconds."""
    return f"{1000 * value:.0f} ms" if value < 1 else duration(value)


def loss(value: float) -> str:
    """Return a loss as logs and tables show it."""
    return f"{value:.4f}"


def ratio(value: float) -> str:
    """Return a number between 0 and 1 as tables show it."""
    return f"{value:.3f}"


def size(num_bytes: float) -> str:
    """Return bytes as people read them: 12288 -> 12 KiB, 1536 -> 1.5 KiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while num_bytes >= 1000 and len(units) > 1:
        num_bytes /= 1024
        units.pop(0)
    decimals = 1 if num_bytes < 10 and units[0] != "B" else 0
    return f"{num_bytes:.{decimals}f} {units[0]}"


def duration(seconds: float) -> str:
    """Return seconds as people read them: 7.25 -> 7.2 s, 75 -> 1:15, 3675 -> 1:01:15."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def epsilon(value: float) -> str:
    """Return a number of privacy as tables show it."""
    return f"{value:.3g}"


UNITS: dict[str, Callable[[float], str]] = {
    "percent": percent,
    "numbers": number,
    "bytes": size,
    "seconds": seconds,
    "MiB": number,
    "nats": loss,
    "ratio": ratio,
    "samples/s": number,
    "epsilon": epsilon,
}
