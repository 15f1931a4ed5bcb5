"""Opening: a federation with the state of a finished run, on one device, for who asks it.

What the run's folder tells is enough where it tells everything (recorded.py); else the data of the
run is read as `evaluate` reads it.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from pfedmma_dist.adoption import check_config
from pfedmma_dist.build import attach_features
from pfedmma_dist.clip.load import check, load
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.choices import Dtype
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.divided import method_of
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.files_read import refuse_altered
from pfedmma_dist.home.recorded import recorded_facts, recorded_task, why_not_recorded
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.trained import refuse_what_made_it, restored, take_state
from pfedmma_dist.world import World

log = logging.getLogger(__name__)


def opened(
    folder: RunFolder, device: str, words: Sequence[str]
) -> tuple[Federation, RunFolder, int]:
    """Return the federation of a run, its folder, and the rounds that it has trained.

    words: key=value, of what scores may differ in. ValueError for whatever a user can mend.
    """
    folder.refuse_none()
    cfg = read([str(folder.config), *words], methods=METHODS, sources=SOURCES)
    check_config(folder, METHODS)
    refuse_what_made_it(cfg, folder)
    world = World.alone(_known(device))
    if cfg.clip.dtype is Dtype.tfloat32 and world.device.type != "cuda":
        log.warning("clip.dtype: tfloat32 is arithmetic of a GPU; float32 is computed here")
        cfg.clip.dtype = Dtype.float32
    facts = recorded_facts(folder)
    why_not = why_not_recorded(cfg, folder, facts)
    if cfg.evaluate.finetune_epochs:
        why_not = why_not or "evaluate.finetune_epochs trains before scores"
    if why_not or facts is None:
        return _of_images(cfg, folder, world, why_not)
    return _of_record(cfg, folder, world, facts)


def _of_images(
    cfg: Config, folder: RunFolder, world: World, why: str
) -> tuple[Federation, RunFolder, int]:
    """Open a run whose own images have to be there."""
    threads = torch.get_num_threads()
    try:
        federation, done = restored(cfg, folder, world)
        if Examiner(federation).tunes:
            attach_features(federation, testing=False)
    except ValueError as error:
        told = f"{error} (the run's own images are read, since {why})"
        raise ValueError(told) from error
    finally:
        torch.set_num_threads(threads)  # a run's choice is not that of who asks it
    return federation, folder, done


def _of_record(
    cfg: Config, folder: RunFolder, world: World, facts: Mapping[str, Any]
) -> tuple[Federation, RunFolder, int]:
    """Open a run that tells all that is needed."""
    check(cfg.clip)
    task = recorded_task(cfg, folder, facts)
    clip = load(cfg.clip, cfg.seed, world.device)
    if cfg.clip.dtype.value == facts["configuration"]["clip.dtype"]:
        _check_weights(clip, facts, cfg)
    federation = Federation(cfg, task, method_of(cfg, task, clip.dims), clip, world)
    check_files = partial(refuse_altered, cfg, federation.layout.fingerprint())
    return federation, folder, take_state(federation, folder, check_files)


def _known(device: str) -> str:
    """Return the name of a device that is there."""
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device: {device!r} is none of cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: torch sees no CUDA device here; leave it at cpu")
    return device


def _check_weights(clip: FrozenCLIP, facts: Mapping[str, Any], cfg: Config) -> None:
    """Refuse other weights than those beside which the clients' numbers were trained."""
    now = {"image": clip.image_hash(), "text": clip.text_hash()}
    for side, digest in facts["weights"].items():
        if now.get(side) != digest:
            raise ValueError(
                f"clip.pretrained: the {side} tower's weights are not those of the run "
                f"(clip.model={cfg.clip.model}, clip.pretrained={cfg.clip.pretrained}); bring back "
                "the file that it was trained with"
            )
