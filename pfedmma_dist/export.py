"""Take a client home: `python -m pfedmma_dist.export RUN --client 7 --to DIR`.

    --client N|shared|zero_shot   whose: a client's of the run, that of what all share (as somebody
                                  new would be handed it), or the untouched CLIP's
    --to DIR                      a new or empty folder; nothing is ever overwritten
    --as FORM                     classes    a class matrix, for any CLIP of the same image tower
                                  open_clip  a whole CLIP with low-rank terms merged into it
                                  peft       an adapter of PEFT for transformers' CLIPModel
                                  module     tensors and a small module over open_clip
                                  torch      image to logits, one program of torch.export
                                  onnx       image to logits, one graph of ONNX
                                  Without it: the first of classes, open_clip, module and torch
                                  that holds what the client has learned.
    --among SET                   classes other than those that are trained on: a class set of the
                                  run, such as novel
    --tower                       the image tower comes along though open_clip could fetch it
    --finetune FOLDER             somebody who was never in the run: personalised first on the
                                  images FOLDER/<class>/*, in place of --client
    key=value                     what scores or that training are to do otherwise, such as
                                  evaluate.finetune_epochs=5 optim.lr=0.01

What is written is read back, without this program where others read it, and held to our own logits;
where they differ by more than 2e-5 nothing is kept. DIR/README.md says how it is used. A finished
run needs none of its images for that. --help, -h: this text.
"""

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import NoReturn

from pfedmma_dist import glance

if __name__ == "__main__":  # before imports of seconds
    glance.leave_with(lambda: __doc__ or "")

import pfedmma_dist
from pfedmma_dist import command
from pfedmma_dist.ending import ended
from pfedmma_dist.home.exporting import FORMS, best_form, open_to_export
from pfedmma_dist.home.folder import export, need_room
from pfedmma_dist.home.head import Head
from pfedmma_dist.home.newcomer import Newcomer, personalised
from pfedmma_dist.home.taken import Taken
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.methods.zero_shot import ZeroShot
from pfedmma_dist.run.checkpoint import CheckpointError
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.spelling import spelled
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

SHARED = "shared"
USAGE = "python -m pfedmma_dist.export RUN --client N --to DIR [--as FORM] [key=value ...]"


class _Words(argparse.ArgumentParser):
    """A parser that tells what is wrong as all commands do."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; usage: {USAGE} (--help tells all)")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if {"--help", "-h"} & {*words}:
        sys.stdout.write(__doc__ or "")
        return 0
    configure_logging(World.alone(), None)
    try:
        _export(_parsed(words))
    except (ValueError, CheckpointError) as error:
        sys.stderr.write(f"error: {spelled(str(error))}\n")
        return command.MEND
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _parsed(words: list[str]) -> argparse.Namespace:
    """Return what the words ask for; ValueError where they do not say it."""
    parser = _Words(add_help=False, allow_abbrev=False)
    parser.add_argument("run")
    parser.add_argument("--client")
    parser.add_argument("--finetune", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--as", dest="form", choices=[*FORMS])
    parser.add_argument("--among")
    parser.add_argument("--tower", action="store_true")
    parser.add_argument("keys", nargs="*", metavar="key=value")
    asked = parser.parse_intermixed_args(words)
    if (asked.client is None) == (asked.finetune is None):
        raise ValueError(
            f"say whose: --client N, --client {SHARED} or --client {ZeroShot.name}, or --finetune "
            f"FOLDER for somebody new; usage: {USAGE}"
        )
    odd = [word for word in asked.keys if "=" not in word]
    if odd:
        raise ValueError(f"{odd[0]}: is no key=value; usage: {USAGE}")
    if asked.finetune is not None and asked.among is not None:
        raise ValueError("--among: somebody new is trained on the run's classes; leave it out")
    return asked


def _export(asked: argparse.Namespace) -> None:
    """Write what is asked for and say what was written."""
    need_room(asked.to)
    log.info("opening %s", asked.run)
    is_new = asked.finetune is not None
    trained, cfg = open_to_export(asked.run, asked.keys, newcomer=is_new)
    new: Newcomer | None = None
    if is_new:
        new = personalised(trained, asked.finetune.expanduser(), cfg)
        for line in _told(new):
            log.info("%s", line)
    taken = Taken(trained, new.head if new else _head(trained, asked.client, asked.among))
    form = FORMS[asked.form] if asked.form else best_form(taken)
    chosen = "" if asked.form else ", the first that holds what it has learned"
    log.info("writing --as %s%s: %s", form.name, chosen, form.what)
    told = export(taken, form, asked.to, pfedmma_dist.__version__, tower=asked.tower,
                  **({"newcomer": _facts(new)} if new else {}))  # fmt: skip
    check = told["check"]
    size = sum(path.stat().st_size for path in asked.to.iterdir())
    sys.stdout.write(
        f"{taken.head.who} of {trained.folder.path} after round {trained.num_rounds}, as "
        f"{form.name}\n"
        f"read back  {check['num_images']} images, logits within "
        f"{check['largest_difference']:.1e} of ours ({check['allowed']:.1e} allowed)\n"
        f"written    {asked.to}, {size / 2**20:,.1f} MiB; README.md there says how it is used\n"
    )


def _head(trained: Trained, client: str, among: str | None) -> Head:
    """Return the head that --client names."""
    if client == SHARED:
        return trained.shared(among=among)
    if client == ZeroShot.name:
        return trained.zero_shot(among=among)
    if not client.isdecimal():
        raise ValueError(
            f"--client: {client!r} is neither a number nor {SHARED} or {ZeroShot.name}; the run "
            f"has clients 0 to {trained.num_clients - 1}"
        )
    if not trained.has_trained(trained.checked(int(client))):
        log.warning("client %s took part in no round so far: it holds what all began with", client)
    return trained.client(int(client), among=among)


def _told(new: Newcomer) -> list[str]:
    """Return the words about somebody who was personalised."""
    if new.before is None or new.after is None:
        return [f"trained on {new.num_trained} images; too few to hold any out and score"]
    return [
        f"trained on {new.num_trained} images; of {new.num_held_out} that were held out it tells "
        f"{new.before:.1f} % before and {new.after:.1f} % after"
    ]


def _facts(new: Newcomer) -> dict[str, object]:
    """Return the same for export.json."""
    return {
        "images": new.num_trained, "held_out": new.num_held_out, "epochs": new.epochs,
        "part": new.part.value, "percent_before": new.before, "percent_after": new.after,
    }  # fmt: skip


if __name__ == "__main__":
    command.leave(ended(main))
