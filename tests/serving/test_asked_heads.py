"""Answers: who is asked, among which classes, and what is the most probable."""

import pytest
import torch
from stand_in import Colours, StandIn, picture

from pfedmma_dist.serving.answers import KEPT, Guess, Panel, checked, ranked
from pfedmma_dist.serving.pictures import read


def pixels(model: StandIn, *colours: str) -> list[torch.Tensor]:
    return [model.preprocess(read(picture(colour)).image) for colour in colours]


def test_client_stands_beside_zero_shot_and_the_global_model() -> None:
    model = StandIn()
    [answer] = Panel(model).ask(pixels(model, "green"), "1", top=2)
    assert list(answer) == ["1", "zero-shot", "shared"]
    assert {guesses[0].name for guesses in answer.values()} == {"green"}
    sure = [guesses[0].probability for guesses in answer.values()]
    assert sure[0] > sure[2] > sure[1]  # by the scale of their logits
    assert all(len(guesses) == 2 for guesses in answer.values())


def test_who_is_asked_twice_stands_once() -> None:
    model = StandIn()
    [answer] = Panel(model).ask(pixels(model, "red"), "shared", top=1)
    assert list(answer) == ["shared", "zero-shot"]


def test_client_of_another_data_set_is_compared_among_its_classes() -> None:
    model = StandIn()
    [answer] = Panel(model).ask(pixels(model, "red"), "2", top=1)
    assert [guesses[0].name for guesses in answer.values()] == ["rouge"] * 3
    assert "zero_shot among other" in model.made


def test_heads_are_made_once_and_the_oldest_are_let_go() -> None:
    model = StandIn()
    panel, [image] = Panel(model), pixels(model, "red")
    others = [client for client in range(KEPT + 1) if client != 2]
    for client in (0, *others, KEPT):
        panel.ask([image], str(client), top=1)
    assert sorted(word for word in model.made if word[:6] == "client") == sorted(
        f"client {client}" for client in others
    )
    panel.ask([image], "17", top=1)
    panel.ask([image], "0", top=1)
    assert model.made.count("client 0") == 2


def test_probabilities_are_the_softmax_and_equal_ones_keep_their_order() -> None:
    [[*guesses]] = ranked("0", Colours(0.0), torch.zeros(1, 3, 2, 2), 9)
    assert guesses == [Guess(name, pytest.approx(1 / 3)) for name in ("red", "green", "blue")]


def test_logits_that_are_not_finite_name_who_gave_them() -> None:
    with pytest.raises(ValueError, match="client 7 gives logits that are not finite"):
        ranked("7", Colours(float("nan")), torch.ones(1, 3, 2, 2), 1)


@pytest.mark.parametrize(
    ("word", "means"),
    [("2", "2"), ("007", None), ("02", "2"), ("Shared", "shared"), ("zero_shot", "zero-shot")],
)
def test_client_is_known_by_its_number_or_word(word: str, means: str | None) -> None:
    if means is None:
        with pytest.raises(ValueError, match="--client: there is no client 7; the run has 0 to 2"):
            checked(word, StandIn(), "--client")
    else:
        assert checked(word, StandIn(), "--client") == means


@pytest.mark.parametrize("word", ["", "-1", "1.0", "²", "seven", "9" * 5000])
def test_what_is_no_client_is_refused_in_words(word: str) -> None:
    with pytest.raises(ValueError, match="--client: .*(0 to 2)"):
        checked(word, StandIn(), "--client")
