"""Where a device's memory runs out, the keys that decide are named, with what each takes of it."""

import re
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from life import Form, born
from pretend import CUDA, pretended
from tiny import SIZES, tiny_clip, tiny_config
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.clip.room import Need, OutOfRoom, chunk, towers, within_room
from pfedmma_dist.federation import need
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods import METHODS

FORM = Form(torch.float32, is_plain=False, is_resident=True)


def full(*words: object, **more: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within it, and the most alive at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.most, self.alive = 0, {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                storage = x.untyped_storage()
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {k: (ref, n) for k, (ref, n) in self.alive.items() if not ref.expired()}
        self.most = max(self.most, sum(n for _, n in self.alive.values()))
        return out


def federation(
    name: str = "pfedmma", form: Form = FORM, options: dict[str, int] | None = None
) -> Federation:
    """Return one of one cohort of all clients, on a pretended GPU."""
    return born(
        name, form, CUDA, tiny_config(batch_size=8, num_shards=1, cohort_size=len(SIZES)), options
    )


def said(act: Callable[[], object]) -> str:
    with pytest.raises(OutOfRoom) as caught:
        act()
    return str(caught.value)


def test_step_without_room_names_cohort_batch_and_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalTrainer, "gradient", full)
    with pretended():
        text = said(lambda: federation().round(0))
    assert re.match(
        r"federation\.cohort_size: cuda:0, of 102,400 MiB and 0 of these held by others, has no "
        r"room for a step of training \(federation\.cohort_size=6: about \d+ MiB in all; "
        r"federation\.batch_size=8: about \d+ MiB of these for its images; clip\.dtype=float32: "
        r"about \d+ MiB for the weights; clip\.cache_dtype=float32: about \d+ MiB for features "
        r"that stay there\); set federation\.cohort_size=3 or federation\.batch_size=4 or "
        r"clip\.dtype=bfloat16 or clip\.cache_dtype=bfloat16 and another run\.folder, or make room "
        r"on the device: what was saved is kept, and the same command goes on$",
        text,
    ), text


def test_batch_of_scores_without_room_names_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended():
        trained = federation()
        trained.round(0)
        monkeypatch.setattr(METHODS["pfedmma"], "logits", full)
        text = said(lambda: trained.evaluate(full=True))
    told = r"evaluate\.batch_size: .* a batch of scores \(evaluate\.batch_size=8: about \d+ MiB .*"
    told += r"cohort_size=\d: about \d+ MiB .*; set evaluate\.batch_size=4 or federation\.cohort_"
    assert re.match(told, text), text
    assert "another run.folder, or give evaluate.batch_size to pfedmma_dist.evaluate, which" in text


def test_nothing_is_said_to_fit_where_not_even_one_image_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LocalTrainer, "losses", full)
    monkeypatch.setattr(LocalTrainer, "gradient", full)
    with pretended():
        text = said(lambda: federation(form=replace(FORM, is_plain=True)).round(0))
    assert "federation.cohort_size=6: more than there is in all" in text
    assert "clip.cache=off: more than there is of these" in text and "clip.cache=auto" in text


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pfedmma", {}),
        ("promptfl", {}),
        ("lora", {}),
        ("pfedmoap", {}),
        ("vpt", {"num_tokens": 1}),  # of 5 other tokens; ViT-B/16 has 197
        ("ivlp", {"num_tokens": 1}),
        ("maple", {"num_context": 1}),
    ],
)
def test_estimate_of_a_step_is_the_most_that_it_holds_at_a_time(
    name: str, options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[float] = []
    whole, gradient = need.of_step, LocalTrainer.gradient

    def measured(of: Federation, trainer: LocalTrainer, theta: Tensor, *words: Any) -> list[Need]:
        with Peak() as peak:
            rows = [theta.clone() for _ in range(3)]  # the start, where it is now, the momentum
            gradient(trainer, rows[1], *words)
        needs = whole(of, trainer, theta, *words)
        found.extend((needs[0].num_bytes, peak.most))
        return needs

    monkeypatch.setattr("pfedmma_dist.federation.epochs.of_step", measured)
    monkeypatch.setattr(LocalTrainer, "gradient", full)
    with pretended():
        said(lambda: federation(name, options=options).round(0))
    estimate, most = found
    assert estimate == pytest.approx(most, rel=0.2)  # ViT-B/16: 0.05


def test_encoding_and_weights_without_room_name_the_type_of_the_towers() -> None:
    clip = tiny_clip()

    def encode() -> None:
        with within_room(CUDA, "encoding", lambda: [chunk(clip, (FINAL,)), towers(clip)]):
            full()

    with pretended():
        text = said(encode)
    assert text.startswith("clip.dtype: cuda:0, of 102,400 MiB ")
    assert "for 64 images that are encoded together" in text and "clip.dtype=bfloat16" in text


def test_needs_are_counted_once_the_step_has_let_go_of_its_tensors() -> None:
    left: list[weakref.ref] = []

    def step() -> None:
        large = torch.zeros(3)
        left.append(weakref.ref(large))
        full()

    def needs() -> list[Need]:
        assert left[0]() is None
        return [towers(tiny_clip())]

    words = r"^clip\.dtype: cpu has no room for a trial"
    with pytest.raises(OutOfRoom, match=words), within_room(torch.device("cpu"), "a trial", needs):
        step()
