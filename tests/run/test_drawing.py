"""Names in figures and tables stand as they are, whatever characters they have."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dealt import dealt
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from recorded import record, round_row, three

from launch import figures as launch_figures
from launch import table
from launch.runs import named_runs
from pfedmma_dist.results.figures import pictures
from pfedmma_dist.results.style import legend
from pfedmma_dist.run import drawing
from pfedmma_dist.run.drawing import _further, fonts, legend_label, new_figure, save, stored
from pfedmma_dist.run.figures import classes_per_client, domains
from pfedmma_dist.run.labels import LONGEST, label, printable
from pfedmma_dist.run.record import ClientTable, MethodResult
from pfedmma_dist.run.table import show
from pfedmma_dist.spelling import control_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MATHEMATICAL = ["price_$5_to_$10", "$", "a_b^c", r"\frac{", "$\\alpha$ $", "100 %", "{name}"]
HOSTILE = [*MATHEMATICAL, "_hidden", "a\nb", "\x1b[31mred", "[bold]x[/y]", "x" * 5000, " "]
HALF = "\udcff"
"""Half a character: what Python makes of a file's name that is no UTF-8."""

CJK = "猫と犬"


@pytest.fixture(autouse=True)
def nothing_told_before() -> Iterator[None]:
    fonts.cache_clear()
    _further.cache_clear()
    yield
    fonts.cache_clear()
    _further.cache_clear()


@pytest.fixture
def strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pixels(figure: "Figure") -> np.ndarray:
    """Return a figure as it is written."""
    with TemporaryDirectory() as folder:
        save(figure, Path(folder) / "a.png")
        return stored(Path(folder) / "a.png")


def members(names: list[str]) -> dict[str, np.ndarray]:
    return {name: np.array([index]) for index, name in enumerate(names)}


def test_printable_names_are_left_alone() -> None:
    for name in ("Ant", CJK, "a b", "naïve", "$5", "α/β", "全角 空白"):
        assert printable(name) == name


def test_what_cannot_be_printed_is_shown_by_its_escape() -> None:
    assert printable("a\nb\x1b[0m\udcff") == r"a\nb\x1b[0m\udcff"


def test_long_names_are_cut_in_their_middle() -> None:
    assert label("x" * LONGEST) == "x" * LONGEST
    assert label("a" * 100 + "z" * 100) == "a" * 26 + "…" + "z" * 13


def test_any_name_can_be_drawn(tmp_path: Path, strict: None) -> None:
    names = [*HOSTILE, HALF, "plain"]
    own, each = np.linspace(50.0, 60.0, len(names)), members(names)
    figure = domains(own, each, {})
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [*map(label, names)]
    save(figure, tmp_path / "a.png")
    one = dealt(len(names), lambda client: np.array([client % 3]))
    clients = ClientTable.count(3, *one, each)
    save(classes_per_client(clients), tmp_path / "b.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_names_are_never_read_as_mathematics() -> None:
    figure, other = new_figure(), new_figure()
    for drawn in (figure, other):
        for index, name in enumerate(MATHEMATICAL):
            drawn.text(0.1, (1 + index) / 9, name, parse_math=drawn is figure)
    assert np.array_equal(pixels(figure), pixels(other))


def test_line_whose_name_has_an_underscore_first_is_in_the_legend(strict: None) -> None:
    figure = new_figure()
    figure.subplots().plot([1, 2], label=legend_label("_mine"))
    legend(figure, "title")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["\u200b_mine"]
    pixels(figure)


def without_font() -> str:
    """Return a character of STIX that matplotlib's own font lacks."""
    own = get_font(findfont(FontProperties())).get_charmap()
    stix = next(font.fname for font in fontManager.ttflist if font.name == "STIXGeneral")
    found = get_font(stix).get_charmap()
    return chr(min(code for code in found if code > 0x2100 and code not in own))


def test_characters_are_drawn_from_any_installed_font(caplog: pytest.LogCaptureFixture) -> None:
    character = without_font()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        figure = domains(np.array([1.0]), members([character]), {})
        plain = pixels(figure)
    assert not told
    assert not caplog.messages
    families = figure.axes[0].get_yticklabels()[0].get_fontfamily()
    assert families[-1] in {font.name for font in fontManager.ttflist}
    other = pixels(domains(np.array([1.0]), members(["\U0010fffd"]), {}))
    assert not np.array_equal(plain, other)


def test_characters_without_a_font_are_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [font for font in fontManager.ttflist if font.name.startswith(("DejaVu", "STIX"))]
    monkeypatch.setattr(fontManager, "ttflist", own)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            pixels(domains(np.array([1.0]), members([CJK]), {}))
            pixels(domains(np.array([1.0, 2.0]), members([CJK, "naïve"]), {}))
    assert not told
    (line,) = caplog.messages
    assert line.startswith("figures: no installed font has と 犬 猫, drawn as boxes; install")


def test_font_file_that_is_none_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert drawing._covered(str(tmp_path / "broken.ttf")) == set()


def test_figures_of_sweeps_take_any_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], strict: None
) -> None:
    # Control characters, and names without end, are in no config.yaml.
    names = [name for name in HOSTILE if control_in(name) is None and len(name) < 1000]
    for index, name in enumerate(names):
        rounds = [round_row(0, 50.0), round_row(1, 51.0 + index)]
        config = {"method.name": name, "data.name": f"$a_$ {'y' * 300}"}
        record(tmp_path / "runs" / f"{index}", three(50, 50, 50), config=config, rounds=rounds)
    words = [str(path) for path in sorted((tmp_path / "runs").iterdir())]
    assert launch_figures.main([*words, "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 6
    found = {picture.name.partition("-")[0]: picture for picture in pictures(named_runs(words))}
    figure = found["trade_off"].draw()
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"$", "\u200b_hidden", "[bold]x[/y]"} <= shown
    capsys.readouterr()
    for kind in table.FORMATS:
        assert table.main([*words, "--format", kind]) == 0
        assert "\x1b" not in capsys.readouterr().out or kind == "csv"


@pytest.mark.parametrize("name", [*HOSTILE, HALF, CJK])
def test_terminal_shows_any_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"local_mean": 50.0, f"domain_{name}_mean": 40.0, "global_mean": 30.0}
    row = MethodResult(
        name="tuned", scores=scores, trained=1, up_numbers=1, down_numbers=1, up_bytes=4,
        down_bytes=4,
    )  # fmt: skip
    show(f"a title with {name[:20]}", [row])
    text = capsys.readouterr().out
    assert "40.00" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) < 80
