"""What the runs of a stub sweep do: Python programs, called with the run folder."""

from collections.abc import Callable

FINISH = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
row = {"scores": {"local_mean": 60.0}, "trained": 1, "up_bytes": 4, "down_bytes": 4}
(folder / "result.json").write_text(json.dumps({"results": [row]}))
"""
FAIL = "print('[rank0]: Traceback'); print('error: optim.lr: too high'); raise SystemExit(2)"
STOP = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
Stubs = Callable[..., list[str]]
"""Programs by row -> the words of launch.sweep."""
