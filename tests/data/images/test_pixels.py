import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.images.pixels import PixelLoader, _random_box, centre_crop, random_view

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZES = [(31, 17), (17, 31), (9, 9), (8, 8), (5, 200), (200, 5), (8, 9), (101, 67), (3, 4), (1, 7)]


def noise(width: int, height: int) -> Image.Image:
    draw = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


class Drawn:
    """A store without files that writes down with how many rows it was opened."""

    def __init__(self, span: int, size: int = 8) -> None:
        self.span = span
        self.size = size
        self.opened: list[int] = []

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        self.opened.append(len(rows))
        return [noise(self.size + row, self.size) for row in rows.tolist()]


def drawn(store: Drawn, size: int = 8) -> PixelLoader:
    rows = np.arange(20)
    return PixelLoader(Images(store, rows * 0, ("a",), rows, rows[:0]), size, MEAN, STD, seed=3)


def one(loader: PixelLoader, row: int, view: int) -> torch.Tensor:
    return loader.batch(np.array([row]), np.array([view]))[0]


@pytest.fixture
def loader(tmp_path: Path) -> PixelLoader:
    """Return a loader of twelve images of different shapes."""
    for row in range(12):
        noise(20 + 3 * row, 40 - row).save(tmp_path / f"{row}.png")
    paths = tuple(f"{row}.png" for row in range(12))
    rows = np.arange(12)
    images = Images(Files(tmp_path, paths), np.zeros(12, np.int64), ("a",), rows, rows[:0])
    return PixelLoader(images, 8, MEAN, STD, seed=3)


@pytest.mark.parametrize("width, height", SIZES)
@pytest.mark.parametrize("size", [8, 11])
def test_centre_crop_equals_torchvision(width, height, size):
    theirs = transforms.Compose(
        [
            transforms.Resize(size, InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
        ]
    )
    image = noise(width, height)
    assert np.array_equal(centre_crop(image, size), theirs(image))


def test_loaded_view_0_equals_torchvisions_test_transform(loader):
    theirs = transforms.Compose(
        [
            transforms.Resize(8, InterpolationMode.BICUBIC),
            transforms.CenterCrop(8),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    for row, opened in enumerate(loader.images.store.open(np.arange(12))):
        assert torch.equal(one(loader, row, 0), theirs(opened))


@pytest.mark.parametrize("width, height", [(1, 1000), (1000, 1), (2, 700), (700, 2)])
def test_box_of_a_very_long_image_falls_back_as_torchvision_does(width, height):
    top, left, high, wide = transforms.RandomResizedCrop.get_params(
        noise(width, height), scale=[0.08, 1.0], ratio=[3 / 4, 4 / 3]
    )
    box = _random_box(width, height, np.random.default_rng(0))
    assert box == (left, top, left + wide, top + high)


def test_random_boxes_cover_the_published_ranges():
    draw = np.random.default_rng(0)
    boxes = np.array([_random_box(400, 300, draw) for _ in range(4000)])
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, ratio = wide * high / 120_000, wide / high
    assert boxes.min() == 0
    assert (boxes[:, 2] <= 400).all()
    assert (boxes[:, 3] <= 300).all()
    assert 0.079 < area.min() < 0.09
    assert 0.97 < area.max() <= 1
    assert 0.74 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 1.35


def test_random_boxes_are_distributed_like_torchvisions():
    draw = np.random.default_rng(0)
    ours = np.array([_random_box(60, 40, draw) for _ in range(3000)])
    image = noise(60, 40)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = np.array(
            [
                transforms.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3])
                for _ in range(3000)
            ]
        )
    top, left, high, wide = theirs.T
    expected = np.stack([left, top, left + wide, top + high], axis=1)
    error = 5 * expected.std(axis=0) * np.sqrt(2 / 3000)
    assert (abs(ours.mean(axis=0) - expected.mean(axis=0)) < error).all()


def test_half_of_the_random_views_are_flipped():
    ramp = Image.fromarray(np.tile(np.arange(0, 240, 4, dtype=np.uint8)[:, None], (60, 1, 3)))
    draw = np.random.default_rng(0)
    views = [np.asarray(random_view(ramp, 8, draw), np.int64) for _ in range(400)]
    flipped = sum(bool(view[0, 0, 0] > view[0, -1, 0]) for view in views)
    assert 160 < flipped < 240


def test_view_is_a_function_of_seed_row_and_number(loader):
    again = PixelLoader(loader.images, 8, MEAN, STD, seed=3)
    other = PixelLoader(loader.images, 8, MEAN, STD, seed=4)
    assert torch.equal(one(loader, 5, 2), one(again, 5, 2))
    assert not torch.equal(one(loader, 5, 2), one(loader, 5, 1))
    assert not torch.equal(one(loader, 5, 2), one(other, 5, 2))
    assert torch.equal(one(loader, 5, 0), one(other, 5, 0))


def test_batch_keeps_the_order_and_is_equal_at_any_number_of_threads(loader):
    rows, views = np.array([7, 0, 7, 11, 3, 3]), np.array([0, 1, 2, 0, 1, 1])
    expected = torch.stack([one(loader, row, view) for row, view in zip(rows, views, strict=True)])
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        assert torch.equal(loader.batch(rows, views), expected)


def test_rows_are_opened_as_many_at_once_as_the_store_asks_for():
    store = Drawn(span=4)
    drawn(store).batch(np.arange(10), np.zeros(10, np.int64))
    assert store.opened == [4, 4, 2]


def test_pixels_depend_neither_on_the_span_nor_on_the_order():
    rows, views = np.arange(20), np.arange(20) % 3
    order = np.random.default_rng(0).permutation(20)
    expected = drawn(Drawn(span=1)).batch(rows, views)
    for span, count in ((3, 1), (7, 2), (64, 5)):
        torch.set_num_threads(count)
        turned = drawn(Drawn(span)).batch(rows[order], views[order])
        assert torch.equal(turned, expected[order])


def test_image_of_the_size_of_the_model_is_left_as_it_is():
    image = noise(8, 8)
    assert centre_crop(image, 8) is image


def test_empty_batch_has_no_images(loader):
    assert loader.batch(np.arange(0), np.arange(0)).shape == (0, 3, 8, 8)


def test_stream_yields_the_batches_of_its_chunks(loader):
    chunks = [(np.arange(start, start + 4), np.full(4, start)) for start in (8, 0, 4)]
    for pixels, (rows, views) in zip(loader.stream(chunks), chunks, strict=True):
        assert torch.equal(pixels, loader.batch(rows, views))


def test_stream_takes_at_most_two_chunks_ahead(loader):
    taken = []

    def chunks():
        for row in range(12):
            taken.append(row)
            yield np.array([row]), np.array([0])

    for row, _ in enumerate(loader.stream(chunks())):
        assert len(taken) <= row + 3


def test_stream_raises_when_the_broken_chunk_is_due(loader):
    Path(loader.images.store.name(4)).write_bytes(b"")
    chunks = [(np.arange(start, start + 2), np.zeros(2, np.int64)) for start in range(0, 12, 2)]
    stream = loader.stream(chunks)
    assert len([next(stream), next(stream)]) == 2
    with pytest.raises(ValueError, match=r"4\.png"):
        next(stream)


def test_stream_left_early_ends_its_threads(loader):
    before = threading.active_count()
    stream = loader.stream((np.arange(12), np.zeros(12, np.int64)) for _ in range(5))
    next(stream)
    stream.close()
    assert threading.active_count() == before
