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
        "mine consists of the following; its page is https://page.",
        f"  MISSING  {root}/mine/images",
        "           in https://host/a.zip (1 kB, of which no md5 sum is published)",
        "           --download fetches it and puts it there",
        f"  there    {root}/mine/images",
        "           frames; see a friend",
        f"  MISSING  {root}/mine/split.json",
        "           the split; see a friend",
    ]
