"""Let `python benchmarks/NAME.py` find the package beside this folder, where none is installed."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
