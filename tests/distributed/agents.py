"""torchrun's agent in a fork that has imported everything; the ranks that it starts, and starts
again, are forks of it.

What torchrun adds, its command line, is tried by test_first_run and by the ranks it leaves behind.
"""

import os
import signal
import sys
import uuid
from pathlib import Path

import ranks
from driver import MISHAPS, arrange
from ports import free_port
from runs import PLACE, Ended, undraw
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pfedmma_dist import train
from pfedmma_dist.run.signals import SIGNALS


def run(words: list[str], log: Path, mishap: ranks.Mishap, size: int = 2) -> Ended:
    """Run ranks, which may be started anew once, to their ends."""
    [agent] = ranks.forks(_agent, [(words, log, mishap, size)])
    try:
        agent.join(ranks.LONG)
        return Ended(agent.exitcode, "", log.read_text())
    finally:
        agent.kill()
        agent.join()


def _agent(words: list[str], log: Path, mishap: ranks.Mishap, size: int) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    for name in PLACE:
        os.environ.pop(name, None)
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=size, max_restarts=1, run_id=str(uuid.uuid4()),
        rdzv_backend="c10d", rdzv_endpoint=f"127.0.0.1:{free_port()}", local_addr="127.0.0.1",
        start_method="fork",
    )  # fmt: skip
    elastic_launch(config, _rank)(words, mishap)


def _rank(words: list[str], mishap: ranks.Mishap) -> None:
    undraw()
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        name, rank, round_index = mishap
        arrange(MISHAPS[name], rank, round_index)
    code = train.main(words)
    if code:
        sys.exit(code)
