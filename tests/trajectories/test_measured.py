"""The page of known defects shows what was measured, of every recorded variant."""

from tests.trajectories.measured import COLUMNS, PAGE, filled, read
from tests.trajectories.recorded import FILES, ROUNDS, variants


def test_page_holds_the_tables_of_what_was_measured() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text) == text, "run `python -m tests.trajectories`, and commit"


def test_every_variant_was_measured_in_every_round_and_is_near() -> None:
    rows = read()
    assert tuple(rows[0]) == COLUMNS
    found = [(row["file"], row["variant"], int(row["round"])) for row in rows]
    wanted = [(f, v, n + 1) for f in FILES for v in variants(f) for n in range(ROUNDS)]
    assert found == wanted
    assert max(float(row["shared"]) for row in rows) <= 1e-5
    assert max(float(row["accuracy"]) for row in rows) <= 1e-5
