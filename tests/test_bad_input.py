"""What a user can get wrong: one line with key, value and remedy, exit code 2, no traceback."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Lab, call, make_lab, refusal

from pfedmma_dist.clip import storage

Told = Callable[..., str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab whose data nobody spoils."""
    return make_lab(tmp_path_factory.mktemp("bad_input"))


@pytest.fixture
def broken(lab: Lab, tmp_path: Path) -> Lab:
    """A lab of its own, whose data a test may spoil."""
    shutil.copytree(lab.data, tmp_path / "data")
    shutil.copy(lab.path / "clip.json", tmp_path)
    return Lab(tmp_path)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Return a function that starts a run and returns why it is refused."""
    return lambda lab, name="refused", *words, **changes: refusal(
        capsys, [*lab.words(name, **changes), *words]
    )


def test_unknown_key_names_the_nearest(lab: Lab, told: Told) -> None:
    text = told(lab, federation__ronds=3)
    assert text.startswith("error: unknown key federation.ronds; did you mean federation.rounds")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("federation__rounds", "many", "federation.rounds: 'many' is not a whole number"),
        ("federation__rounds", 0, "federation.rounds: 0 is not 1 or more"),
        ("federation__fraction", 0, "federation.fraction: 0.0 is not above 0 and at most 1"),
        ("method__name", "promtfl", "method.name: 'promtfl' is unknown; did you mean promptfl"),
        ("method__rnk", 3, "method.rnk: pfedmma has no such option; did you mean rank?"),
        ("data__name", "folders", "data.name: 'folders' is unknown; did you mean folder?"),
        ("data__template", "a photo", "data.template: 'a photo' is not text with exactly one {}"),
        ("data__template", "{{}}", "data.template: '{{}}' is not text with exactly one {} for"),
        ("data__template", "a\nb {}", "data.template: 'a\\nb {}' holds the control character"),
        ("run__folder", "a\0b", "run.folder: 'a\\x00b' holds the control character '\\x00'; write"),
        ("run__device", "gpu", "run.device: 'gpu' is not auto, cpu or cuda"),
        ("clip__cache", "tape", "clip.cache: 'tape' is not one of auto, ram, disk, off"),
    ],
)
def test_wrong_value_names_what_is_wanted(
    lab: Lab, told: Told, key: str, value: object, words: str
) -> None:
    assert words in told(lab, **{key: value})


def test_yaml_with_a_tab_names_the_file_and_the_line(lab: Lab, told: Told) -> None:
    path = lab.path / "tab.yaml"
    path.write_text("data:\n\tname: folder\n")
    text = told(lab, "refused", str(path))
    assert f"{path} is not readable YAML" in text
    assert "line 2" in text


def test_missing_data_folder_is_named(lab: Lab, told: Told) -> None:
    text = told(lab, data__root=lab.path / "nowhere")
    assert f"data.root: {lab.path / 'nowhere'} is not a folder" in text


def test_data_set_in_its_own_sub_folder_says_what_was_expected(lab: Lab, told: Told) -> None:
    inside = lab.path / "caltech-101"
    (inside / "101_ObjectCategories").mkdir(parents=True)
    text = told(lab, data__name="caltech101", data__root=inside)
    assert "caltech101 expects" in text
    assert f"{inside}/caltech-101/101_ObjectCategories" in text


def test_class_without_an_image_is_named(broken: Lab, told: Told) -> None:
    shutil.rmtree(broken.data / "test" / "class_2")
    (broken.data / "test" / "class_2").mkdir()
    assert f"data.root: {broken.data}/test/class_2 holds no image" in told(broken)


def spoil(lab: Lab) -> list[Path]:
    """Damage four images that are used, each in its way."""
    cut, text = lab.data / "train" / "class_1" / "1.jpg", lab.data / "test" / "class_6" / "0.png"
    empty, huge = lab.data / "test" / "class_6" / "1.jpg", lab.data / "test" / "class_5" / "2.png"
    cut.write_bytes(cut.read_bytes()[:200])
    text.write_text("no image")
    empty.write_bytes(b"")
    huge.write_bytes(b"P6 60000 60000 255\n")
    return [cut, text, empty, huge]


def test_corrupt_images_are_counted_and_named(broken: Lab, told: Told) -> None:
    spoiled = spoil(broken)
    text = told(broken)
    assert "data.root: 4 of 45 images cannot be read: " in text
    assert all(f"{path}: " in text for path in spoiled)
    assert "data.skip_corrupt=true" in text


def test_corrupt_images_are_left_out_and_reported_where_that_is_asked_for(
    broken: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = spoil(broken)
    assert call(broken.words("skipping", data__skip_corrupt="true", federation__rounds=1)) == 0
    text = capsys.readouterr().err
    assert "data.skip_corrupt: left out 4 of 53 images: " in text
    assert all(f"{path}: " in text for path in spoiled)
    rows = (broken.folder("skipping") / "clients.csv").read_text().splitlines()[1:]
    assert sum(int(row.split(",")[1]) for row in rows) == 20


def test_name_of_a_file_sends_no_codes_to_the_terminal(broken: Lab, told: Told) -> None:
    (broken.data / "train" / "class_1" / "\x1b[2J\x07.jpg").write_text("no image")
    text = told(broken)
    assert f"{broken.data}/train/class_1/\\x1b[2J\\x07.jpg: not an image" in text
    assert "\x1b" not in text and "\x07" not in text


def test_client_left_without_test_images_is_named(broken: Lab, told: Told) -> None:
    for image in (broken.data / "test" / "class_3").iterdir():
        image.write_bytes(b"")
    text = told(broken, data__skip_corrupt="true")
    assert "data.root: client " in text
    assert "has no readable test image of its classes (class 3)" in text


def test_more_clients_than_classes_are_refused(lab: Lab, told: Told) -> None:
    assert "data.num_clients: 5 clients cannot share 4 base classes" in told(
        lab, data__num_clients=5
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_absent_cuda_device_is_told(lab: Lab, told: Told) -> None:
    text = told(lab, run__device="cuda")
    assert "run.device: 'cuda' was asked for" in text
    assert "set run.device=cpu" in text


def test_unknown_model_and_tag_name_known_ones(lab: Lab, told: Told) -> None:
    assert "did you mean ViT-B-16" in told(lab, clip__model="ViT-B-161")
    text = told(lab, clip__model="ViT-B-16", clip__pretrained="opnai")
    assert "clip.pretrained: 'opnai' is neither a file nor a tag of ViT-B-16" in text
    assert "openai" in text


def test_weights_that_need_a_network_say_so(
    lab: Lab, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv("HOME", str(tmp_path))  # where open_clip would look for a copy
    text = told(lab, clip__model="RN50", clip__pretrained="openai", method__name="promptfl")
    assert "clip.pretrained: the weights of RN50/openai could not be fetched" in text
    assert "without a network give the path of a local file" in text


def test_pickled_objects_are_never_run(lab: Lab, told: Told, tmp_path: Path) -> None:
    torch.save({"weight": Trap()}, tmp_path / "trap.pt")
    text = told(lab, clip__pretrained=tmp_path / "trap.pt")
    assert "clip.pretrained:" in text
    assert not Path(Trap.sprung).exists()


class Trap:
    """An object that would make a file when unpickled."""

    sprung = "sprung-by-unpickling"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.sprung,)


def test_features_that_fit_nowhere_say_how_much_they_need(
    lab: Lab, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(lab.path)._replace(free=0)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda folder: usage)
    text = told(lab)
    assert "clip.cache_folder: the feature cache needs 0.00 GiB" in text
    assert "has 0.00 GiB free" in text


def test_loss_that_is_not_finite_names_client_and_round(lab: Lab, told: Told) -> None:
    text = told(lab, optim__lr=1e30)
    assert "optim.lr: 1e+30 drove the training of client" in text
    assert "in round 0" in text
    assert "lower optim.lr" in text


def test_method_that_trains_nothing_is_a_run_of_no_rounds(lab: Lab) -> None:
    assert call(lab.words("zero", method__name="zero_shot")) == 0
    result = json.loads((lab.folder("zero") / "result.json").read_text())
    reference, method = result["results"]
    assert result["rounds"] == 0
    assert method["scores"] == reference["scores"]
