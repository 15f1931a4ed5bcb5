"""Cases of a product are left out only where every two of their values meet in others."""

from itertools import combinations, product
from types import SimpleNamespace

import pytest
from pairs import chosen

SIZES = {"a": 2, "b": 2, "c": 4, "d": 3}


@pytest.mark.parametrize("left_out", [(), ("d",), ("c", "d")])
def test_every_two_values_meet_in_far_fewer_cases(left_out: tuple[str, ...]) -> None:
    sizes = {name: size for name, size in SIZES.items() if name not in left_out}
    every = [
        SimpleNamespace(callspec=SimpleNamespace(params=dict(zip(sizes, values, strict=True))))
        for values in product(*map(range, sizes.values()))
    ]
    found = [case.callspec.params for case in chosen(every)]
    for (one, first), (other, second) in combinations(sizes.items(), 2):
        met = {(case[one], case[other]) for case in found}
        assert met == set(product(range(first), range(second)))
    assert len(found) <= {0: 14, 1: 9, 2: 4}[len(left_out)]
