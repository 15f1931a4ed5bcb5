"""`Trained.open`: a finished run answers without its images, and says so where it cannot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import Lab, call

from pfedmma_dist.data.images.pixels import PixelLoader
from pfedmma_dist.data.sets import registry
from pfedmma_dist.home.opening import opened
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.trained import restored
from pfedmma_dist.world import World


@pytest.fixture(scope="module")
def lab(finished: Lab) -> Lab:
    """A finished run, one that was stopped after a round, and one of label shift."""
    own = {"method__name": "pfedmma", "evaluate__every": 0, "federation__rounds": 2}
    assert call(finished.words("paused", **own, run__pause_after=1)) != 0
    assert call(finished.words("shift", **own, data__task="label_shift")) == 0
    return finished


@pytest.fixture(scope="module")
def trained(lab: Lab) -> Trained:
    """The finished run, while its images are there."""
    return Trained.open(lab.folder("done"))


@pytest.fixture
def without_data(lab: Lab) -> Path:
    """Where the images are while they are away."""
    gone = lab.path / "gone"
    lab.data.rename(gone)
    yield gone
    gone.rename(lab.data)


def pixels(trained: Trained, folder: Path) -> torch.Tensor:
    files = sorted(folder.rglob("test/*/*.*"))[::5]
    return torch.stack([trained.preprocess(Image.open(file)) for file in files])


@pytest.mark.parametrize("run", ["done", "shift"])
def test_run_without_its_images_answers_as_with_them(
    lab: Lab, run: str, without_data: Path
) -> None:
    bare = Trained.open(lab.folder(run))
    images = pixels(bare, without_data)
    found = [bare.client(client).logits(images) for client in range(bare.num_clients)]
    without_data.rename(lab.data)
    cfg = bare.federation.cfg
    federation, done = restored(cfg, RunFolder(lab.folder(run)), World.alone())
    whole = Trained(federation, bare.folder, done)
    lab.data.rename(without_data)
    expected = [whole.client(client).logits(images) for client in range(whole.num_clients)]
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert bare.class_names == whole.class_names and bare.num_rounds == done == 2


def test_classes_of_a_client_are_told_where_images_can_be_listed(
    lab: Lab, trained: Trained
) -> None:
    own = [trained.classes_of(client) for client in range(trained.num_clients)]
    assert sorted(name for names in own for name in names) == sorted(trained.class_names)


def test_classes_of_a_client_are_empty_without_its_images(lab: Lab, without_data: Path) -> None:
    assert Trained.open(lab.folder("done")).classes_of(0) == []


def test_pixels_are_those_that_scores_are_made_of(lab: Lab, trained: Trained) -> None:
    cfg, clip = trained.federation.cfg, trained.federation.clip
    images = registry.read(cfg.data, cfg.seed, lab.path)
    loader = PixelLoader(images, clip.dims.image_size, clip.mean, clip.std, cfg.seed)
    [image] = images.store.open(images.test[:1])
    [expected] = loader.batch(images.test[:1], np.zeros(1, np.int64))
    assert torch.equal(trained.preprocess(image), expected)


def test_unfinished_run_reads_its_images_and_says_why_they_are_needed(
    lab: Lab, without_data: Path
) -> None:
    with pytest.raises(ValueError, match=r"data.root: .*since it is not finished, and clients.csv"):
        Trained.open(lab.folder("paused"))
    without_data.rename(lab.data)
    assert Trained.open(lab.folder("paused")).num_rounds == 1
    lab.data.rename(without_data)


def test_tuning_before_scores_is_done_before_logits(lab: Lab, trained: Trained) -> None:
    tuned = Trained.open(lab.folder("done"), words=["evaluate.finetune_epochs=1"])
    images = pixels(trained, lab.data)
    assert not torch.equal(trained.client(0).logits(images), tuned.client(0).logits(images))


def test_other_classes_compete_by_the_runs_prompt(lab: Lab, trained: Trained) -> None:
    images = pixels(trained, lab.data)
    novel = trained.client(1, among="novel")
    assert novel.class_names == trained.class_sets["novel"]
    named = trained.client(1, among=trained.class_sets["novel"])
    assert torch.equal(novel.logits(images), named.logits(images))
    with pytest.raises(ValueError, match="is no class set of .*; it has base, novel"):
        trained.shared(among="nowhere")


@pytest.mark.parametrize("client", [-1, 4])
def test_client_out_of_range_is_told_who_there_is(trained: Trained, client: int) -> None:
    with pytest.raises(ValueError, match=rf"client {client}: .* has clients 0 to 3; name one"):
        trained.client(client)


def test_wrong_folder_names_the_one_that_is_meant(lab: Lab) -> None:
    with pytest.raises(ValueError, match=r"give a run folder, one with a config.yaml$"):
        Trained.open(lab.path)
    with pytest.raises(ValueError, match=r"did you mean .*done\?"):
        Trained.open(lab.folder("done") / "result.json")


def test_typo_in_a_key_is_told_with_the_nearest(lab: Lab) -> None:
    with pytest.raises(ValueError, match="data.template"):
        Trained.open(lab.folder("done"), words=["data.templat=a {}"])


def test_key_that_made_the_run_is_refused(lab: Lab) -> None:
    with pytest.raises(ValueError, match="federation.rounds: .* was trained with 2"):
        Trained.open(lab.folder("done"), words=["federation.rounds=3"])


def test_unknown_device_is_refused(lab: Lab) -> None:
    with pytest.raises(ValueError, match="device: 'gpu' is none of cpu, cuda"):
        Trained.open(lab.folder("done"), device="gpu")


def test_other_weights_than_the_runs_are_refused(lab: Lab, tmp_path: Path) -> None:
    shutil.copytree(lab.folder("done"), tmp_path / "run")
    other = json.loads((lab.path / "clip.json").read_text()) | {"quick_gelu": False}
    (lab.path / "clip.json").rename(lab.path / "clip.kept")
    try:
        (lab.path / "clip.json").write_text(json.dumps(other))
        with pytest.raises(ValueError, match="the image tower's weights are not those of the run"):
            Trained.open(tmp_path / "run")
    finally:
        (lab.path / "clip.kept").rename(lab.path / "clip.json")


def test_changed_table_of_clients_makes_the_images_needed(
    lab: Lab, tmp_path: Path, without_data: Path
) -> None:
    shutil.copytree(lab.folder("done"), tmp_path / "run")
    with open(tmp_path / "run" / "clients.csv", "a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match="since clients.csv is not as the run left it"):
        Trained.open(tmp_path / "run")


def test_run_that_has_lost_its_checkpoints_says_so(lab: Lab, tmp_path: Path) -> None:
    shutil.copytree(lab.folder("done"), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(ValueError, match="has lost its checkpoints"):
        opened(RunFolder(tmp_path / "run"), "cpu", ())
