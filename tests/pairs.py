"""Of a product of parameters, cases enough for every two values of different ones to meet.

A test asks for it by `@pytest.mark.pairwise`. Each value is still tried, beside each of any other
parameter; what is saved are the cases in which three or more would have to come together.
"""

from collections import defaultdict
from itertools import combinations
from typing import Any

import pytest


def thinned(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the tests, those that ask for it with as few cases as a greedy choice needs, and the
    cases that are left out."""
    asked: dict[tuple[str, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("pairwise"):
            asked[str(item.path), item.nodeid.partition("[")[0]].append(item)
    kept = {id(item) for cases in asked.values() for item in chosen(cases)}
    gone = {id(item) for cases in asked.values() for item in cases} - kept
    left_out = [item for item in items if id(item) in gone]
    return [item for item in items if id(item) not in gone], left_out


def chosen(cases: list[Any]) -> list[Any]:
    """Return cases in which all pairs of values meet that meet in any; each has a `callspec`."""
    valued = [sorted((k, repr(x)) for k, x in case.callspec.params.items()) for case in cases]
    pairs = {index: set(combinations(values, 2)) for index, values in enumerate(valued)}
    missing, found = set().union(*pairs.values()), []
    while missing:
        best = max(pairs, key=lambda index: (len(pairs[index] & missing), -index))
        missing -= pairs.pop(best)
        found.append(best)
    return [cases[index] for index in sorted(found)]
