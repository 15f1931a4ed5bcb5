"""Towers and LoRA of another code base give the same logits and gradients: benchmarks/towers.py."""

import importlib.util
import sys
from pathlib import Path

SPEC = importlib.util.spec_from_file_location(
    "second_towers", Path(__file__).parents[2] / "benchmarks" / "towers.py"
)


def test_logits_and_gradients_are_those_of_transformers_and_peft() -> None:
    towers = importlib.util.module_from_spec(SPEC)
    sys.modules[SPEC.name] = towers  # where dataclasses look for their annotations
    SPEC.loader.exec_module(towers)
    found = towers.differences(towers.SMALL)
    assert found.logits < 2e-5
    assert found.gradient < 1e-5
    assert found.largest_gradient > 0.05  # so that this means something
