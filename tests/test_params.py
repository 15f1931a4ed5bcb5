"""Rows of parameters: their order, their views, where they start."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pfedmma_dist.params import (
    Layout,
    ParamSpec,
    drawn,
    kaiming_fan_out,
    normal,
    torch_linear,
    zeros,
)
from pfedmma_dist.rng import generator

MIX = ParamSpec("mix", (2,), normal(1.0), shared=True, lr_scale=0.5)
DOWN = ParamSpec("down", (2, 3), normal(1.0), grad_scale=10.0)
GATE = ParamSpec("gate", (), zeros)
LAYOUT = Layout((MIX, DOWN, GATE))


def test_row_holds_private_parameters_first_and_shared_ones_last() -> None:
    assert [spec.name for spec in LAYOUT.specs] == ["down", "gate", "mix"]
    assert (LAYOUT.num_private, LAYOUT.num_shared, LAYOUT.num_trained) == (7, 2, 9)


def test_views_name_the_parts_of_each_row() -> None:
    views = LAYOUT.views(torch.arange(18.0).view(2, 9))
    assert views["down"].tolist() == [[[0, 1, 2], [3, 4, 5]], [[9, 10, 11], [12, 13, 14]]]
    assert views["gate"].tolist() == [6, 15]
    assert views["mix"].tolist() == [[7, 8], [16, 17]]


def test_views_copy_nothing() -> None:
    theta = torch.zeros(3, 9)
    for view in LAYOUT.views(theta).values():
        assert view.untyped_storage().data_ptr() == theta.untyped_storage().data_ptr()


def test_gradient_of_a_view_arrives_in_its_place() -> None:
    theta = torch.zeros(2, 9, requires_grad=True)
    LAYOUT.views(theta)["mix"][1].sum().backward()
    expected = torch.zeros(2, 9)
    expected[1, 7:] = 1
    assert torch.equal(theta.grad, expected)


def test_template_depends_on_the_seed_alone() -> None:
    assert torch.equal(LAYOUT.template(1), LAYOUT.template(1))
    assert not torch.equal(LAYOUT.template(1), LAYOUT.template(2))
    assert LAYOUT.template(1).dtype == torch.float32


def test_start_of_a_parameter_does_not_depend_on_the_others() -> None:
    alone = Layout((DOWN,)).template(1)
    assert torch.equal(LAYOUT.template(1)[:6], alone)


def test_parameters_of_one_shape_start_differently() -> None:
    twins = Layout((MIX, replace(MIX, name="other"))).template(1)
    assert not torch.equal(twins[:2], twins[2:])


def test_spread_repeats_a_number_over_its_parameter() -> None:
    assert LAYOUT.spread("grad_scale").tolist() == [10.0] * 6 + [1.0] * 3
    assert LAYOUT.spread("lr_scale").tolist() == [1.0] * 7 + [0.5] * 2


@pytest.mark.parametrize(
    "other",
    [replace(MIX, name="mixer"), replace(MIX, shape=(1, 2)), replace(MIX, shared=False)],
    ids=["name", "shape", "shared"],
)
def test_fingerprint_tells_layouts_apart(other: ParamSpec) -> None:
    assert Layout((DOWN, other)).fingerprint() != Layout((DOWN, MIX)).fingerprint()


def test_fingerprint_ignores_what_a_stored_row_does_not_depend_on() -> None:
    other = replace(MIX, init=zeros, lr_scale=2.0, grad_scale=2.0)
    assert Layout((other, DOWN)).fingerprint() == Layout((MIX, DOWN)).fingerprint()


FIXED = ParamSpec("fixed", (2, 2), normal(1.0), frozen=True)
HELD = Layout((FIXED, MIX), drawn([FIXED], 1))


def test_frozen_parameter_is_seen_by_all_clients_and_lies_in_no_row() -> None:
    assert (HELD.num_trained, HELD.num_private, len(HELD.template(1))) == (2, 0, 2)
    assert HELD.spread("lr_scale").tolist() == [0.5] * 2
    views = HELD.views(torch.zeros(3, 2, dtype=torch.float64, requires_grad=True))
    assert views["fixed"].dtype == torch.float64
    assert not views["fixed"].requires_grad
    expected = FIXED.draw(1).double()
    assert views["fixed"].shape == (3, 2, 2)
    assert all(torch.equal(own, expected) for own in views["fixed"])
    assert not torch.equal(FIXED.draw(2), FIXED.draw(1))


def test_frozen_parameter_is_never_shared_nor_seen_without_its_values() -> None:
    with pytest.raises(AssertionError, match="fixed is frozen: nobody sends it"):
        replace(FIXED, shared=True)
    with pytest.raises(AssertionError, match="without the values of what is frozen"):
        Layout((FIXED, MIX)).views(torch.zeros(1, 2))


def test_fingerprint_knows_what_is_frozen_and_its_values() -> None:
    others = [
        Layout((MIX,)),
        Layout((FIXED, MIX), drawn([FIXED], 2)),
        Layout((replace(FIXED, name="other"), MIX), {"other": FIXED.draw(1)}),
        Layout((replace(FIXED, shape=(4,)), MIX), drawn([FIXED], 1)),
    ]
    found = {layout.fingerprint() for layout in (HELD, *others)}
    assert len(found) == 5
    assert Layout((FIXED, MIX), drawn([FIXED], 1)).fingerprint() in found


def test_layout_of_nothing_has_empty_rows() -> None:
    nothing = Layout(())
    assert nothing.template(1).shape == (0,)
    assert nothing.views(torch.zeros(3, 0)) == {}
    assert nothing.spread("lr_scale").shape == (0,)


def test_two_parameters_of_one_name_are_refused() -> None:
    with pytest.raises(AssertionError):
        Layout((MIX, MIX))


@pytest.mark.parametrize("shape", [(32, 768), (768, 32)], ids=str)
def test_kaiming_fan_out_has_the_deviation_of_its_outputs(shape: tuple[int, int]) -> None:
    drawn = kaiming_fan_out(generator(1, "test"), shape)
    assert drawn.shape == shape
    assert drawn.dtype == torch.float32
    expected = (2 / shape[0]) ** 0.5
    np.testing.assert_allclose(drawn.std(), expected, rtol=0.02)
    assert abs(drawn.mean()) < 0.02 * expected


def test_torch_linear_draws_as_torch_does() -> None:
    drawn = torch_linear(64)(generator(1, "test"), (128, 64))
    weight = torch.nn.Linear(64, 128).weight
    assert drawn.dtype == torch.float32
    np.testing.assert_allclose(drawn.abs().max(), 1 / 8, rtol=1e-3)
    np.testing.assert_allclose(drawn.std(), weight.detach().std(), rtol=0.03)
    assert abs(drawn.mean()) < 2e-3
