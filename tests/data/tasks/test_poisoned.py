"""Attackers train on what they have spoilt; nobody else's images change, and the trigger shows."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_federation, tiny_task

from pfedmma_dist.config.attacking import AttackConfig
from pfedmma_dist.config.choices import AttackName
from pfedmma_dist.data.images.arrays import Arrays
from pfedmma_dist.data.images.triggered import with_trigger
from pfedmma_dist.data.tasks.poisoned import poisoned
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.methods.promptfl import PromptFL

BAD = np.array([0, 3])
PIXELS = np.random.default_rng(0).integers(0, 255, (72, 12, 20, 3), dtype=np.uint8)


def spoilt(name: str, **keys: object) -> tuple[Task, Task]:
    task = tiny_task()
    task = replace(task, images=replace(task.images, store=Arrays("here", PIXELS)))
    return task, poisoned(task, AttackConfig(name=AttackName[name], **keys), BAD, 1)


def test_flipped_labels_are_the_attackers_alone() -> None:
    before, after = spoilt("label_flip")
    for client in range(6):
        rows = before.train.rows(client)
        labels = before.labels("base", rows)
        expected = 3 - labels if client in BAD else labels
        assert (after.labels("base", after.train.rows(client)) == expected).all()
        assert after.own_columns("base", np.array([client]))[0][expected].all()
    test = before.images.test
    assert (after.images.labels[test] == before.images.labels[test]).all()


def test_backdoor_marks_half_of_the_attackers_images_for_the_target() -> None:
    before, after = spoilt("backdoor", target="cat")
    store, images = after.images.store, after.images
    for client in range(6):
        was, rows = before.train.rows(client), after.train.rows(client)
        copies = rows[rows >= len(before.images)]
        sources, _ = store.sources(rows)
        assert sorted(sources) == sorted(was) and (np.diff(rows) > 0).all()
        assert len(copies) == (round(len(was) / 2) if client in BAD else 0)
        assert (images.labels[copies] == 2).all()
    rows = np.array([3, len(before.images)])
    assert [name.endswith("trigger") for name in store.labels(rows)] == [False, True]
    plain, marked = store.open(rows)
    assert np.array_equal(np.asarray(plain), PIXELS[3])
    source = store.sources(rows)[0][1]
    changed = (np.asarray(marked) != PIXELS[source]).any(axis=2)
    corner = {(y, x) for y in (9, 10, 11) for x in (13, 14, 15)}
    assert set(zip(*np.nonzero(changed), strict=True)) <= corner and changed.any()
    content = store.inspect(rows).content
    assert (content[0] == Arrays("here", PIXELS).inspect(rows[:1]).content).all()
    assert (content[1] != Arrays("here", PIXELS).inspect(np.array([source])).content).any()


def test_attack_success_is_asked_of_honest_clients_images_of_other_classes() -> None:
    before, after = spoilt("backdoor", target="cat")
    local, backdoor = before.scopes[0], after.scopes[-1]
    assert (backdoor.name, backdoor.class_set) == ("backdoor", "base")
    for client in range(6):
        rows = local.rows.rows(client)
        wanted = [] if client in BAD else rows[before.images.labels[rows] != 2].tolist()
        asked = backdoor.rows.rows(client)
        assert after.images.store.sources(asked)[0].tolist() == wanted
        assert (after.labels("base", asked) == 2).all()


def test_trigger_is_checkered_in_the_corner_of_the_centre() -> None:
    marked = np.array(with_trigger(Image.new("RGB", (40, 20), (90, 90, 90)), 0.4))[:, :, 0]
    assert marked[12:14, 22:26].tolist() == [[255, 255, 0, 0]] * 2
    assert set(np.unique(marked[12:, 22:30])) == {0, 255}
    marked[12:, 22:30] = 90
    assert (marked == 90).all()


def test_unknown_target_is_refused() -> None:
    with pytest.raises(ValueError, match="^attack.target: 'fox' is none of the 4 classes"):
        spoilt("backdoor", target="fox")


def test_scores_are_of_honest_clients_and_attackers_stand_apart() -> None:
    cfg = AttackConfig(name=AttackName.label_flip, share=0.34)
    plain, ours = tiny_federation(PromptFL), tiny_federation(PromptFL, sections={"attack": cfg})
    found, whole = ours.evaluate(full=True).percent, plain.evaluate(full=True).percent
    assert list(found) == ["local", "own", "attackers", "base", "novel"]
    bad = ours.attackers
    honest = np.setdiff1d(np.arange(6), bad)
    for name, values in whole.items():
        assert np.isnan(found[name][bad]).all()
        np.testing.assert_array_equal(found[name][honest], values[honest])
    assert np.isnan(found["attackers"][honest]).all()
    np.testing.assert_array_equal(found["attackers"][bad], whole["local"][bad])
