"""The authors' own loops, as recorded round by round, beside our federation on their batches."""

import sys
from pathlib import Path

# Helpers of tests go by their names alone, as pytest finds them; `python -m` has to be told.
HOME = str(Path(__file__).parents[1])
sys.path += [HOME] * (HOME not in sys.path)
