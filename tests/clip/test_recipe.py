"""The words that a feature depends on: each of them changes the key, and people can read them."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from noise import GROUPS, KINDS, views_of
from slow_form import random_clip

from pfedmma_dist.clip import recipe as recipe_module
from pfedmma_dist.clip.cache import join
from pfedmma_dist.clip.model import FINAL, ImageFeatures
from pfedmma_dist.clip.recipe import arithmetic, device, key, recipe, versions

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

ARGUMENTS = {
    "clip": lambda: random_clip(torch.float32),
    "kinds": lambda: KINDS,
    "order": lambda: join(GROUPS),
    "dtype": lambda: torch.float32,
    "identity": lambda: "images",
    "made_by": lambda: "Pillow 1",
}


def words(**changes: Callable[[], object]) -> dict[str, str]:
    """Return the recipe of the noise, with some arguments changed."""
    return recipe(*(value() for value in (ARGUMENTS | changes).values()))


@pytest.mark.parametrize(
    "word, changes",
    [
        ("images", {"identity": lambda: "other images"}),
        ("rows", {"order": lambda: views_of([7])}),
        ("rows", {"order": lambda: join(GROUPS[::-1])}),
        ("features", {"kinds": lambda: (FINAL,)}),
        ("features", {"kinds": lambda: (*KINDS[:2], ImageFeatures(3, entry=True))}),
        ("features", {"kinds": lambda: KINDS[::-1]}),
        ("stored", {"dtype": lambda: torch.bfloat16}),
        ("made by", {"made_by": lambda: "Pillow 2"}),
    ],
)
def test_every_argument_is_a_word(word: str, changes: dict[str, Callable[[], object]]) -> None:
    before, after = words(), words(**changes)
    assert {name for name in before if before[name] != after[name]} == {word}
    assert key(before) != key(after)


@pytest.mark.parametrize(
    "word, place, name, value",
    [
        ("made by", recipe_module, "VERSION", 99),
        ("made by", recipe_module, "CHUNK", 32),
        ("torch", torch, "__version__", "0.1"),
        ("arithmetic", torch.backends.mkldnn, "matmul", SimpleNamespace(fp32_precision="bf16")),
        ("arithmetic", torch.backends.mkldnn, "conv", SimpleNamespace(fp32_precision="tf32")),
        ("device", torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT"),
    ],
)
def test_every_circumstance_is_a_word(
    word: str, place: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = words()
    monkeypatch.setattr(place, name, value)
    after = words()
    assert {name for name in before if before[name] != after[name]} == {word}
    assert key(before) != key(after)


def test_a_gpu_is_another_device_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H200")
    assert device(CUDA) == "cuda H200"
    assert device(CPU).startswith("cpu ")


@pytest.mark.parametrize("kind", ["matmul", "conv"])
def test_tf32_on_a_gpu_is_another_arithmetic(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"matmul": torch.backends.cuda, "conv": torch.backends.cudnn}
    found = set()
    for precision in ("ieee", "tf32"):
        monkeypatch.setattr(places[kind], kind, SimpleNamespace(fp32_precision=precision))
        found.add((arithmetic(torch.float32, CUDA), arithmetic(torch.float32, CPU)))
    assert len({gpu for gpu, _ in found}) == 2 and len({cpu for _, cpu in found}) == 1


def test_arithmetic_knows_its_type() -> None:
    assert arithmetic(torch.float32, CPU) != arithmetic(torch.bfloat16, CPU)


def test_words_can_be_read() -> None:
    found = words()
    assert found["features"] == "final.bin fork1.bin fork3.bin"
    assert found["stored"] == "torch.float32"
    assert found["made by"] == "Pillow 1, towers 1 by 64 images"
    assert found["torch"] == torch.__version__


def test_what_an_installation_has_in_common_is_part_of_every_recipe() -> None:
    assert versions("Pillow 1").items() <= words().items()


def test_threads_are_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    before = words()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert words() == before


def test_a_key_does_not_depend_on_the_order_of_words() -> None:
    found = words()
    assert key(found) == key(dict(sorted(found.items())))
    assert len(key(found)) == 20
