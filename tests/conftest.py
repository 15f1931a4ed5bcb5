"""Fixtures for all tests; the tiny CLIP and the tiny federations are functions, in tiny.py."""

import json
from collections import Counter
from collections.abc import Iterator

import open_clip
import pytest
import torch
from heavy import rank
from restored import Process
from tiny import golden

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.model import FrozenCLIP

torch.set_num_threads(1)
BEFORE = Process.now()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the heaviest files first, then those of most tests; a file's own tests keep their order.

    Workers take files in this order.
    """
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (rank(item.path), -sizes[item.path]))


class ReducedTokenizer:
    """CLIP's tokenizer with the 16 token ids of the golden inputs numbered from 0."""

    def __init__(self) -> None:
        self.ids = torch.from_numpy(golden("inputs")["vocab_ids"]).long()
        self.full = open_clip.SimpleTokenizer()

    def __call__(self, texts: list[str]) -> torch.Tensor:
        full = self.full(texts)
        reduced = torch.searchsorted(self.ids, full)
        assert torch.equal(self.ids[reduced], full)
        return reduced


@pytest.fixture(scope="session")
def golden_module() -> torch.nn.Module:
    """The open_clip module that holds the golden weights."""
    arrays = golden("clip_tiny")
    sizes = json.loads(str(arrays["config"]))
    state = {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in arrays.items() if k != "config"}
    module = open_clip.CLIP(
        embed_dim=state["text_projection"].shape[1],
        vision_cfg={
            "layers": 4,
            "width": 128,
            "head_width": 64,
            "patch_size": 8,
            "image_size": 32,
        },
        text_cfg={"context_length": 77, "vocab_size": 16, "width": 64, "heads": 1, "layers": 4},
        quick_gelu=True,
    )
    assert sizes
    module.load_state_dict(state)
    return module.eval()


@pytest.fixture(params=["shortcuts", "plain"])
def golden_clip(request: pytest.FixtureRequest, golden_module: torch.nn.Module) -> FrozenCLIP:
    """The golden CLIP, with every shortcut and in the plain form."""
    return freeze(
        golden_module,
        ReducedTokenizer(),
        torch.device("cpu"),
        torch.float32,
        plain=request.param == "plain",
    )


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Leave the process to the next test as it was before the first."""
    yield
    BEFORE.restore()
