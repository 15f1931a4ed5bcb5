"""A plan is written by any run, replayed to its bits on any ranks, and refused line by line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from runs import alone, call, make_lab, outcome, refusal
from tiny import on_ranks, same_state, tiny_federation, tiny_task

from pfedmma_dist import plan
from pfedmma_dist.config.choices import Fleet, Privacy
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.plan_file import text_of
from pfedmma_dist.methods.pfedmma import PFedMMA, PFedMMAOptions
from pfedmma_dist.world import World

ROUNDS, EPOCHS = 2, 2
HEAD = {"plan": 1, "rounds": 2, "clients": 6, "images": 72}


def federation_of(file: Path | None = None, world: World | None = None, **changes) -> Federation:
    """Return a federation in which half of the clients train for two epochs."""
    return tiny_federation(
        PFedMMA, world, PFedMMAOptions(blocks=1, rank=2, alpha=0.5), plan=file and str(file),
        **{"rounds": ROUNDS, "local_epochs": EPOCHS, "fraction": 0.5, **changes},
    )  # fmt: skip


def written(federation: Federation, file: Path) -> Path:
    """Write what a federation has drawn."""
    found = [visit for index in range(ROUNDS) for visit in plan.visits(federation, index)]
    sizes = ROUNDS, federation.task.num_clients, len(federation.task.images)
    file.write_text("".join(text_of(*sizes, plan.named(federation, found), found)))
    return file


def played(federation: Federation) -> Federation:
    for index in range(ROUNDS):
        federation.round(index)
    return federation


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_replayed_plan_gives_the_bits_of_the_run(tmp_path: Path, num_ranks: int) -> None:
    run = played(federation_of())
    file = written(run, tmp_path / "plan.jsonl")

    def replay(world: World) -> Federation:
        return played(federation_of(file, world, fraction=1.0, drop_last=False))

    for again in on_ranks(num_ranks, replay):
        same_state(again, run)


OWN = tiny_task().train.rows(1).tolist()
"""The four training images of client 1."""
VISIT = {"round": 0, "client": 1, "batches": [OWN[:2], OWN[2:]]}
WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "nothing": ((), {}, "is empty; mend it there"),
    "version": (({**HEAD, "plan": 2},), {}, "line 1: plan: 2 is not 1"),
    "half": ((HEAD, {**VISIT, "batches": [[OWN[0], "x"]]}), {}, "'x' is no whole number from 0 to"),
    "client": ((HEAD, {**VISIT, "client": 6}), {}, "client: 6 is no whole number from 0 to 5"),
    "image": ((HEAD, {**VISIT, "batches": [[72]]}), {}, "72 is no whole number from 0 to 71"),
    "empty": ((HEAD, {**VISIT, "batches": [[]]}), {}, "batches: a batch without an image"),
    "views": ((HEAD, {**VISIT, "views": [[0, 0]]}), {}, "views: not one for each image"),
    "twice": ((HEAD, VISIT, VISIT), {}, "line 3: client 1 in round 0 stands twice"),
    "list": ((HEAD, [1]), {}, "line 2: [1] is no object"),
    "rounds": ((HEAD,), {"rounds": 3}, "plans 2 rounds, and federation.rounds=3; set federation.r"),
    "clients": (({**HEAD, "clients": 5},), {}, "of 5 clients, and this run has 6; set data.num_c"),
    "images": (({**HEAD, "images": 99},), {}, "of 99 images, and"),
    "another's": (
        (HEAD, {**VISIT, "client": 0}), {}, f"line 2: client 0 has no training image {OWN[0]}, ",
    ),
    "large": ((HEAD, VISIT), {"batch_size": 1}, "a batch of 2 images, and federation.batch_size=1"),
    "epochs": ((HEAD, VISIT), {"local_epochs": 3}, "2 batches are no 3 epochs of equal length"),
    "view": ((HEAD, {**VISIT, "views": [[0, 0], [0, 1]]}), {}, "view 1, and data.views=1 has 0 al"),
    "unseen": ((HEAD, VISIT), {"unseen": 0.5}, "client 1 never trains here (federation.unseen)"),
    "name": (
        (HEAD, {"image": 3, "name": "a.png", "class": "sea horse"}), {},
        "image 3 is 'a.png' of class 'sea horse' there, and '' of 'sea horse' here",
    ),
    "clock": (
        (HEAD, VISIT), {"sections": {"system": SystemConfig(fleet=Fleet.even)}},
        "and so does system.fleet=even; set system.fleet=none",
    ),
    "privacy": (
        (HEAD, VISIT), {"sections": {"privacy": PrivacyConfig(name=Privacy.central)}},
        "privacy.name=central counts on clients being drawn at random",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_plan_of_a_federation_is_refused_with_key_value_and_remedy(
    tmp_path: Path, kind: str
) -> None:
    (records, changes, told), file = WRONG[kind], tmp_path / "plan.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(ValueError, match=re.escape(told)) as refused:
        federation_of(file, **changes)
    assert str(refused.value).startswith("federation.plan: ") and "; " in str(refused.value)


def test_run_writes_its_plan_and_another_run_follows_it_to_the_same_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path)
    keys = {"method__name": "promptfl", "federation__rounds": 2, "data__views": 3}
    assert call(lab.words("run", **keys, federation__fraction=0.5)) == 0
    with alone():
        assert plan.main([str(lab.folder("run"))]) == 0
    file = lab.folder("run") / plan.FILE
    assert f"4 visits in 2 rounds, written to {file}" in capsys.readouterr().out
    head, image, *_, visit = map(json.loads, file.read_text().splitlines())
    assert head == {"plan": 1, "rounds": 2, "clients": 4, "images": 53}
    assert image["name"].endswith(".png") and image["class"] == "class 0"
    assert visit.keys() == {"round", "client", "batches", "views"}
    assert call(lab.words("again", **keys, federation__plan=file)) == 0
    assert outcome(lab.folder("run")) == outcome(lab.folder("again"))
    (lab.folder("again") / "result.json").unlink()  # so that it goes on from its checkpoint
    file.write_text(file.read_text().replace('"client":', '"client" : ', 1))
    assert call(lab.words("again", **keys, federation__plan=file)) == 0
    (lab.folder("again") / "result.json").unlink()
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]))
    told = refusal(capsys, lab.words("again", **keys, federation__plan=file))
    assert "the plan differs (federation.plan)" in told
    assert plan.main([str(tmp_path)]) == 2
