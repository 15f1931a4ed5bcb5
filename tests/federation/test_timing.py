"""The clock of a federation: bits, ranks, restarts, lost uploads, exact seconds, refusals."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import on_ranks, same_state, tiny_federation
from torch.utils.flop_counter import FlopCounterMode

from pfedmma_dist.clock.profiles import FLEETS, PHONE
from pfedmma_dist.config.choices import Asynchrony, CorrectionName, Fleet, Sampling, ServerRule
from pfedmma_dist.config.learning import CorrectionConfig, ServerConfig
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.exchange import BYTES
from pfedmma_dist.exchange.uplink import Stage
from pfedmma_dist.federation import stages
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.world import World

LOSSY = SystemConfig(
    fleet=Fleet.phones, dropouts=True, over_selection=0.5, deadline=0.08, flops_per_image=1e7
)
FEDBUFF = SystemConfig(
    fleet=Fleet.phones, asynchrony=Asynchrony.fedbuff, buffer=3, dropouts=True, flops_per_image=1e7
)
FEDASYNC = replace(FEDBUFF, asynchrony=Asynchrony.fedasync, buffer=10, dropouts=False)


def rounds(
    count: int, system: SystemConfig, world: World | None = None, method: str = "pfedmma", **keys
) -> Federation:
    keys = {"fraction": 0.5, **keys}
    found = tiny_federation(METHODS[method], world, sections={"system": system}, **keys)
    for index in range(count):
        found.round(index)
    return found


def laps(federation: Federation, count: int) -> list:
    return [federation.clock.lap(index) for index in range(count)]


def test_clock_alone_changes_no_bit() -> None:
    same_state(rounds(2, SystemConfig(fleet=Fleet.mixed)), rounds(2, SystemConfig()))


@pytest.mark.parametrize(
    ("system", "rule"),
    [
        (LOSSY, ServerRule.momentum),
        (LOSSY, ServerRule.median),
        (FEDBUFF, ServerRule.momentum),
        (FEDASYNC, ServerRule.momentum),
    ],
    ids=["lossy", "lossy median", "buffered", "mixed in"],
)
def test_ranks_and_a_restart_keep_all_bits(
    system: SystemConfig, rule: ServerRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FLEETS, "phones", ((1.0, replace(PHONE, dropout=0.4)),))
    keys = {"server": ServerConfig(name=rule, lr=0.5)}
    whole, first, second = (rounds(count, system, **keys) for count in (5, 3, 0))
    second.load(*first.state(), 3)
    for index in (3, 4):
        second.round(index)
    same_state(second, whole)
    for size in (2, 3):
        for one in on_ranks(size, lambda world: rounds(5, system, world, **keys)):
            same_state(one, whole)
    told = laps(whole, 5)
    if system is FEDASYNC:
        assert any((x.begun < index).any() for index, x in enumerate(told))
    else:
        assert any(x.lost.any() for x in told)
    assert any(x.late.any() for x in told) == (system is LOSSY)


def test_lost_client_keeps_its_training_and_the_mean_is_of_those_that_arrive() -> None:
    begun, after = rounds(0, LOSSY), rounds(1, LOSSY)
    lap, cut = after.clock.lap(0), begun.layout.num_private
    rows = {
        client: row
        for cohort in begun.cohorts(lap.clients)
        for client, row in zip(
            cohort.clients.tolist(), begun._train(cohort, 0)[1].theta.double(), strict=True
        )
    }
    arrived = after.arrived(0).tolist()
    assert 0 < len(arrived) < len(rows)
    weight = {client: begun.sizes[client] / begun.sizes[arrived].sum() for client in arrived}
    mean = sum(weight[client] * rows[client][cut:] for client in arrived)
    torch.testing.assert_close(after.exchange.shared.double(), mean, rtol=0, atol=1e-6)
    for client, row in rows.items():
        own = after.clients.gather(np.array([client]))[0, :cut]
        torch.testing.assert_close(own.double(), row[:cut], rtol=0, atol=1e-6)
    assert after.trained(1).tolist() == sorted(rows)


def test_round_without_arrivals_keeps_the_shared_part_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system = SystemConfig(fleet=Fleet.even, deadline=1e-6)
    server = ServerConfig(name=ServerRule.momentum)
    found = rounds(0, system, server=server)
    before = found.state()[1]
    with caplog.at_level(logging.WARNING):
        stats = found.round(0)
    assert "no upload of this round arrived" in caplog.text
    assert np.isnan(stats.loss) and stats.num_samples > 0
    assert all(torch.equal(before[name], x) for name, x in found.state()[1].items())
    assert len(found.clients) == len(found.participants(0)) == 3
    assert found.clock.facts(1)["rounds_without_upload"] == 1


@pytest.mark.parametrize("name", ["pfedmma", "lora", "promptfl", "gda"])
def test_operations_are_those_of_the_rounds_and_seconds_follow_from_them(name: str) -> None:
    found = rounds(1, SystemConfig(fleet=Fleet.even), method=name, fraction=1.0, cohort_size=1)
    lap, cost = found.clock.lap(0), found.exchange.cost()
    bits = 8 * BYTES * np.array([cost.up, cost.down + cost.start])
    wanted = found.clock.flops / 1e12 + bits[0] / 1e6 + bits[1] / 1e7
    np.testing.assert_allclose(lap.seconds, wanted, rtol=1e-12)
    if found.method.counts:  # a second round sends and counts nothing
        np.testing.assert_allclose(found.clock.lap(1).seconds, bits[1] / 1e7, rtol=1e-12)
        return
    with FlopCounterMode(display=False) as counter:
        found.round(1)
    assert found.clock.flops.sum() == counter.get_total_flops()


def test_file_of_profiles_and_given_operations_decide_the_seconds(tmp_path: Path) -> None:
    file = tmp_path / "profiles.csv"
    lines = [f"{k},{1e6 * (k + 1)},8e9,8e9" for k in range(6)]
    head = "client,flops_per_second,up_bits_per_second,down_bits_per_second"
    file.write_text("\n".join([head, *lines, ""]))
    system = SystemConfig(fleet=Fleet.file, profiles=str(file), flops_per_image=1e3)
    found = rounds(0, system, fraction=1.0)
    images = np.array([8, 4, 2, 4, 1, 4])  # of 9, 4, 2, 7, 1, 5, in whole batches of 4
    moved = 2 * 4 * found.layout.num_shared / 1e9
    wanted = images * 1e3 / (1e6 * np.arange(1, 7)) + moved
    np.testing.assert_allclose(found.clock.lap(0).seconds, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("told", "system", "method", "keys"),
    [
        ("system.dropouts: true parts what .*=scaffold; set", LOSSY, "pfedmma", {
            "correction": CorrectionConfig(name=CorrectionName.scaffold)}),
        ("system.asynchrony: fedasync parts what .*=feddyn; set", FEDASYNC, "pfedmma", {
            "correction": CorrectionConfig(name=CorrectionName.feddyn)}),
        ("system.dropouts: true needs a server .* leave it out", LOSSY, "gda", {}),
        ("system.deadline: 3 needs a server", SystemConfig(fleet=Fleet.even, deadline=3.0),
            "pfedmoap", {}),
        ("system.asynchrony: fedbuff .* for server.name=median; set", FEDBUFF, "pfedmma", {
            "server": ServerConfig(name=ServerRule.median)}),
        ("system.asynchrony: fedbuff has no rounds .* method.deviation=null", FEDBUFF, "promptsrc",
         {}),
        ("system.asynchrony: fedasync .* shares nothing; set", FEDASYNC, "tip_adapter_f", {}),
        ("system.asynchrony: fedasync has no first round; set federation.first_round_all=false",
            FEDASYNC, "pfedmma", {"first_round_all": True}),
        ("system.buffer: 7 uploads .* 6 clients train; set 6 or less", replace(FEDBUFF, buffer=7),
            "pfedmma", {}),
        ("system.over_selection: 0.5 draws more .* lower federation.fraction", LOSSY, "pfedmma", {
            "fraction": 1.0}),
        ("system.profiles: null.*name one", SystemConfig(fleet=Fleet.file), "pfedmma", {}),
    ],
)  # fmt: skip
def test_impossible_combinations_are_refused(
    told: str, system: SystemConfig, method: str, keys: dict
) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        rounds(0, system, method=method, **keys)


def test_asynchrony_with_a_stage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "named", lambda cfg, layout, count: {"a.key": Stage()})
    with pytest.raises(ValueError, match="^system.asynchrony: fedbuff has no round in which"):
        rounds(0, FEDBUFF)
    rounds(1, LOSSY)  # and a round that waits has one


def test_methods_of_all_kinds_have_a_clock() -> None:
    for method in ("fedclip", "own_prior", "tip_adapter", "cocoop", "pfedmoap", "class_means"):
        found = rounds(0, SystemConfig(fleet=Fleet.even), method=method)
        assert (found.clock.flops >= 0).all()
        takes = found.layout.num_shared > 0 or found.clock.flops.any()
        assert (found.clock.lap(1).end > found.clock.lap(0).end) == takes


@pytest.mark.parametrize("words", [{"dropouts": True}, {"over_selection": 0.5}])
def test_draw_of_its_own_beside_poisson_is_refused(words: dict[str, object]) -> None:
    system = SystemConfig(fleet=Fleet.phones, **words)
    with pytest.raises(ValueError, match=r"^system.*federation.sampling=poisson draws each"):
        rounds(0, system, sampling=Sampling.poisson, fraction=0.4)
