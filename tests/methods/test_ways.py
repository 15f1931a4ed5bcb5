"""Every method has one that stands for it where rounds are tried."""

from ways import one_of_each_way, way

from pfedmma_dist.methods import METHODS

CHOSEN = one_of_each_way(list(METHODS))


def test_no_two_chosen_methods_share_a_way_and_every_method_has_its_way_chosen() -> None:
    ways = [way(METHODS[name]) for name in CHOSEN]
    assert len(ways) == len({*ways}) == len({way(kind) for kind in METHODS.values()})


def test_method_with_an_exchange_of_its_own_stands_for_itself() -> None:
    own = {name for name, kind in METHODS.items() if "exchange" in vars(kind)}
    assert len(own) > 3 and own <= {*CHOSEN}
