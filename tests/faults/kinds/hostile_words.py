"""Configurations, models, names and cluster files that are odd or hostile."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from launch import sweep
from tests.faults.base import Base
from tests.faults.kinds.hostile_pickles import limit_memory
from tests.faults.place import TRACE, Place, last_line, told_refusal
from tests.faults.ranks import Ranks
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.runs import CLIP, Ended

PATIENCE = 60.0
DEEP = "[" * 100_000 + "]" * 100_000

TEMPLATES = (
    "{{}}", "{x} {}", "a {!r} {}", "{0}", "{} {}", "{", "}", "{}}", "{:>1000000000}",
    "{.__class__}", "{[0]}", "{}\0", "", "x", "{!s}", "{:}",
)  # fmt: skip
"""All of them but none with exactly one plain {} and printable text."""

VALUES: dict[str, str] = {
    **{f"data.template={text!r}": f"data.template={text}" for text in TEMPLATES},
    "run.folder with a newline": "run.folder=runs/a\nb",
    "run.folder with an escape code": "run.folder=runs/a\x1b[31mb",
    "run.folder with a NUL": "run.folder=runs/a\0b",
    "data.root with a NUL": "data.root=a\0b",
    "clip.model with a NUL": "clip.model=a\0b",
    "clip.pretrained with a NUL": "clip.pretrained=a\0b",
    "clip.cache_folder with a NUL": "clip.cache_folder=a\0b",
    "data.list with a NUL": "data.list=a\0b",
    "rounds 1e30": "federation.rounds=1e30",
    "batch size 2^63": f"federation.batch_size={2**63}",
    "shards 10^9": f"federation.num_shards={10**9}",
    "lr nan": "optim.lr=nan",
    "lr inf": "optim.lr=inf",
    "lr -0.0": "optim.lr=-0.0",
    "fraction nan": "federation.fraction=nan",
    "a mapping for a number": "federation.rounds={a: 1}",
    "a list for a word": "data.name=[folder]",
    "an interpolation": "data.root=${oc.env:HOME}",
    "an interpolation of itself": "data.root=${data.root}",
    "a tag": "data.root=!!python/object/apply:os.mkdir [sprung]",
    "an alias without an anchor": "data.root=*x",
    "nested 100,000 deep": f"data.root={DEEP}",
    "a key of nothing": "=1",
    "a key of dots": "...=1",
    "a key of Python": "__class__.__init__=1",
    "method options of Python": "method.__class__=1",
}
FILES: dict[str, str] = {
    "tag": "data: !!python/object/apply:os.mkdir [sprung]\n",
    "anchors that unfold": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    ),
    "an alias of itself": "data: &a {root: *a}\n",
    "nested": DEEP,
    "a list": "- 1\n",
    "a number": "7\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
    "a key twice": "seed: 1\nseed: 2\n",
    "no text": "\x00\x01",
    "numbers for keys": "1: 2\n",
    "null keys": "null: 2\n",
    "a huge number": f"seed: {'9' * 100_000}\n",
}  # fmt: skip


def model(**changes: object) -> str:
    """Return a model's JSON with changes of its vision tower, or of itself."""
    sizes = json.loads(json.dumps(CLIP))
    for key, value in changes.items():
        (sizes if key in ("embed_dim", "extra") else sizes["vision_cfg"])[key] = value
    return json.dumps(sizes)


def with_text(**changes: object) -> str:
    """Return a model's JSON with changes of its text tower."""
    return json.dumps(CLIP | {"text_cfg": CLIP["text_cfg"] | changes})


MODELS: dict[str, str] = {
    "embed_dim 10^7": model(embed_dim=10**7),
    "a million layers": model(layers=10**6),
    "width 10^9": model(width=10**9),
    "image_size 10^6": model(image_size=10**6),
    "image_size 0": model(image_size=0),
    "patch_size 0": model(patch_size=0),
    "patch_size above the image": model(patch_size=64),
    "layers -1": model(layers=-1),
    "layers a word": model(layers="many"),
    "layers null": model(layers=None),
    "head_width 0": model(head_width=0),
    "an unknown key": model(extra=1),
    "nested": DEEP, "a list": "[1]", "empty": "", "an empty object": "{}", "null": "null",
    "no towers": '{"embed_dim": 8}',
    "vision_cfg a list": json.dumps(CLIP | {"vision_cfg": [1]}),
    "vocab_size 10^9": with_text(vocab_size=10**9),
    "context_length 10^8": with_text(context_length=10**8),
    "a model on the hub": json.dumps(CLIP | {"text_cfg": {"hf_model_name": "../../etc/passwd"}}),
}  # fmt: skip

CLUSTERS: dict[str, str] = {
    "a newline in partition": 'partition: "gpu\\ntouch sprung"\n',
    "a newline in account": 'account: "x\\ntouch sprung"\n',
    "a newline in qos": 'qos: "x\\ntouch sprung"\n',
    "a newline in a key of sbatch": 'sbatch: {"x\\ntouch sprung": 1}\n',
    "a newline in a value of sbatch": 'sbatch: {constraint: "x\\ntouch sprung"}\n',
    "an escape code in partition": 'partition: "\\e[31m"\n',
    "an unclosed quote in setup": 'setup: ["echo \'x"]\n',
    "an unclosed brace in setup": 'setup: ["if true; then"]\n',
    "setup a word": "setup: module load cuda\n",
    "nodes 10^12 and more": f"nodes: {10**30}\n",
    "nodes 0": "nodes: 0\n",
    "an unknown key": "partitions: gpu\n",
    "a tag": "partition: !!python/object/apply:os.mkdir [sprung]\n",
    "nested": DEEP,
    "a list": "- 1\n",
}

