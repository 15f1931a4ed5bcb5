"""Training steps: the product's forward pass, falling loss, and going on as if never stopped."""

from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from toy_model import RECIPE, toy_model

from pfedmma_dist.clip.load import untrained
from pfedmma_dist.pretraining.batches import draw_batch, words_of
from pfedmma_dist.pretraining.captions import vocabulary
from pfedmma_dist.pretraining.recipe import Recipe
from pfedmma_dist.pretraining.towers import Towers
from pfedmma_dist.pretraining.trainer import Trainer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_model(tmp_path_factory.mktemp("model"))


def trainer(model: Path, recipe: Recipe = RECIPE) -> Trainer:
    return Trainer(recipe, Towers.start(model, words_of(model)[0], recipe.seed))


def trained(model: Path, start: Trainer, steps: range) -> Trainer:
    tokenize = words_of(model)[1]
    for step in steps:
        start.train(draw_batch(start.recipe, step, tokenize))
    return start


def test_towers_encode_as_open_clip(model: Path) -> None:
    tokenize = words_of(model)[1]
    towers, module = trainer(model).towers, untrained(str(model), RECIPE.seed).eval()
    batch = draw_batch(RECIPE, 0, tokenize)
    pixels = torch.from_numpy(batch.pixels)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    shown = ((pixels / 255 - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
    texts = ["a photo of a striped fish.", "x x x x x x x x x x x x red star.", "dotted key"]
    full = open_clip.SimpleTokenizer(context_length=32)(texts)
    with torch.no_grad():
        images = module.encode_image(shown, normalize=True)
        words = module.encode_text(full, normalize=True)
        torch.testing.assert_close(towers.encode_image(pixels), images, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(towers.encode_text(tokenize(texts)), words, rtol=1e-4, atol=1e-5)


def test_vocabulary_keeps_its_rows_alone(model: Path) -> None:
    ids, tokenize = words_of(model)
    assert len(trainer(model).towers.weights["token_embedding.weight"]) == len(ids)
    assert int(tokenize(vocabulary()).max()) == len(ids) - 1  # the end of a text


def test_every_weight_has_a_gradient(model: Path) -> None:
    done = trained(model, trainer(model), range(2))
    without = {name for name, x in done.towers.weights.items() if not x.grad.abs().sum() > 0}
    assert not without


def test_loss_falls_on_one_batch(model: Path) -> None:
    start = trainer(model, replace(RECIPE, images=800, lr=3e-3))
    batch = draw_batch(RECIPE, 0, words_of(model)[1])
    losses = [start.train(batch) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]


def test_resumed_run_ends_with_the_same_bits(model: Path, tmp_path: Path) -> None:
    straight = trained(model, trainer(model), range(4))
    trained(model, trainer(model), range(2)).save(tmp_path / "checkpoint.pt")
    again = trainer(model)
    again.load(tmp_path / "checkpoint.pt")
    trained(model, again, range(2, 4))
    assert again.step == straight.step == 4
    for name, x in straight.towers.weights.items():
        assert torch.equal(x, again.towers.weights[name]), name


def test_checkpoint_of_another_recipe_is_refused(model: Path, tmp_path: Path) -> None:
    trainer(model).save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="another recipe.*choose another folder"):
        trainer(model, replace(RECIPE, seed=1)).load(tmp_path / "checkpoint.pt")


def test_batch_has_no_class_twice(model: Path) -> None:
    recipe = replace(RECIPE, images=640, batch=64)
    combos = draw_batch(recipe, 3, words_of(model)[1]).combos
    assert len(set(combos.tolist())) == 64


def test_recipe_ramps_up_and_fades_out() -> None:
    recipe = Recipe(images=64_000)
    assert recipe.difficulty_at(0) == 0 and recipe.difficulty_at(400) == recipe.difficulty
    assert recipe.lr_at(149) == recipe.lr and recipe.lr_at(999) < 1e-7
