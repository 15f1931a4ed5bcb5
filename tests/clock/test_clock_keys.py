"""Keys of the clock that nothing would read are refused, with what reads them."""

import pytest

from pfedmma_dist.config.command_line import read
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("system.deadline=3", "system.deadline: 3.0 has no effect, .*fleet other than none alone"),
        ("system.dropouts=true", "system.dropouts: true has no effect"),
        ("system.asynchrony=fedbuff", "system.asynchrony: fedbuff has no effect"),
        ("system.fleet=even system.buffer=3", "system.buffer: 3 .* at system.asynchrony=fedbuff"),
        ("system.fleet=even system.profiles=x", "system.profiles: x .* at system.fleet=file alone"),
        (
            "system.fleet=even system.asynchrony=fedbuff system.over_selection=0.3",
            "system.over_selection: 0.3 has no effect, .* system.asynchrony=none",
        ),
        ("system.fleet=even system.deadline=0", "system.deadline: 0.0 is not above 0"),
        ("system.fleet=phone", "system.fleet: 'phone' is not one of"),
    ],
)
def test_key_without_effect_is_refused(words: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        read(words.split(), methods=METHODS, sources=SOURCES)


def test_keys_with_effect_are_taken() -> None:
    words = "system.fleet=even system.asynchrony=fedbuff system.buffer=3 system.staleness=0"
    assert read(words.split(), methods=METHODS, sources=SOURCES).system.buffer == 3