LISTS: dict[str, str] = {
    "a path that leads out": "path,class,split\n../../x.png,a,train\n",
    "an absolute path": "path,class,split\n/etc/passwd,a,train\n",
    "a NUL": "path,class,split\na\0b.png,a,train\n",
    "an escape code in a class": "path,class,split\ntrain/class_0/0.png,\x1b[31m,train\n",
    "no class": "path,split\ntrain/class_0/0.png,train\n",
    "no rows": "path,class,split\n",
    "empty": "",
    "an unknown split": "path,class,split\ntrain/class_0/0.png,a,tryout\n",
    "a quote without end": 'path,class,split\n"train/class_0/0.png,a,train\n',
    "a field of a megabyte": f"path,class,split\n{'x' * 2_000_000},a,train\n",
}

LONG_HEADER = "\0\0\0\0\0\0\0\x10{}"

Prepare = Callable[[Path], list[str]]


def written(key: str, name: str, content: str) -> Prepare:
    """Return what writes a file and names it by a key; without a key, as a configuration."""

    def prepare(folder: Path) -> list[str]:
        (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
        return [f"{key}={folder / name}" if key else str(folder / name)]

    return prepare


def dot_files(folder: Path) -> list[str]:
    """Return a run folder that is somebody's home: it holds nothing but dot files."""
    home = folder / "home"
    home.mkdir()
    (home / ".profile").write_text("x")
    return [f"run.folder={home}"]


TRIED: dict[str, Prepare] = {
    **{name: (lambda folder, word=word: [word]) for name, word in VALUES.items()},
    **{f"YAML: {name}": written("", "mine.yaml", text) for name, text in FILES.items()},
    **{f"model: {name}": written("clip.model", "m.json", text) for name, text in MODELS.items()},
    **{f"list: {name}": written("data.list", "l.csv", text) for name, text in LISTS.items()},
    "JSON lines: nested": written("data.list", "l.jsonl", DEEP + "\n"),
    "class_names: nested": written("data.class_names", "n.json", DEEP),
    "class_names: a list": written("data.class_names", "n.json", "[1]"),
    "weights: text": written("clip.pretrained", "w.safetensors", "hello"),
    "weights: header of 2^60": written("clip.pretrained", "w.safetensors", LONG_HEADER),
    "weights: nothing": written("clip.pretrained", "w.pt", ""),
    "run.folder a home of dot files": dot_files,
}  # fmt: skip


def words(place: Place, name: str) -> Iterator[Verdict]:
    """Start a run with such words: it must be refused, in one line that names the key or file."""
    os.chdir(place.path)
    given = [*place.words(federation__rounds=1), *TRIED[name](place.path)]
    ranks = place.start(given, 1, lambda rank: limit_memory())
    yield judged(name, ranks.wait(PATIENCE)[0], place)


def judged(name: str, ended: Ended, place: Place) -> Verdict:
    """Judge a start that should have been refused."""
    if any(path.name == "sprung" for path in place.path.rglob("*")):
        return Verdict(name, Ending.SILENT, "it was executed")
    if TRACE in ended.err:
        return Verdict(name, Ending.TRACEBACK, last_line([ended]))
    if ended.code == 2:
        told = told_refusal([ended])
        return Verdict(name, Ending.REFUSED if told else Ending.FAILED, told or last_line([ended]))
    if ended.code == 0:
        return Verdict(name, Ending.SILENT, "taken without a word")
    return Verdict(name, Ending.FAILED, f"exit code {ended.code}: {last_line([ended])}")


def cluster(place: Place, name: str) -> Iterator[Verdict]:
    """Submit a sweep with such a cluster file to an sbatch that only says that it was asked."""
    os.chdir(place.path)
    (place.path / "c.yaml").write_text(CLUSTERS[name])
    (place.path / "s.yaml").write_text("base: [data.name=folder]\nrows: {a: []}\n")
    tools = place.path / "tools"
    tools.mkdir()
    for tool in ("sbatch", "scontrol", "squeue", "sinfo"):
        (tools / tool).write_text(f"#!/bin/sh\necho {tool} was asked >&2\nexit 3\n")
        (tools / tool).chmod(0o755)
    given = [str(place.path / "s.yaml"), "--cluster", str(place.path / "c.yaml")]
    given.append(f"run.folder={place.run}")

    def arrange(rank: int) -> None:
        os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
        limit_memory()

    ended = Ranks(place.path / "said", given, 1, arrange, sweep.main).wait(PATIENCE)
    asked = "was asked" in ended[0].err
    if asked and TRACE not in ended[0].err:
        yield Verdict(name, Ending.SILENT, "would have been submitted")
    else:
        yield judged(name, ended[0], place)


def all_words(base: Base) -> Iterator[Trial]:
    """Yield all configurations."""
    for name in TRIED:
        yield Trial(name, partial(words, name=name))


def clusters(base: Base) -> Iterator[Trial]:
    """Yield all cluster files."""
    for name in CLUSTERS:
        yield Trial(name, partial(cluster, name=name))


KINDS = [
    Kind(
        "hostile words, YAML, templates, model files, lists, names and weights",
        "within 1 GiB and 60 s, exit code 2 and one line that names the key or the file; nothing "
        "is executed",
        all_words,
        sample=4,
    ),
    Kind(
        "hostile cluster files",
        "newlines, control characters, open quotes, odd values: refused before anything is queued",
        clusters,
        sample=2,
    ),
]
