"""Keys by which a round is chosen: refused where nothing is known, and part of what a run is."""

import pytest

from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.identity import (
    defaults,
    differences,
    digest,
    digest_of_format_0,
    flat,
    moved,
)
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

BEST = ("evaluate.select=best_val", "data.validation=0.2")


def config(*words: str) -> Config:
    return read(words, methods=METHODS, sources=SOURCES)


@pytest.mark.parametrize(
    "words, message",
    [
        (BEST[:1], r"needs validation images, .* set data\.validation=0\.2"),
        ((*BEST, "evaluate.every=0"), r"scores none before the last; set evaluate\.every=1"),
    ],
)
def test_choice_of_a_round_that_nothing_is_known_of_is_refused(words, message):
    with pytest.raises(ValueError, match=rf"^evaluate\.select: best_val .*{message}"):
        config(*words)


def test_last_round_needs_no_scores_on_the_way():
    assert config("evaluate.every=0").evaluate.every == 0


def test_rounds_that_are_scored_make_the_run_where_one_of_them_is_chosen():
    for words, counts in ((BEST, True), ((), False)):
        one, other = config(*words), config(*words, "evaluate.every=2")
        assert (digest(one, METHODS) != digest(other, METHODS)) == counts
        usual = defaults("pfedmma", METHODS)
        found = [key for key, _, _ in differences(flat(one), flat(other), usual)]
        assert found == ["evaluate.every"] * counts
        assert ("evaluate.every" in [key for key, _, _ in moved(flat(one), flat(other))]) != counts


def test_scores_of_each_round_are_the_same_run_whether_asked_for_or_not():
    """They were the default, so the names of runs that ask for them stay."""
    asked, usual = config(*BEST, "evaluate.every=1"), config(*BEST)
    known = defaults("pfedmma", METHODS)
    assert digest(asked, METHODS) == digest(usual, METHODS)
    assert digest_of_format_0(config("evaluate.every=1"), METHODS) == digest_of_format_0(
        config(), METHODS
    )
    assert not differences(flat(asked), flat(usual), known)
    fewer = flat(config(*BEST, "evaluate.every=3"))
    assert differences(fewer, flat(asked), known) == [("evaluate.every", 3, 1)]
    assert not differences(fewer, flat(usual), known)  # null goes on as the run began


def test_validation_and_selection_make_another_run_and_their_defaults_none():
    usual = digest(Config(), METHODS)
    assert digest(config("data.validation=0", "evaluate.select=last"), METHODS) == usual
    assert len({usual, *(digest(config(*words), METHODS) for words in (BEST, BEST[1:]))}) == 3
