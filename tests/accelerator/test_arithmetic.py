"""What a start settles by the device: arithmetic, kernels and shards."""

import pytest
import torch

from pfedmma_dist.config.command_line import parse
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.start import resolve
from pfedmma_dist.world import World, allow_tf32

GPU = World(0, 1, torch.device("cuda", 0))


def config(*words: str) -> Config:
    return parse(["run.threads=1", *words], methods=METHODS, sources=SOURCES)


@pytest.mark.parametrize(("dtype", "precision"), [("float32", "ieee"), ("tfloat32", "tf32")])
def test_float32_keeps_its_bits_on_a_gpu_unless_asked_otherwise(dtype: str, precision: str) -> None:
    allow_tf32(dtype == "float32")
    resolve(config(f"clip.dtype={dtype}"), GPU)
    assert torch.backends.cuda.matmul.fp32_precision == precision
    assert torch.backends.cudnn.conv.fp32_precision == precision


def test_arithmetic_of_gpus_alone_is_refused_on_a_cpu() -> None:
    with pytest.raises(ValueError, match=r"^clip\.dtype: tfloat32 is .* cpu; set clip.dtype=flo"):
        resolve(config("clip.dtype=tfloat32"), World.alone())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("clip.dtype=float16", r"'float16' is not one of .*small gradients would vanish.*bfloat16"),
        ("clip.cache_dtype=tfloat32", "'tfloat32' is not float32 or bfloat16"),
    ],
)
def test_types_that_would_not_do_are_refused_with_the_reason(word: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        config(word)


def test_a_gpu_has_one_shard_for_each_rank_unless_they_are_counted() -> None:
    eight_ranks = World(0, 8, torch.device("cuda", 0), host_ranks=(0,))
    for world, shards in ((GPU, 1), (eight_ranks, 8), (World.alone(), 8)):
        left, told = config(), config("federation.num_shards=3")
        resolve(left, world)
        resolve(told, world)
        assert (left.federation.num_shards, told.federation.num_shards) == (shards, 3)


@pytest.mark.parametrize("asked", [True, False])
def test_every_command_asks_for_deterministic_kernels(asked: bool) -> None:
    torch.use_deterministic_algorithms(False)
    resolve(config(f"run.deterministic={asked}".lower()), World.alone())
    assert torch.are_deterministic_algorithms_enabled() is asked
