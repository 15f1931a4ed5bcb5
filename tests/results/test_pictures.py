"""Figures hold what was recorded, tell lines apart without colour, and spare others' files."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from recorded import ZERO_SHOT, record, round_row, three

from launch.runs import named_runs
from pfedmma_dist.results.curves import curve
from pfedmma_dist.results.figures import Picture, pictures
from pfedmma_dist.results.lines import lines
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.style import COLOURS, DASHES, looks, save
from pfedmma_dist.run.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ZERO = three(40, 40, 40)


def runs(folder: Path) -> list[Outcome]:
    return named_runs(map(str, sorted(folder.iterdir())))


def drawn(folder: Path) -> dict[str, "Figure"]:
    return {found.name: found.draw() for found in pictures(runs(folder)) if found.draw}


def skipped(found: Iterable[Picture]) -> dict[str, str]:
    return {picture.name: picture.reason for picture in found if picture.draw is None}


def legend(figure: "Figure") -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.fixture
def methods(tmp_path: Path) -> Path:
    """Two methods over two seeds, of which one sends nothing."""
    for name, sent, gain in (("shared", 100, 10.0), ("alone", 0, 14.0)):
        for seed in (1, 2):
            rounds = [
                round_row(i, 40 + gain * i + 2 * seed, client_up_bytes=sent, client_down_bytes=sent)
                for i in range(3)
            ]
            record(
                tmp_path / f"{name}{seed}", three(60 + gain, 50, 40),
                config={"method.name": name, "seed": seed}, zero_shot=ZERO, rounds=rounds,
            )  # fmt: skip
    return tmp_path


def test_curve_is_mean_and_sample_deviation_over_seeds(methods: Path) -> None:
    _, shared = lines(runs(methods))
    found = curve(shared)
    assert found.mean.tolist() == [43.0, 53.0, 63.0]
    np.testing.assert_allclose(found.deviation, np.sqrt(2))
    assert found.sent.tolist() == [200, 400, 600]


def test_curve_has_the_scored_rounds_that_all_seeds_have(tmp_path: Path) -> None:
    values = {1: [10.0, None, 30.0, 40.0], 2: [20.0, None, 50.0]}
    for seed, locals_ in values.items():
        rounds = [round_row(index, value) for index, value in enumerate(locals_)]
        record(tmp_path / f"{seed}", None, config={"seed": seed}, rounds=rounds)
    found = curve(lines(runs(tmp_path))[0])
    assert found.rounds.tolist() == [0, 2]
    assert found.mean.tolist() == [15.0, 40.0]


def test_bytes_are_those_of_a_client_on_average(tmp_path: Path) -> None:
    config = {"federation.fraction": 0.2, "federation.first_round_all": True}
    record(tmp_path / "a", None, config=config, rounds=[round_row(i, 50.0) for i in range(3)])
    found = curve(lines(runs(tmp_path))[0])
    assert found.sent.tolist() == [400, 480, 560]  # 400 bytes, then for two clients of ten


def test_figures_name_every_method_and_mark_what_trains_nothing(methods: Path) -> None:
    found = drawn(methods)
    assert sorted(found) == [
        "accuracy_over_rounds-glyphs-base_to_novel",
        "bytes_to_accuracy-glyphs-base_to_novel",
        "trade_off-glyphs-base_to_novel",
    ]
    over_rounds, over_bytes, trade_off = (found[name] for name in sorted(found))
    assert legend(over_rounds) == ["alone", "shared", ZERO_SHOT]
    assert legend(over_bytes) == ["alone (sends nothing)", "shared", ZERO_SHOT]
    assert legend(trade_off) == [ZERO_SHOT, "alone", "shared"]
    lined = over_rounds.axes[0].get_lines()
    assert lined[0].get_xdata().tolist() == [1, 2, 3]
    assert lined[0].get_ydata().tolist() == [43.0, 57.0, 71.0]
    assert lined[-1].get_ydata()[0] == 40.0


def test_what_is_not_there_is_skipped_with_the_reason(tmp_path: Path) -> None:
    record(tmp_path / "a", {"local_mean": 50.0}, config={"data.task": "label_shift"})
    assert skipped(pictures(runs(tmp_path))) == {
        "accuracy_over_rounds-glyphs-label_shift": "no round was scored",
        "bytes_to_accuracy-glyphs-label_shift": "no round was scored",
        "accuracy_per_client-glyphs-label_shift": f"{tmp_path / 'a' / 'clients.csv'} is missing; "
        "restore it from a copy",
        "trade_off-glyphs-label_shift": "Local and one more score need columns of their own",
        "scaling-glyphs-label_shift": "all runs have one number of clients",
        "radar-label_shift": "1 of the 3 data sets it takes",
    }


def test_clients_of_all_seeds_stand_in_order_of_their_scores(methods: Path) -> None:
    for folder in methods.iterdir():
        first = 10 * int(folder.name[-1])
        rows = [f"{client},,5,5,{first + 7 * client % 9}\n" for client in range(3)]
        head = "client,domain,train_images,classes,local_percent\n"
        (folder / "clients.csv").write_text("".join([head, *rows, "3,,5,5,\n"]))
    figure = drawn(methods)["accuracy_per_client-glyphs-base_to_novel"]
    assert legend(figure) == ["alone", "shared", ZERO_SHOT]
    line = figure.axes[0].get_lines()[0]
    assert line.get_ydata().tolist() == [10.0, 15.0, 17.0, 20.0, 25.0, 27.0]
    assert line.get_xdata() == pytest.approx([100 * (i + 0.5) / 6 for i in range(6)])


def test_one_scored_round_is_no_curve_over_rounds(tmp_path: Path) -> None:
    record(tmp_path / "a", three(50, 50, 50), rounds=[round_row(9, 50.0)])
    found = skipped(pictures(runs(tmp_path)))
    told = found["accuracy_over_rounds-glyphs-base_to_novel"]
    assert told == "only one round was scored; see evaluate.every"
    assert "bytes_to_accuracy-glyphs-base_to_novel" not in found


def test_radar_goes_round_the_data_sets(tmp_path: Path) -> None:
    for data in ("pets", "cars", "dogs"):
        for name, hm in (("a", 50), ("b", 60)):
            config = {"data.name": data, "method.name": name}
            record(tmp_path / f"{data}{name}", three(hm, hm, hm), config=config, zero_shot=ZERO)
    figure = drawn(tmp_path)["radar-base_to_novel"]
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cars", "dogs", "pets"]
    assert legend(figure) == [ZERO_SHOT, "a", "b"]
    assert axes.get_lines()[2].get_ydata() == pytest.approx([60.0] * 4)


def test_scaling_has_clients_across_and_a_line_per_setting(tmp_path: Path) -> None:
    for clients in (10, 100, 1000):
        for fraction in (1.0, 0.1):
            config = {
                "data.num_clients": clients, "federation.fraction": fraction,
                "data.task": "label_shift",
            }  # fmt: skip
            rounds = [round_row(0, 50.0), round_row(1, 50.0)]
            scores = {"local_mean": 50.0, "global_mean": 40.0}
            record(tmp_path / f"{clients}-{fraction}", scores, config=config, rounds=rounds)
    figure = drawn(tmp_path)["scaling-glyphs-label_shift"]
    assert legend(figure) == ["tuned, fraction 0.1", "tuned, fraction 1.0"]
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "Local accuracy (%)", "seconds per round", "peak memory (MiB)",
        "bytes per round, all clients",
    ]  # fmt: skip
    traffic = figure.axes[3].get_lines()
    assert traffic[0].get_xdata().tolist() == [10, 100, 1000]
    assert traffic[0].get_ydata().tolist() == [400, 4000, 40000]


def test_many_lines_are_shown_in_a_panel_per_setting(tmp_path: Path) -> None:
    for rate in (1, 2, 3):
        for name in "abcd":
            config = {"optim.lr": rate, "method.name": name}
            rounds = [round_row(0, 50.0), round_row(1, 51.0)]
            record(tmp_path / f"{name}{rate}", None, config=config, rounds=rounds)
    figure = drawn(tmp_path)["accuracy_over_rounds-glyphs-base_to_novel"]
    assert [axes.get_title() for axes in figure.axes] == ["lr 1", "lr 2", "lr 3"]
    assert legend(figure) == ["a", "b", "c", "d"]


def test_each_panel_has_its_own_reference(tmp_path: Path) -> None:
    for clients in range(11):
        config = {"data.num_clients": clients + 1, "data.task": "label_shift"}
        scores = {"local_mean": 50.0 + clients}
        rounds = [round_row(0, 60.0), round_row(1, 61.0)]
        folder = tmp_path / f"{clients}"
        record(folder, scores, config=config, zero_shot=scores, rounds=rounds)
    figure = drawn(tmp_path)["accuracy_over_rounds-glyphs-label_shift"]
    across = [axes.get_lines()[-1].get_ydata()[0] for axes in figure.axes]
    assert across == [50.0 + clients for clients in range(11)]
    assert [bool(axes.get_xlabel()) for axes in figure.axes] == [False] * 8 + [True] * 3


def test_lines_differ_without_their_colour() -> None:
    most = len(COLOURS) * len(DASHES)
    found = looks(map(str, range(most))).values()
    assert len({(str(look.dashes), look.marker) for look in found}) == most
    assert len({(look.colour, str(look.dashes)) for look in found}) == most


def test_colours_differ_in_grey_from_paper() -> None:
    for colour in COLOURS:
        red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
        assert 0.299 * red + 0.587 * green + 0.114 * blue < 180


def test_own_files_are_written_again_and_those_of_others_are_not(tmp_path: Path) -> None:
    figure = new_figure()
    figure.subplots().plot([1, 2])
    png, svg = save(figure, tmp_path / "new", "a")
    first = svg.read_bytes()
    save(figure, tmp_path / "new", "a")
    assert svg.read_bytes()[:200] == first[:200]
    png.write_bytes(b"a photograph")
    with pytest.raises(ValueError, match=r"a\.png was not made here and is left alone"):
        save(figure, tmp_path / "new", "a")
    assert png.read_bytes() == b"a photograph"
    assert sorted(path.name for path in png.parent.iterdir()) == ["a.png", "a.svg"]


def test_drawing_leaves_pyplot_alone(methods: Path) -> None:
    code = (
        "import sys\n"
        "from launch.figures import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    out = methods / "out"
    words = [str(path) for path in sorted(methods.iterdir())]
    command = [sys.executable, "-c", code, *words, "--out", str(out)]
    text = subprocess.run(
        command, check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True
    ).stdout
    assert f"drawn    {out / 'trade_off-glyphs-base_to_novel.png'} and .svg" in text
    assert "skipped  radar-base_to_novel: 1 of the 3 data sets it takes" in text
    assert len(list(out.iterdir())) == 6


def test_time_to_accuracy_is_of_runs_with_a_clock(methods: Path, tmp_path: Path) -> None:
    name = "time_to_accuracy-glyphs-base_to_novel"
    assert name not in {picture.name for picture in pictures(runs(methods))}
    for seed in (1, 2):
        clock = [
            {
                "simulated_so_far": seed * 10.0 * (i + 1),
                "clients_arrived": 2,
                "clients_late": 1,
                "clients_lost": 1,
            }
            for i in range(3)
        ]
        rounds = [round_row(i, 40 + i + seed, **clock[i]) for i in range(3)]
        config = {"method.name": "timed", "seed": seed, "system.fleet": "even"}
        record(tmp_path / f"timed{seed}", three(60, 50, 40), config=config, rounds=rounds)
    timed = next(line for line in lines(runs(tmp_path)) if "timed" in line.label)
    assert curve(timed).clock.tolist() == [15.0, 30.0, 45.0]
    assert curve(timed).sent.tolist() == [160, 320, 480]  # four of ten clients trained
    (axes,) = drawn(tmp_path)[name].axes
    (line,) = axes.get_lines()
    assert line.get_xdata().tolist() == [15.0, 30.0, 45.0]
    assert axes.get_xlabel() == "simulated time so far"
