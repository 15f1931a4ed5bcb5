"""The figure of a partition: every domain and every kind of client is in it, at any number."""

import numpy as np
import pytest
from dealt import dealt

from pfedmma_dist.quantities.scores import LOCAL_MEAN, LOCAL_WORST_DECILE
from pfedmma_dist.run import figures
from pfedmma_dist.run.drawing import new_figure, steady
from pfedmma_dist.run.record import DRAWN_CLIENTS, ClientTable


def table(num_clients: int, num_classes: int = 3, **domains: np.ndarray) -> ClientTable:
    """Return clients of which each has client % 5 + 1 images of class client % num_classes."""
    return ClientTable.count(
        num_classes,
        *dealt(num_clients, lambda client: np.full(client % 5 + 1, client % num_classes)),
        domains,
    )


@pytest.mark.parametrize(
    ("num_clients", "every"), [(1, 1), (DRAWN_CLIENTS, 1), (DRAWN_CLIENTS + 1, 2), (1000, 5)]
)
def test_clients_are_drawn_evenly_from_all_of_them(num_clients: int, every: int) -> None:
    clients = table(num_clients)
    assert clients.drawn.tolist() == list(range(0, num_clients, every))
    assert len(clients.drawn) <= DRAWN_CLIENTS
    assert (clients.class_counts.sum(axis=1) == clients.sizes[clients.drawn]).all()
    assert len(clients.sizes) == num_clients


def test_axis_counts_clients_and_not_rows() -> None:
    left, *others = figures.classes_per_client(table(1000)).axes[:3]
    assert left.get_ylim() == (997.5, -2.5)
    assert left.get_ylabel() == "client (index, 1 in 5)"
    assert [axes.get_xlabel() for axes in others] == ["classes", "training images"]
    ends = [bar.get_width() for bar in others[1].patches]
    assert ends == [1] * 200  # clients 0, 5, 10, ...


def test_names_of_all_domains_stand_beside_their_clients() -> None:
    halves = {"photo": np.arange(500), "sketch": np.arange(500, 1000)}
    left = figures.classes_per_client(table(1000, **halves)).axes[0]
    assert [text.get_text() for text in left.get_yticklabels()] == ["photo", "sketch"]
    assert left.get_yticks().tolist() == [249.5, 749.5]
    assert left.get_ylim() == (997.5, -2.5)


def test_single_image_is_seen_beside_a_hundred() -> None:
    counts = ClientTable.count(
        2, *dealt(2, lambda client: np.zeros(1 if client else 100, np.int64))
    )
    image = figures.classes_per_client(counts).axes[0].images[0]
    assert image.norm(1) == pytest.approx(0.1)


def test_clients_that_are_not_scored_are_not_counted_in_the_legend() -> None:
    scores = {"local": np.array([50.0, np.nan, 60.0]), "novel": np.array([40.0, np.nan, 30.0])}
    [axes] = figures.own_versus("novel", scores, {}).axes
    assert axes.get_legend_handles_labels()[1] == ["client (2)", "mean of clients"]


def test_all_curves_of_a_run_are_told_apart() -> None:
    scopes = ["local", "own", "val", "unseen", "unseen_private", "unseen_all", "base", "novel"]
    columns = {f"{scope}_mean_percent" for scope in scopes}
    rounds = {
        "round": np.arange(2),
        "hm_percent": np.ones(2),
        "local_worst_decile_percent": np.ones(2),
    }
    drawn = figures.accuracy_over_rounds(rounds | dict.fromkeys(columns, np.ones(2)), scopes, {})
    looks = {(x.get_color(), x.get_linestyle(), x.get_marker()) for x in drawn.axes[0].lines}
    assert len(looks) == len(drawn.axes[0].lines) == 10


@pytest.mark.parametrize(("val", "best"), [([50.0, 70.0, 70.0], 2), ([np.nan] * 3, None)])
def test_best_round_on_validation_images_is_marked(val: list[float], best: int | None) -> None:
    columns = ("local_mean_percent", "local_worst_decile_percent")
    metrics = {"round": np.arange(3), **dict.fromkeys(columns, np.ones(3))}
    metrics["val_mean_percent"] = np.array(val)
    [axes] = figures.accuracy_over_rounds(metrics, ["local", "val"], {}).axes
    marks = {x.get_label(): x for x in axes.lines if x.get_label().startswith("best on")}
    if best is None:
        assert not marks
    else:
        assert set(marks["best on validation images, round 2"].get_xdata()) == {best}


def test_rounding_in_files_is_not_drawn_as_a_difference() -> None:
    metrics = {
        "round": np.arange(3),
        LOCAL_MEAN.column: np.full(3, 86.111111),
        LOCAL_WORST_DECILE.column: np.full(3, np.nan),
    }
    [axes] = figures.accuracy_over_rounds(metrics, ["local"], {LOCAL_MEAN.key: 86.1111111111}).axes
    low, high = axes.get_ylim()
    assert high - low > 1
    assert low < 86 < 87 < high


def test_axis_with_differences_is_left_as_it_is() -> None:
    axes = new_figure().subplots()
    axes.plot([1, 2], [50.0, 50.01])
    axes.invert_yaxis()
    before = axes.get_xlim(), axes.get_ylim()
    steady(axes)
    assert (axes.get_xlim(), axes.get_ylim()) == before
