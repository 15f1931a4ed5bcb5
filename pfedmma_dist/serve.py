"""Ask a run in the browser: `python -m pfedmma_dist.serve RUN [OPTION ...]`.

Opens a page on this machine: drop an image there, and see what a client makes of it beside
zero-shot CLIP and the global model. Programs POST images to /classify and are answered in JSON.

  --client N       who answers where a request does not say: a number, shared or zero-shot; 0
  --port N         8000; 0: any that is free
  --host NAME      127.0.0.1, which only this machine reaches. Another one, such as 0.0.0.0, lets
                   everybody on its network ask: there are no passwords and no encryption
  --device NAME    cpu, or cuda
  --set KEY=VALUE  of what `evaluate` may change, such as data.root=DIR; may be repeated
  --help, -h       this text

Needs the extra [serve]. Ctrl-C, or SIGTERM, ends it; what is under way is finished first.
"""

import argparse
import logging
import sys
from functools import partial

from pfedmma_dist import glance

if __name__ == "__main__":  # before imports of seconds
    glance.leave_with(lambda: __doc__)

from pfedmma_dist import command
from pfedmma_dist.asking import act, opened, parser, remark
from pfedmma_dist.ending import ended
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.serving.desk import Desk
from pfedmma_dist.serving.limits import Limits

log = logging.getLogger(__name__)

EXTRA = ("starlette", "uvicorn", "python_multipart", "h11", "anyio")

LOCAL = "127.0.0.1"


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    found = parser("serve")
    found.add_argument("--port", metavar="N", type=_port, default=8000)
    found.add_argument("--host", metavar="NAME", default=LOCAL)
    return act(found, argv, __doc__, ("--port", "--host"), serve)


def serve(asked: argparse.Namespace) -> int:
    """Serve a run until a signal."""
    try:
        from pfedmma_dist.serving.server import Server, address_of, is_loopback, listen
        from pfedmma_dist.serving.web import Site
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRA:
            raise
        raise ValueError(
            f"serve: {name} is not installed; pip install 'pfedmma_dist[serve]', or "
            "starlette, uvicorn and python-multipart"
        ) from error
    with listen(asked.host, asked.port) as port:  # who has it is told before the model is loaded
        model, _ = opened(asked)
        desk = Desk(model, Limits())
        try:
            desk.warm(asked.client)
            site = Site(desk, desk.limits, title_of(model), asked.client)
            for words in filter(None, [remark(model, asked.client)]):
                log.warning("%s", words)
            if not is_loopback(port):
                log.warning(
                    "--host: whoever reaches %s may ask, without a password and unencrypted; "
                    "leave --host out for this machine alone", address_of(port),
                )  # fmt: skip
            line = f"{site.title}: {address_of(port)} (Ctrl-C ends)\n"
            Server(site, [asked.host], partial(_say, line)).run([port])
        finally:
            desk.close()
    log.info("ended")
    return 0


def title_of(model: Trained) -> str:
    """Return what the page calls a run."""
    name, rounds = model.federation.cfg.method["name"], model.num_rounds
    words = f"{model.folder.path.resolve().name}: {name} on {model.federation.cfg.data.name}"
    return f"{words}, {model.num_clients:,} clients, {rounds:,} rounds"


def _say(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _port(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) <= 65_535):
        raise argparse.ArgumentTypeError(f"{word!r} is no port, a number from 0 to 65535")
    return int(word)


if __name__ == "__main__":
    command.leave(ended(main))
