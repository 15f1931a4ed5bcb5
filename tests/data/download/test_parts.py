"""The guide to a data set names every piece and tells what is missing."""

from pathlib import Path

from pfedmma_dist.data.download.parts import Archive, Origin, Piece, guide


def test_guide_says_what_is_there_and_how_to_get_what_is_missing(tmp_path: Path) -> None:
    root = tmp_path
    (root / "Mine" / "images").mkdir(parents=True)
    origin = Origin(
        "https://page",
        (Archive("https://host/a.zip", None, "1 kB", {"a": "mine/images"}),),
        (Piece("frames", "a friend", "mine/images", "[mM]ine/images"),),
        Piece("the split", "a friend", "mine/split.json"),
    )
    assert guide(root, "mine", origin).splitlines() == [
        f"mine consists of the following, below {root}",
        "(its page: https://page)",
        "  MISSING  mine/images",
        "           https://host/a.zip",
        f"{'':11}1 kB, of which no md5 sum is published; --download fetches it and puts it there",
        "  there    mine/images",
        "           frames; see a friend",
        "  MISSING  mine/split.json",
        "           the split; see a friend",
    ]


def test_pieces_of_one_kind_are_told_together_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "lists" / "b").mkdir(parents=True)
    pieces = tuple(Piece("a list", "a friend", f"lists/{name}") for name in "abcd")
    assert guide(tmp_path, "mine", Origin("https://page", pieces=pieces)).splitlines()[2:] == [
        "  MISSING  lists/a",
        "           a list; see a friend",
        "  there    lists/b",
        "           a list; see a friend",
        "  MISSING  lists/: c, d",
        "           a list; see a friend",
    ]
