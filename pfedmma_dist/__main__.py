"""`python -m pfedmma_dist` is `pfedmma`."""

import sys

from pfedmma_dist.console.main import main

if __name__ == "__main__":
    sys.exit(main())
