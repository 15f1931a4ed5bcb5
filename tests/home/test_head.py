"""A head answers as the federation scores: for every method, the same logits of the same images."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny import NoiseFeatures, tiny_federation

from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.federation.classify import Group
from pfedmma_dist.federation.evaluate import score
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.home.head import Head, head_of, newcomer_start, own_start, untouched
from pfedmma_dist.home.linear import largest_allowed
from pfedmma_dist.methods import METHODS

CLIENT = 3


@pytest.fixture(scope="module", params=METHODS)
def federation(request: pytest.FixtureRequest) -> Federation:
    """A federation of each method after one round."""
    made = tiny_federation(METHODS[request.param], rounds=2)
    if made.layout.num_trained:
        made.round(0)
    return made


def pixels_of(federation: Federation, rows: np.ndarray) -> torch.Tensor:
    assert isinstance(federation.sources.test, NoiseFeatures)
    return federation.sources.test.pixels[rows].float()


def scored(
    federation: Federation, client: int, scope: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[torch.Tensor, np.ndarray, float]:
    """Return the logits that a client is scored by, of which image rows, and its score."""
    found: list[torch.Tensor] = []
    method, logits = federation.method, federation.method.logits

    def told(*given: Any) -> torch.Tensor:
        found.append(logits(*given))
        return found[-1]

    own = [one for one in federation.task.scopes if one.name == scope]
    classifier = Examiner(federation).classifier(method, own)
    with monkeypatch.context() as context:
        context.setattr(method, "logits", told, raising=False)
        scores = score(
            classifier,
            lambda clients: federation.start(clients, training=False),
            [Group(np.array([client]))],
            federation.world,
        )
    return torch.cat(found, dim=1)[0], own[0].rows_of(client), scores.percent[scope][client]


def head(federation: Federation, client: int, class_set: str) -> Head:
    return head_of(federation, "one", own_start(federation, client), federation.texts[class_set])


@pytest.mark.parametrize(("scope", "class_set"), [("local", "base"), ("novel", "novel")])
def test_head_answers_as_its_client_is_scored(
    federation: Federation, scope: str, class_set: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, rows, percent = scored(federation, CLIENT, scope, monkeypatch)
    found = head(federation, CLIENT, class_set).logits(pixels_of(federation, rows))
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=5e-6)
    labels = torch.from_numpy(federation.task.labels(class_set, rows))
    assert (found.argmax(dim=1) == labels).float().mean() * 100 == pytest.approx(percent)


def test_newcomer_has_the_shared_part_and_what_every_client_begins_with(
    federation: Federation,
) -> None:
    theta, _ = newcomer_start(federation)
    begin = federation.layout.num_private
    assert torch.equal(theta[0, begin:], federation.exchange.download(
        np.array([federation.task.num_clients]), training=False).shared[0])  # fmt: skip
    start = federation.layout.template(federation.cfg.seed)[:begin]
    if federation.clients.template[:begin].equal(start):  # else a method spells words into it
        assert torch.equal(theta[0, :begin], start)


def test_untouched_head_is_the_reference_line() -> None:
    federation = tiny_federation(METHODS["promptfl"])
    text, pixels = federation.texts["base"], pixels_of(federation, np.arange(5))
    [final] = federation.clip.freeze(pixels, (FINAL,))
    found = untouched(federation.clip, text).logits(pixels)
    torch.testing.assert_close(found, federation.clip.scale * final @ text.plain.mT)


def test_probabilities_sum_to_one() -> None:
    federation = tiny_federation(METHODS["pfedmma"])
    found = head(federation, 0, "base").probabilities(pixels_of(federation, np.arange(5)))
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5))


@pytest.mark.parametrize(
    ("logits", "allowed"), [([2.0, -3.0], 2e-5), ([-20.0], 2e-5), ([1.0, -50.0], 5e-5)]
)
def test_what_is_allowed_grows_with_the_largest_logit_from_20_on(
    logits: list[float], allowed: float
) -> None:
    assert largest_allowed(torch.tensor(logits)) == pytest.approx(allowed)
