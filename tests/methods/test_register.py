"""A method of one's own comes in by `register`, which refuses what no run could be made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pfedmma_dist import Method, Simulation, register
from pfedmma_dist.methods import METHODS


@dataclass(kw_only=True)
class OwnOptions:
    """Options of the method below."""

    strength: float = 0.5
    """How strong it is."""


@dataclass(kw_only=True)
class Bare:
    """Options of which one has no default."""

    strength: float


@pytest.fixture(autouse=True)
def methods_as_they_were() -> Iterator[None]:
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


def own(**fields: Any) -> type[Method]:
    """Return a fresh class of a method; fields: other than the usual ones."""
    usual = {"__doc__": "Own: nothing much.", "name": "own_method", "Options": OwnOptions}
    return type("Own", (Method,), usual | fields)


def test_registered_method_is_configured_like_any_other() -> None:
    assert register(own()) is METHODS["own_method"]
    config = Simulation.open({"method.name": "own_method", "method.strength": 2}).config
    assert config.method == {"name": "own_method", "strength": 2.0}
    with pytest.raises(ValueError, match="method.stregth: own_method has no such option; did you"):
        Simulation.open({"method.name": "own_method", "method.stregth": 2})


def test_class_defined_anew_takes_the_place_of_the_older_one() -> None:
    register(own())
    again = register(own())
    assert METHODS["own_method"] is again
    with pytest.raises(ValueError, match="own_method is taken by .*Own; give the class another"):
        register(own(__qualname__="Other"))


@pytest.mark.parametrize(
    "fields, told",
    [
        ({"name": "pfedmma"}, "pfedmma is taken by pfedmma_dist.methods.pfedmma.PFedMMA"),
        ({"name": "Own Method"}, "'Own Method' is no name"),
        ({"__doc__": None}, "write a docstring"),
        ({"Options": None}, "None is no dataclass"),
        ({"Options": Bare}, "Options.strength: give the option a default"),
    ],
    ids=["taken", "name", "docstring", "options", "default"],
)
def test_what_no_run_could_be_made_of_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        register(own(**fields))


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(ValueError, match="is no subclass of pfedmma_dist.Method"):
        register(OwnOptions)  # type: ignore[type-var]
