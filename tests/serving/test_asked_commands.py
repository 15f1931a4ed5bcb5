"""`classify` and `serve`, as a user calls them, on a tiny run."""

import csv
import io
import json
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from runs import Ended, Lab, alone, call, make_lab
from served import Served
from stand_in import picture

from pfedmma_dist import classify, serve
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.serving.server import Server

Ask = Callable[..., Ended]

RUN = {"method__name": "promptfl", "federation__rounds": 1, "evaluate__every": 0}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A finished run of one round, and images: two good ones, one bad, one of no suffix."""
    lab = make_lab(tmp_path_factory.mktemp("asked"))
    assert call(lab.words("run", data__task="label_shift", **RUN)) == 0
    folder = lab.path / "images"
    (folder / "below").mkdir(parents=True)
    (folder / "a.png").write_bytes(picture("red"))
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "below" / "c.jpg").write_bytes(picture("blue", "JPEG"))
    (folder / "notes.txt").write_text("notes")
    return lab


@pytest.fixture
def ask(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return a function that classifies with these words."""

    def command(*words: object) -> Ended:
        capsys.readouterr()
        with alone():
            code = classify.main([str(lab.folder("run")), *map(str, words)])
        return Ended(code, *capsys.readouterr())

    return command


def test_table_has_the_client_beside_the_others(lab: Lab, ask: Ask) -> None:
    ended = ask(lab.path / "images" / "a.png", "--client", "1", "--top", "2")
    assert ended.code == 0
    [title, heads, line, *rows] = [row.strip() for row in ended.out.splitlines() if row.strip()]
    assert title.endswith("a.png") and len(rows) == 2
    assert [head.strip() for head in heads.split("%")[:3]] == [
        "client 1",
        "zero-shot CLIP",
        "global model",
    ]


def test_folder_is_classified_and_a_bad_image_told(lab: Lab, ask: Ask) -> None:
    ended = ask(lab.path / "images", "--json", "--client", "shared")
    assert ended.code == 1
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["a.png", "bad.png", "c.jpg"]
    assert "not an image" in lines[1]["error"] and "answers" not in lines[1]
    assert list(lines[0]["answers"]) == ["shared", "zero-shot"]
    assert "1 files without the suffix of an image are left out" in ended.err
    assert "bad.png: not an image" in ended.err and "1 of 3 images" in ended.err


def test_probabilities_are_those_of_the_run(lab: Lab, ask: Ask) -> None:
    image = lab.path / "images" / "a.png"
    ended = ask(image, "--csv", "--client", "3", "--top", "99")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    run = Trained.open(lab.folder("run"))
    pixels = run.preprocess(Image.open(image))[None]
    for word, head in {
        "3": run.client(3),
        "shared": run.shared(),
        "zero-shot": run.zero_shot(),
    }.items():
        sure = dict(
            zip(run.class_names, head.logits(pixels)[0].double().softmax(0).tolist(), strict=True)
        )
        own = {row["class"]: float(row["probability"]) for row in rows if row["asked"] == word}
        assert own == pytest.approx(sure)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a.png", "--client", "4"], "--client: there is no client 4; the run has 0 to 3"),
        (["a.png", "--clinet", "1"], "--clinet is unknown; did you mean --client"),
        ([], "give images, or folders of them"),
        (["."], "there is no image in this folder or below"),
        (["a.png", "--set", "clip.modle=x"], "did you mean clip.model"),
    ],
)
def test_slip_is_told_with_its_remedy(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = ask(*words)
    assert ended.code == 2 and told in ended.err and "Traceback" not in ended.err


def test_what_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(picture("red"))
    assert classify.main([str(tmp_path), str(tmp_path / "a.png")]) == 2
    assert "give a run folder, one with a config.yaml" in capsys.readouterr().err
    assert serve.main([str(tmp_path), "--port", "0"]) == 2
    assert "give a run folder, one with a config.yaml" in capsys.readouterr().err


def test_missing_image_is_told(tmp_path: Path, ask: Ask) -> None:
    ended = ask(tmp_path / "none.png")
    assert ended.code == 1 and "none.png: No such file or directory" in ended.err


def test_port_in_use_is_told_before_the_run_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve.main(["no-run", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be taken (Address already in use)" in capsys.readouterr().err


def test_missing_library_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("server", "web", "uploads"):
        monkeypatch.delitem(sys.modules, f"pfedmma_dist.serving.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "python_multipart.exceptions", None)
    assert serve.main(["no-run"]) == 2
    assert "pip install 'pfedmma_dist[serve]'" in capsys.readouterr().err


def test_run_is_served_until_a_signal(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def ask(server: Server) -> None:
        served = Served(
            server.servers[0].sockets[0].getsockname()[1], server, threading.main_thread()
        )
        found.append(served.classify(picture("red")))
        found.append(served.ask("GET", "/clients"))
        found.append(served.ask("GET", "/clients/3"))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    async def main_loop(server: Server) -> None:
        threading.Thread(target=ask, args=(server,)).start()
        await usual(server)

    usual = Server.main_loop
    monkeypatch.setattr(Server, "main_loop", main_loop)
    with alone():
        assert serve.main([str(lab.folder("run")), "--port", "0", "--client", "1"]) == 0
    assert found[0].json["client"] == "1" and len(found[0].json["images"][0]["answers"]) == 3
    assert found[1].json["run"] == "run: promptfl on folder, 4 clients, 1 rounds"
    assert found[2].json["has_trained"] is True and found[2].json["classes"]
    assert capsys.readouterr().out.startswith(
        "run: promptfl on folder, 4 clients, 1 rounds: http://127."
    )
