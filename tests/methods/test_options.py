"""Options of every method: each is written, read back, and matters; no line per method."""

import json
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from setting import CLIENTS, EVERYBODY, STEPS, Setting
from tiny import CLASSES
from torch import Tensor

from pfedmma_dist.config.command_line import resolve_method
from pfedmma_dist.config.merge import plain
from pfedmma_dist.methods import METHODS
from pfedmma_dist.rng import Key


def other_values(value: Any, kind: Any) -> list[Any]:
    """Return all other members of an enum, one other value of any other type."""
    match value:
        case bool():
            return [not value]
        case Enum():
            return [member for member in type(value) if member is not value]
        case int():
            return [max(1, value // 8) if value > 1 else value + 1]
        case float():
            return [value / 2 or 0.5]  # a share stays one
        case str() if " " in value:
            return [f"{value}s"]  # as many words
        case str() if len(value) > 1:
            return [value[:-1]]
        case None if kind == int | None:
            return [2]
        case None:
            others = {str | None: "a photo of a", list[int] | None: [2, 1]}
            return [others.get(kind, ["a {}", "my {}."])]
    raise TypeError(f"say here what another value than {value!r} would be")


RESOURCES = ("memory",)
"""Options that decide how a result is computed, and not what it is."""

FILES = {"attributes": json.dumps({name: [f"a {name} and", "legs"] for name in CLASSES})}
"""Options that name a file, and what is in one."""

OPTIONS = [
    (name, field.name, other)
    for name in METHODS
    for field in fields(METHODS[name].Options)
    for other in other_values(field.default, field.type)
]


@pytest.mark.parametrize(
    ("name", "option", "other"), [words for words in OPTIONS if words[1] not in RESOURCES]
)
def test_option_changes_what_is_trained_sent_or_computed(
    name: str, option: str, other: Any, tmp_path: Path
) -> None:
    if option in FILES:
        (tmp_path / "file.json").write_text(FILES[option])
        other = str(tmp_path / "file.json")
    default, changed = Setting(name, {}), Setting(name, {option: other})

    def told(setting: Setting) -> list[tuple]:
        return [(s.name, s.shape, s.shared, s.lr_scale, s.grad_scale) for s in setting.method.specs]

    def computed(setting: Setting) -> Tensor:
        losses = setting.losses(setting.theta, STEPS[0])  # off the start: LoRA's B is 0
        if setting.layout.num_trained:
            losses = torch.cat([losses, setting.step_gradient(STEPS[0]).flatten()])
        if not setting.method.counts:
            return losses
        images = torch.eye(3, setting.clip.dims.embed_dim)
        begun = setting.method.begin(images, torch.arange(3))
        return torch.cat([losses, *(values.flatten() for values in begun.values())])

    def sent(setting: Setting) -> Tensor:
        places = torch.arange(setting.layout.num_trained).repeat(24, 1)
        rows = (setting.start.repeat(8, 1), setting.theta.repeat(8, 1), places)
        keys = [Key(1, 1, client, 0) for client in range(24)]
        setting.method.pick(*map(setting.layout.views, rows), keys)
        return places

    same = told(default) == told(changed) and torch.equal(computed(default), computed(changed))
    rests = ([s.method.resting(None, index) for index in (0, 32)] for s in (default, changed))
    same = same and next(rests) == next(rests)
    starts = (s.method.template(s.layout, 1, s.clip) for s in (default, changed))
    same = same and torch.equal(*starts)
    same = same and torch.equal(default.exchange.shared, changed.exchange.shared)
    if same and not default.method.counts:  # what is scored may be of more than one round
        for setting in (default, changed):
            setting.exchanged(np.ones((len(EVERYBODY), setting.layout.num_shared)))
        handed = (s.exchange.download(CLIENTS, training=False) for s in (default, changed))
        same = torch.equal(*(each.shared for each in handed))
    same = same and torch.equal(sent(default), sent(changed))
    assert not same


@pytest.mark.parametrize(("name", "option", "other"), OPTIONS)
def test_option_survives_the_configuration(name: str, option: str, other: Any) -> None:
    options = METHODS[name].Options(**{option: other})
    written = {field.name: plain(getattr(options, field.name)) for field in fields(options)}
    assert resolve_method({"name": name, **written}, METHODS) == (name, options)
    assert resolve_method({"name": name, option: written[option]}, METHODS) == (name, options)


@pytest.mark.parametrize("name", METHODS)
def test_method_goes_by_its_own_name(name: str) -> None:
    assert METHODS[name].name == name
    assert resolve_method({"name": name}, METHODS) == (name, METHODS[name].Options())
