"""Stand in for pfedmma_dist.train in jobs: write down each start, then do as told."""

import os
import signal
import threading
from pathlib import Path


def main(argv: list[str]) -> int:
    """Do `argv[1]` and write to the folder `argv[0]` what happened."""
    folder, deed = Path(argv[0]), argv[1]
    rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    starts = len(list(folder.glob(f"start-{rank}-*")))
    (folder / f"start-{rank}-{starts}").write_text(size)
    if deed == "crash":
        return 1
    if deed == "finish" or starts:
        return 0
    if deed == "fail":
        return 2
    if deed == "die":
        if rank == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # as if in a collective
    if deed == "wait":
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, lambda *_: stopped.set())
        (folder / f"ready-{rank}").touch()
        while not stopped.wait(0.1):
            pass
        (folder / f"saved-{rank}").touch()
    return 75
