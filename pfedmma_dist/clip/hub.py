"""Fetch a model that Hugging Face's hub describes, and fail at once without a network."""

import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from pfedmma_dist.clip.names import DESCRIPTION, HUB, WEIGHTS
from pfedmma_dist.spelling import shortened, spelled

OPEN_CLIPS = WEIGHTS[:2]
"""What open_clip calls the weights that it publishes."""


def need(repository: str) -> None:
    """Raise OSError at once where a repository is neither in the hub's cache nor within reach.

    The hub's own client would first try again for 47 s (measured without a network).
    """
    from huggingface_hub import constants  # takes a third of a second

    name = repository.replace("/", "--")
    cached = Path(constants.HF_HUB_CACHE).glob(f"models--{name}/snapshots/*/*")
    if repository and not any(cached) and not urllib.request.getproxies():
        hub = urlsplit(constants.ENDPOINT)
        socket.create_connection((hub.hostname, hub.port or 443), timeout=5).close()


def description(model: str) -> Path:
    """Return the file that describes a model `hf-hub:organisation/name`."""
    return _fetched(model, (DESCRIPTION,))


def weights(model: str) -> Path:
    """Return the file of its weights."""
    return _fetched(model, OPEN_CLIPS)


def told(error: BaseException) -> str:
    """Return the first line of another library's message, as a terminal can show it."""
    lines = spelled(str(error)).split("\n")
    return shortened(" ".join(lines[0].split()), 160) or type(error).__name__


def _fetched(model: str, names: tuple[str, ...]) -> Path:
    """Return the first of these files that is there, from the cache or the network."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    repository = model.removeprefix(HUB).strip("/")
    try:
        for name in names:
            cached = try_to_load_from_cache(repository, name)
            if isinstance(cached, str):
                return Path(cached)
        need(repository)
        for name in names[:-1]:
            try:
                return Path(hf_hub_download(repository, name))
            except HfHubHTTPError:
                continue  # it has the next, or none
        return Path(hf_hub_download(repository, names[-1]))
    except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
        raise ValueError(
            f"clip.model: {model}: {names[0]} could not be fetched from Hugging Face's hub "
            f"({told(error)}); without a network fetch the repository elsewhere and give its "
            "folder: clip.model=local-dir:FOLDER"
        ) from error
