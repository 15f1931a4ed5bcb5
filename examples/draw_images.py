"""Draw a folder of images to try things on: `python examples/draw_images.py FOLDER`.

Writes FOLDER/<class>/<number>.png of the embedded world's glyphs, as if somebody took them; the
mini-CLIP that ships with the program knows their names. Where you have images of your own, in a
folder for each class, you need none of this.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.data.glyphs.store import GlyphStore

DIFFICULTY, GAP = 0.4, 1.0
"""As the embedded world has them by default."""


def draw(folder: Path, num_classes: int, num_images: int, seed: int) -> int:
    """Write so many images of so many classes; return how many these are in all."""
    store = GlyphStore(seed, DIFFICULTY, GAP, num_images, test_per_class=0)
    rows = np.arange(num_classes * num_images)
    for row, image in zip(rows, store.open(rows), strict=True):
        label, index = divmod(int(row), num_images)
        path = folder / glyphs.CLASS_NAMES[label] / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return len(rows)


def main() -> int:
    """Draw what the command line asks for; return 2 where something would be overwritten."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--classes", type=int, default=12, help="of the 100 there are; 12")
    parser.add_argument("--images", type=int, default=20, help="of each class; 20")
    parser.add_argument("--seed", type=int, default=7, help="other seeds, other images; 7")
    words = parser.parse_args()
    if not 2 <= words.classes <= len(glyphs.CLASS_NAMES) or words.images < 1:
        parser.error(f"--classes takes 2 to {len(glyphs.CLASS_NAMES)}, --images 1 or more")
    try:
        if words.folder.exists() and any(words.folder.iterdir()):
            print(f"{words.folder} is there and not empty; name another folder", file=sys.stderr)
            return 2
        number = draw(words.folder, words.classes, words.images, words.seed)
    except OSError as error:
        print(
            f"cannot write to {error.filename or words.folder} ({error.strerror or error}); name a "
            "new folder with room that you may write to",
            file=sys.stderr,
        )
        return 2
    print(f"{number} images of {words.classes} classes in {words.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
