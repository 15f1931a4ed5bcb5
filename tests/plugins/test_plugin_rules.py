"""A rule of the server of one's own: the example against a script, and what is refused."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import ROOT
from tiny import on_ranks, same_state, tiny_federation
from torch import Tensor

from pfedmma_dist.config.command_line import from_yaml, parse, read, unread
from pfedmma_dist.config.exchanging import ExchangeConfig
from pfedmma_dist.config.identity import defaults, differences, digest, flat
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.released import ReleasedConfig
from pfedmma_dist.config.ruled import RULES
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.exchange.average import Average
from pfedmma_dist.exchange.rules import Memory, Remembering, Rule, register
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.guarded import server_of
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.gda import GDA
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.world import World

Written = Callable[..., Path]
PLUGIN = f"plugins=[{ROOT / 'examples' / 'own_rule.py'}]"
FEDAMS = (PLUGIN, "server.rule=fedams", "server.lr=0.5")
SIZE, ROUNDS = 5, 12
MEANS = np.random.default_rng(0).standard_normal((ROUNDS, SIZE)).astype(np.float32)
ONE, NOTHING = torch.ones(1, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
TEXT = '''
from pfedmma_dist.exchange.rules import Rule, register

@register
class Mine(Rule):
    """Mine: the mean itself."""

    name = "mine"

    def direction(self, start, delta, memory):
        return delta, {}
'''


def config(*words: str) -> Config:
    return read(words, methods=METHODS, sources=SOURCES)


def refusal(*words: str) -> str:
    with pytest.raises(ValueError) as error:
        config(*words)
    return str(error.value)


def run(exchange: Average, rounds: range) -> None:
    for index in rounds:
        exchange.upload(np.zeros(1, np.int64), torch.from_numpy(MEANS[index : index + 1]), ONE)
        exchange.sync(World.alone(), NOTHING, np.zeros(1, np.int64))


def rounds(count: int, cfg: Config, world: World | None = None, **sections: object) -> Federation:
    federation = tiny_federation(PFedMMA, world, server=cfg.server, sections=sections, fraction=0.7)
    for index in range(count):
        federation.round(index)
    return federation


def test_example_equals_a_script_of_ten_lines_and_goes_on_from_a_state() -> None:
    cfg = config(*FEDAMS, "server.options.beta2=0.5")
    x, m, v, w = (np.zeros(SIZE) for _ in range(4))
    for mean in MEANS.astype(np.float64):
        delta = mean - x
        m = 0.9 * m + 0.1 * delta
        v = 0.5 * v + 0.5 * delta**2
        w = np.maximum(np.maximum(w, v), 1e-6)
        x = x + 0.5 * m / np.sqrt(w)
    whole, first, second = (Average(torch.zeros(SIZE), server_of(cfg, SIZE)) for _ in range(3))
    run(whole, range(ROUNDS))
    np.testing.assert_allclose(whole.shared, x, rtol=1e-5, atol=1e-6)
    run(first, range(5))
    second.load(first.state(), np.zeros(1, np.int64))
    run(second, range(5, ROUNDS))
    assert torch.equal(second.shared, whole.shared)


def test_ranks_masks_and_a_restart_keep_all_bits() -> None:
    cfg, secure = config(*FEDAMS), ExchangeConfig(secure=True)
    plain = rounds(2, cfg)
    assert {"rule_m", "rule_v", "rule_w"} < plain.state()[1].keys()
    same_state(rounds(2, cfg, exchange=secure), plain)
    for two in on_ranks(2, lambda world: rounds(2, cfg, world)):
        same_state(two, plain)
    resumed = rounds(0, cfg)
    resumed.load(*rounds(1, cfg).state(), 1)
    resumed.round(1)
    same_state(resumed, plain)


def test_options_are_keys_and_those_by_default_name_no_other_run(tmp_path: Path) -> None:
    found = config(*FEDAMS, "server.options.eps=1", "server.options.beta1=0")
    assert found.server.options == {"beta1": 0.0, "beta2": 0.99, "eps": 1.0}
    kept = tmp_path / "config.yaml"
    kept.write_text(to_yaml(found))
    assert from_yaml(kept, methods=METHODS, sources=SOURCES) == found
    told = unread([*FEDAMS, "server.options.eps=1", "server.beta1=0.5"], found)
    assert list(told) == ["server.beta1"]
    plain, said = config(*FEDAMS), config(*FEDAMS, "server.options.beta1=0.9")
    assert digest(plain, METHODS) == digest(said, METHODS) != digest(found, METHODS)
    usual = defaults("pfedmma", METHODS, "fedams")
    older = {key: x for key, x in flat(plain).items() if key != "server.options.eps"}
    assert differences(older, flat(plain), usual) == []
    assert differences(older, flat(found), usual) == [
        ("server.options.beta1", 0.9, 0.0), ("server.options.eps", 1e-6, 1.0)
    ]  # fmt: skip
    assert not [key for key in flat(config()) if key.startswith("server.options")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["server.rule=mine"], "'mine' is unknown; known: fedams; list the module that registers"),
        (
            ["server.rule=${oc.env:LAB_RULE}"],
            "stands for, and the options hang on it; write server",
        ),
        (["server.rule=adam"], "adam is a rule of ours; write server.name=adam"),
        (["server.name=fedams"], "fedams is a rule of a plugin; write server.rule=fedams"),
        (["server.rule=fedams", "server.name=median"], "median, and server.rule=fedams takes its"),
        (["server.rule=fedams", "server.options.bet1=0"], "did you mean server.options.beta1"),
        (["server.rule=fedams", "server.options.beta1=2"], "server.options.beta1: 2.0; set 0 or"),
        (["server.options.beta1=0"], "and none is named; set server.rule"),
        (["server.rule=fedams", "server.rule=null", "server.options.eps=1"], "none is named"),
    ],
)
def test_what_names_no_rule_or_no_option_is_told(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_RULE", "fedams")
    assert told in refusal(PLUGIN, *words)


def test_rule_is_known_where_its_plugin_is_listed_and_nowhere_else(
    written: Written, capsys: pytest.CaptureFixture
) -> None:
    path = written(text=TEXT)
    assert config(f"plugins=[{path}]", "server.rule=mine").server.options == {}
    assert "list the module that registers it in plugins" in refusal("server.rule=mine")
    for word, told in (("--list", "Mine: the mean itself."), ("--help", "with server.rule=mine")):
        parse([f"plugins=[{path}]", word], methods=METHODS, sources=SOURCES)
        assert told in capsys.readouterr().out
        parse([word], methods=METHODS, sources=SOURCES)
        assert told not in capsys.readouterr().out


def test_entry_point_of_a_rule_is_imported_once_its_name_is_asked_for(
    written: Written, tmp_path: Path
) -> None:
    written("lab_five.py", TEXT)
    written("lab-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    written("lab-1.dist-info/entry_points.txt", "[pfedmma_dist.exchanges]\nmine = lab_five\n")
    sys.path.insert(0, str(tmp_path))
    config()
    assert "lab_five" not in sys.modules
    assert config("server.rule=mine").plugins == ["lab_five"]


def test_a_mean_that_nothing_may_step_along_is_refused() -> None:
    cfg = config(*FEDAMS)
    with pytest.raises(ValueError, match="send sums, .* and no server.rule"):
        tiny_federation(GDA, server=cfg.server)
    with pytest.raises(ValueError, match="server.rule: fedams goes on from a mean"):
        rounds(0, cfg, released=ReleasedConfig(references=True))


class Faulty(Rule):
    """Faulty: what a test makes of it."""

    name = "faulty"

    def memory(self, size: int) -> Memory:
        return {"m": torch.zeros(size)}

    def direction(self, start: Tensor, delta: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        return self.options(delta, memory)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda delta, memory: delta, "let its direction return a tensor and what it remembers"),
        (lambda delta, memory: (delta.float(), memory), "torch.float32 and shape \\[5\\]"),
        (lambda delta, memory: (delta[:2], memory), "float64 of shape \\[5\\]"),
        (lambda delta, memory: (delta, {}), "remembers {}, and began with {'m'"),
        (lambda delta, memory: (delta, {"m": memory["m"] / 0}), "m that faulty .* not finite"),
        (lambda delta, memory: (delta / 0, memory), "server.lr: 1.0 drove"),
    ],
)
def test_answer_that_is_no_step_is_refused(answer: Callable, told: str) -> None:
    own = Remembering(Faulty(answer), SIZE)
    exchange = Average(torch.zeros(SIZE), Server("average", 1.0, None, 0.0, 0.0, SIZE, own=own))
    with pytest.raises(ValueError, match=told):
        run(exchange, range(1))


def test_what_a_rule_alters_in_place_reaches_nothing_but_its_answer() -> None:
    def rude(delta: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        memory["m"].add_(1)
        return delta.mul_(2), {"m": torch.zeros(SIZE)}

    own = Remembering(Faulty(rude), SIZE)
    start, delta = torch.zeros(SIZE, dtype=torch.float64), torch.ones(SIZE, dtype=torch.float64)
    held = own.state()
    assert own.direction(start, delta).tolist() == [2.0] * SIZE
    assert delta.tolist() == [1.0] * SIZE and held["rule_m"].tolist() == [0.0] * SIZE


def test_class_that_is_no_rule_or_has_the_name_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="is no subclass of pfedmma_dist.exchange.rules.Rule"):
        register(Config)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="adam is what server.name calls a rule of ours"):
        register(type("Own", (Rule,), {"name": "adam", "__doc__": "Own."}))
    assert not RULES.keys() & {"adam"}
