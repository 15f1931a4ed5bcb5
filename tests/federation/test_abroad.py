"""Clients on a set that nobody trained on, and the shared part alone, on any number of ranks."""

from copy import copy

import numpy as np
import pytest
from tiny import NUM_IMAGES, NUM_TRAIN, NoiseFeatures, on_ranks, tiny_federation

from pfedmma_dist.abroad import Abroad, task_abroad
from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.federation.classify import Group
from pfedmma_dist.federation.evaluate import Sitting
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation, Sources
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.share import Share
from pfedmma_dist.quantities.elsewhere import CROSS
from pfedmma_dist.world import World

OTHERS = ("owl", "yak", "gnu", "ape", "elk", "doe", "sea lion")
"""More than the four classes of training."""


def away(home: Federation) -> Abroad:
    """Return a federation on other classes, in two domains, of the same noise."""
    labels = np.arange(NUM_IMAGES) % len(OTHERS)
    test = np.arange(NUM_TRAIN, NUM_IMAGES)
    domains = np.arange(NUM_IMAGES) // 4 % 2
    store = Files(home.task.images.store.root, ("",) * NUM_IMAGES)
    images = Images(store, labels, OTHERS, test[:0], test, domains, ("left", "right"))
    there = copy(home)
    there.task = task_abroad(home.task, images)
    there.texts = {CROSS: class_text(home.clip, OTHERS, "a {}.", False)}
    features = NoiseFeatures(home.clip)
    there.sources = Sources(train=features, test=features)
    return Abroad(home, there)


def trained(world: World | None = None) -> Federation:
    made = tiny_federation(METHODS["pfedmma"], world, unseen=0.4)
    made.round(0)
    return made


def test_scores_are_the_same_on_two_ranks_and_those_of_unseen_clients_are_left_out() -> None:
    home = trained()
    whole = away(home).exam(Sitting()).percent
    assert list(whole) == [CROSS, "cross_left", "cross_right"]
    assert np.isnan(whole[CROSS][home.unseen]).all() and len(home.unseen)
    assert not np.isnan(whole[CROSS][home.seen]).any()
    for found in on_ranks(2, lambda world: away(trained(world)).exam(Sitting()).percent):
        for name, values in whole.items():
            np.testing.assert_array_equal(found[name], values)


def test_shared_part_alone_is_what_an_unseen_client_is_scored_with() -> None:
    home = trained()
    pair = away(home)
    assert pair.why_not_shared == ""
    examiner = Examiner(pair.there)
    classifier = examiner.classifier(home.method, list(pair.there.task.scopes))
    start = Examiner(home).start
    expected = examiner.graded(classifier, start, [Group(home.unseen)]).percent[CROSS]
    found = pair.exam_shared(Sitting()).percent[CROSS][home.seen]
    assert set(found) == set(expected[home.unseen]) and len(set(found)) == 1


def test_where_nothing_is_shared_there_is_no_shared_part_to_score() -> None:
    kind = METHODS["promptfl"]
    home = tiny_federation(kind, options=kind.Options(share=Share.none))
    assert away(home).why_not_shared == "nothing is shared"
    uniform = tiny_federation(kind)
    assert away(uniform).why_not_shared == "all clients hold the same numbers"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_scored_on_more_classes_than_it_trains_on(name: str) -> None:
    pair = away(tiny_federation(METHODS[name]))
    assert not pair.is_trained
    assert not np.isnan(pair.exam(Sitting()).percent[CROSS]).any()
