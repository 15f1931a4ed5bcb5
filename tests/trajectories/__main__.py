"""Follow every recorded variant; write docs/measured/trajectories.csv and the tables made of it."""

from tests.trajectories.measured import CSV, PAGE, filled, measure


def main() -> None:
    """Take half a minute."""
    CSV.write_text(measure(), encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
