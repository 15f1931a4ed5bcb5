"""Pickles from strangers that want to run something, to hang, or to fill the memory."""

import os
import pickle
import random
import resource
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from pfedmma_dist.data.sets.pickles import load_plain
from tests.faults.base import Base
from tests.faults.place import Place
from tests.faults.trial import Ending, Kind, Trial, Verdict

PATIENCE = 10.0
"""Seconds for a file of some hundred bytes."""

ROOM = 2**30
"""Bytes of memory that a small file may take."""

SPRUNG = "sprung"
SERIES, EACH = 4, 250


class Call:
    """Asks for a call when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        """Return what to call."""
        return self.call


def chain(head: bytes, link: bytes, times: int) -> bytes:
    """Return a pickle that builds on itself."""
    return b"\x80\x04" + head + link * times + b"."


WIDE = pickle.dumps(np.zeros(4)).replace(b"K\x04\x85", b"\x8a\x06\0\0\0\0\0\x01\x85")

PICKLES: dict[str, bytes] = {
    **{f"mkdir, protocol {p}": pickle.dumps(Call(os.mkdir, SPRUNG), p) for p in range(6)},
    **{f"mkdir in a list in a dict, protocol {p}":
       pickle.dumps({"x": ([Call(os.mkdir, SPRUNG)],)}, p) for p in range(6)},
    "eval": pickle.dumps(Call(eval, f"__import__('os').mkdir('{SPRUNG}')")),
    "exec": pickle.dumps(Call(exec, f"import os; os.mkdir('{SPRUNG}')")),
    "import": pickle.dumps(Call(__import__, "antigravity")),
    "getattr": pickle.dumps(Call(getattr, "x", "join")),
    "open": pickle.dumps(Call(open, SPRUNG, "w")),
    "numpy.load": pickle.dumps(Call(np.load, SPRUNG)),
    "numpy.frombuffer": pickle.dumps(Call(np.frombuffer, b"1234")),
    "bytearray of 2^40": pickle.dumps(Call(bytearray, 2**40)),
    "old-style instance": b"(S'" + SPRUNG.encode() + b"'\nios\nmkdir\n.",
    "object opcode": b"(cos\nmkdir\nS'" + SPRUNG.encode() + b"'\no.",
    "new object": b"\x80\x02cos\nmkdir\n(S'" + SPRUNG.encode() + b"'\nt\x81.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x06sprung\x85R.",
    "dotted global": b"\x80\x04\x8c\x05numpy\x8c\x0clib.npyio.os\x93.",
    "persistent id": b"Psprung\n.",
    "binary persistent id": b"\x80\x02K\x01Q.",
    "extension": b"\x80\x02\x82\x01.",
    "a set": pickle.dumps({1, 2}),
    "a complex number": pickle.dumps(1j),
    "a structured array": pickle.dumps(np.zeros(2, [("a", "i4")])),
    "an array of sets": pickle.dumps(np.array([{1}, None], object)),
    "tuples of tuples, 2^60 nodes": chain(b"K\x01", b"2\x86", 60),
    "lists of lists, 2^60 nodes": chain(b"]K\x01a", b"q\x00]h\x00ah\x00a", 60),
    "dicts of dicts, 2^60 nodes": chain(b"K\x01", b"q\x00}(K\x01h\x00K\x02h\x00u", 60),
    "tuples of three, 3^40 nodes": chain(b"K\x01", b"22\x87", 40),
    "tuples of tuples as a key": chain(b"}K\x01", b"2\x86", 60)[:-1] + b"K\x01s.",
    "a list in itself": b"\x80\x04]q\x00h\x00a.",
    "a dict in itself": b"\x80\x04}q\x00K\x01h\x00s.",
    "nested 100,000 lists": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "nested 100,000 tuples": b"\x80\x04K\x01" + b"\x85" * 100_000 + b".",
    "memo index 2^31": b"]r\xff\xff\xff\x7f.",
    "text of 2^60 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.",
    "frame of 2^60 bytes": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"K\x01.",
    "bytes of 2^31": b"\x80\x03B" + struct.pack("<I", 2**31 - 1) + b"x.",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "a long of 2^31 bytes": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
    "an array of shape 2^40": WIDE,
    "no pickle": b"hello", "nothing": b"", "only a stop": b".", "only a mark": b"(.",
    "zeros": bytes(1000),
}  # fmt: skip

VALUES = (
    {"data": b"\xff\0" * 20, "labels": [1, 2], "x": (None, True, 1.5)},
    np.array(["a/1.jpg", "b"], object),
    np.arange(12, dtype=np.uint8).reshape(3, 4),
    [np.str_("bird"), np.int64(3), np.float32(0.5)],
)


def unpickled(name: str, file: Path) -> Verdict:
    """Read a pickle, which must give plain data or a refusal that names the file."""
    try:
        load_plain(file)
        ending, note = Ending.AS_TOLD, ""
    except ValueError as error:
        ending = Ending.REFUSED if str(file) in str(error) else Ending.FAILED
        note = "" if ending is Ending.REFUSED else str(error)[:200]
    except Exception as error:
        ending, note = Ending.TRACEBACK, repr(error)[:200]
    if Path(SPRUNG).exists():
        return Verdict(name, Ending.SILENT, "it was executed")
    return Verdict(name, ending, note)


def limit_memory() -> None:
    """Let this process take no more than a little beyond what it has."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))


def one_pickle(place: Place, name: str) -> Iterator[Verdict]:
    """Read one of the chosen pickles."""
    os.chdir(place.path)
    limit_memory()
    file = place.path / "file.pkl"
    file.write_bytes(PICKLES[name])
    yield unpickled(name, file)


def random_pickles(place: Place, seed: int, number: int) -> Iterator[Verdict]:
    """Read pickles of plain data with some bytes changed, cut or put in."""
    os.chdir(place.path)
    limit_memory()
    rng, file = random.Random(seed), place.path / "file.pkl"
    for index in range(number):
        content = bytearray(pickle.dumps(rng.choice(VALUES), rng.randrange(6)))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(content))
            if rng.random() < 0.5:
                content[at] = rng.randrange(256)
            elif rng.random() < 0.5:
                content[at:at] = rng.randbytes(rng.randrange(1, 6))
            else:
                del content[at : at + rng.randrange(1, 6)]
            content = content or bytearray(b".")
        file.write_bytes(content)
        yield unpickled(f"seed {seed}, {index}", file)


def pickles(base: Base) -> Iterator[Trial]:
    """Yield the chosen pickles."""
    for name in PICKLES:
        yield Trial(name, partial(one_pickle, name=name), PATIENCE)


def altered(base: Base) -> Iterator[Trial]:
    """Yield series of altered pickles."""
    number = 16 if base.quick else EACH
    for seed in range(SERIES):
        yield Trial(f"series {seed}", partial(random_pickles, seed=seed, number=number), PATIENCE)


KINDS = [
    Kind(
        "hostile pickles, chosen",
        "calls in every protocol, references that unfold to 2^60 nodes, absurd sizes; nothing is "
        "executed, and within 10 s and 1 GiB the file is refused by name or gives plain data",
        pickles,
        sample=3,
    ),
    Kind(
        "pickles with random bytes changed, cut and put in",
        "the same",
        altered,
    ),
]
