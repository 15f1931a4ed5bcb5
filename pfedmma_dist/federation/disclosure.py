"""Disclosure: what a run says of its privacy, before its first round and after each."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pfedmma_dist import accountant
from pfedmma_dist.config.choices import Privacy, Riders, Sampling
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.protection import expected, signal_to_noise

IMAGE_DELTA = 1e-5
"""Delta of a single image where it is not given."""


def epsilon_of(federation: Federation, num_rounds: int) -> float | None:
    """Return epsilon after so many rounds of a federation; None where none can be told."""
    found = federation.protection
    return None if found is None else found.epsilon(_counted(federation, num_rounds))


def drawn_facts(federation: Federation, num_rounds: int) -> dict[str, Any]:
    """Return what result.json says of who was drawn and what protects them; nothing by default."""
    found: dict[str, Any] = {}
    if federation.cfg.federation.sampling is Sampling.poisson:
        drawn = [len(federation.participants(index)) for index in range(num_rounds)]
        found["participants"] = {"rounds_of_nobody": drawn.count(0), "of_all_rounds": sum(drawn)}
    if federation.protection is not None:
        found["privacy"] = federation.protection.facts(_counted(federation, num_rounds))
    if federation.cfg.privacy.example_clip is not None:
        found["image_privacy"] = image_facts(federation, num_rounds)
    return found


def image_facts(federation: Federation, num_rounds: int) -> dict[str, Any]:
    """Return what result.json says of the privacy of a single image (see `examples.py`)."""
    own = federation.cfg.privacy
    passes = federation.cfg.federation.local_epochs * _most_rounds(federation, num_rounds)
    delta = IMAGE_DELTA if own.delta is None else own.delta
    missing = None
    if own.riders is Riders.release:
        missing = "privacy.riders: release tells the loss of images without noise; set omit"
    elif not own.example_noise:
        missing = "privacy.example_noise: 0 hides no image; set 1, say"
    way = own.accountant.value
    return {
        "epsilon": None if missing
        else accountant.epsilon(way, own.example_noise, 1.0, passes, delta),
        "delta": delta, "missing": missing, "noise": own.example_noise,
        "clip": own.example_clip, "passes": passes, "accountant": way,
    }  # fmt: skip


def forewarned(federation: Federation) -> list[str]:
    """Return what to say before the first round: that no epsilon will be told, or that noise is
    louder than anything that clients could say."""
    found, told = federation.protection, []
    if federation.cfg.privacy.example_clip is not None:
        why = image_facts(federation, 1)["missing"]
        told += [f"no epsilon of images will be told: {why}"] if why else []
    if found is None:
        return told
    if found.missing():
        told.append(f"no epsilon will be told: {found.missing()}")
    cohort = expected(federation.cfg, 1, found.num_clients)
    clients = math.sqrt(cohort) if found.is_local else cohort
    ratio = signal_to_noise(clients, found.noise, federation.layout.num_shared)
    if ratio < 1:
        told.append(
            f"privacy.noise: {found.noise:.3g} is {1 / ratio:.3g} times as loud as {cohort:g} "
            "clients that all agree: nothing can be learned together; take part with more clients "
            "(data.num_clients, federation.fraction) or share fewer numbers (method.name)"
        )
    return told


def privacy_lines(result: Mapping[str, Any]) -> list[str]:
    """Return what a finished run says of its privacy; result: of result.json."""
    lines = [protection_line(result["privacy"])] if result.get("privacy") else []
    images = result.get("image_privacy")
    if images:
        told = f"no epsilon: {images['missing']}"
        if not images["missing"]:
            told = (
                f"epsilon {images['epsilon']:.4g} at delta {images['delta']:.3g} after "
                f"{images['passes']} passes, noise {images['noise']:.4g} ({images['accountant']})"
            )
        lines.append(f"of an image  {told}")
    return lines


def protection_line(facts: Mapping[str, Any]) -> str:
    """Return what a finished run says of its privacy; facts: see `Protection.facts`."""
    if facts["missing"]:
        return f"privacy      no epsilon: {facts['missing']}"
    who = "that a client takes part in" if facts["name"] == Privacy.local.value else "of sampling"
    return (
        f"privacy      {facts['name']}: epsilon {facts['epsilon']:.4g} at delta "
        f"{facts['delta']:.3g} after {facts['rounds']} rounds {who} at rate {facts['rate']:g}, "
        f"noise {facts['noise']:.4g} ({facts['accountant']})"
    )


def _counted(federation: Federation, num_rounds: int) -> int:
    """Return the rounds that count against a client: all, or where noise is its own, those of the
    client that is in most of them."""
    protection = federation.protection
    is_local = protection is not None and protection.is_local
    return _most_rounds(federation, num_rounds) if is_local else num_rounds


def _most_rounds(federation: Federation, num_rounds: int) -> int:
    """Return in how many of these rounds the client that is in most of them is."""
    chosen = [federation.participants(index) for index in range(num_rounds)]
    return int(np.bincount(np.concatenate([np.zeros(0, np.int64), *chosen]), minlength=1).max())
