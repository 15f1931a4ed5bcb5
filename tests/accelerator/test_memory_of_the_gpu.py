"""Features stay on a GPU where they fit what is free there; else they are read from the host."""

import numpy as np
import pytest
import torch
from life import VIEWS, Form, born
from pretend import CPU, CUDA, pretended
from tiny import tiny_config

from pfedmma_dist.clip import carry

FORM = Form(torch.float32, is_plain=False, is_resident=False)
HALF = VIEWS[0][::2], VIEWS[1][::2]
STEPS = [(rows, np.zeros(len(rows), np.int64)) for rows in np.array_split(VIEWS[0][::-1], 5)]


def test_features_stay_where_they_fit_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "AT_ONCE", 1000)  # several parts, and rows larger than that
    with pretended():
        federation = born("pfedmma", FORM, CUDA, tiny_config())
        federation.rehearse()
        train, kinds = federation.sources.train, federation.method.images
        stays = train.to_device(HALF)
        assert (stays.place, train.place) == ("gpu", "ram")
        assert all(table.device == CUDA for table in stays.tables.values())
        assert 2 * stays.num_bytes == train.num_bytes
        for ours, theirs in zip(stays.rows(kinds, HALF), train.rows(kinds, HALF), strict=True):
            assert torch.equal(ours.cpu(), theirs.cpu())


def test_features_that_do_not_fit_or_only_once_for_several_ranks_are_read_from_the_host() -> None:
    with pretended():
        num_bytes = born("pfedmma", FORM, CUDA, tiny_config()).sources.train.num_bytes
    for free, sharers, place in ((1.5, 1, "gpu"), (1.5, 2, "ram"), (1.4, 1, "ram"), (3, 2, "gpu")):
        with pretended(free=int(free * num_bytes)):
            train = born("pfedmma", FORM, CUDA, tiny_config()).sources.train
            assert train.to_device(VIEWS, sharers).place == place


def test_what_is_read_step_by_step_from_the_host_is_the_same_without_a_wait() -> None:
    with pretended() as places:
        source = born("pfedmma", FORM, CUDA, tiny_config()).sources.train
        kinds, before = tuple(source.tables), places.waits.copy()
        read = [[x + 0 for x in step] for step in source.stream(kinds, STEPS)]
        assert places.waits == before
        assert sum(places.copies.values()) == len(STEPS) * len(kinds)
        found = [[x.cpu() for x in step] for step in read]
    here = born("pfedmma", FORM, CPU, tiny_config()).sources.train
    for step, views in zip(found, STEPS, strict=True):
        for ours, theirs in zip(step, here.rows(kinds, views), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
