"""The picture of README.md: what rounds cost a client and what comes out, of every row measured."""

import csv
import hashlib
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "measured" / "glyphs.csv"
PICTURE = ROOT / "docs" / "sent.png"
DIGEST = "measured"
"""The text in the picture that says of which file it was made."""

NAMED = {
    "pFedMMA": (7, -3),
    "pFedMMA, all averaged": (7, -3),
    "pFedMMA without sharing": (7, -12),
    "Fed-SB": (7, 3),
    "LoRA, averaged": (-10, 14),
    "LoRA without sharing": (7, -3),
    "PromptFL": (-48, -3),
    "pFedMoAP": (-53, -3),
    "FedOTP": (7, -4),
    "one-shot GDA": (-48, 14),
    "Tip-Adapter-F": (7, 4),
    "own-class prior": (7, -4),
    "zero-shot CLIP": (7, -12),
    "MaPLe": (2, 10),
    "FedMVP": (-16, 9),
    "FedTPG": (-24, -16),
    "FedCLIP": (8, -3),
    "VPT": (-7, -16),
}  # fmt: skip
"""Rows that are named in the picture -> where their name stands from their point, in points."""
ALONE = "one client with all data"
"""What the label of a row holds that is no federation."""
NOTHING = 200.0
"""Where rows that send nothing stand on the logarithmic axis."""


def points() -> dict[str, tuple[float, float, float]]:
    """Return (bytes sent in a round, HM, its deviation) by row of quick_compare_all."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    with MEASURED.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if not float(row["published"]):
                columns = found.setdefault(row["method"], {})
                columns[row["column"]] = (row["mean"], row["deviation"])
    return {
        method: (float(of["up_bytes"][0]), float(of["hm"][0]), float(of["hm"][1]))
        for method, of in found.items()
        if ALONE not in method and of.get("hm", ("",))[0]
    }


def digest() -> str:
    """Return what tells the measured file that a picture is of."""
    return hashlib.sha256(MEASURED.read_bytes()).hexdigest()[:16]


def drawn_of() -> str:
    """Return the digest of the measurements that the picture in docs was drawn from."""
    with Image.open(PICTURE) as picture:
        return str(picture.info.get(DIGEST, ""))


def draw() -> Path:
    """Draw the picture anew."""
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = figure.subplots()
    for method, (sent, score, deviation) in points().items():
        is_ours = method.startswith("pFedMMA")
        colour = "#b3261e" if is_ours else "#1f4e79" if method in NAMED else "#9aa7b4"
        axes.errorbar(
            max(sent, NOTHING), score, yerr=deviation, fmt="o", markersize=6 if is_ours else 4.5,
            color=colour, ecolor=colour, elinewidth=0.8, alpha=1 if method in NAMED else 0.7,
        )  # fmt: skip
        if method in NAMED:
            axes.annotate(
                method, (max(sent, NOTHING), score), NAMED[method], textcoords="offset points",
                fontsize=8.5, color=colour,
            )  # fmt: skip
    axes.set_xscale("log")
    ticks = {NOTHING: "nothing", 2**10 * 3: "3 KiB", 2**10 * 12: "12", 2**10 * 48: "48"}
    ticks |= {2**10 * 192: "192", 2**10 * 768: "768"}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel("sent by a client in a round (the embedded world's CLIP)")
    axes.set_ylabel("HM of Local, Base, Novel, percent")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=160, metadata={DIGEST: digest()})
    return PICTURE
