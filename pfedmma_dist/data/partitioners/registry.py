"""Dealing: ways to give images to clients, each a function from a deck to the client of each image.

To add one, write its function in a file here, name it in `Dealing` (config/keys.py), and give it
a line in `DEALERS`. Whatever the dealer, an image has one owner at most (NOBODY where it has none),
and every client has a training image. Whose an image is depends on its class and on its place among
the images of that class, and not on how the classes are interleaved.
"""

from collections.abc import Callable

import numpy as np

from pfedmma_dist.config.keys import Dealing
from pfedmma_dist.data.partitioners.classes import classes
from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.dirichlet import dirichlet
from pfedmma_dist.data.partitioners.even import iid, superclass
from pfedmma_dist.data.partitioners.natural import natural
from pfedmma_dist.data.partitioners.pachinko import pachinko

Dealer = Callable[[Deck, Rules], tuple[np.ndarray, np.ndarray]]
"""(images, rules) -> client of each training image [n] and of each test image [m]"""

DEALERS: dict[Dealing, Dealer] = {
    Dealing.dirichlet: dirichlet,
    Dealing.pachinko: pachinko,
    Dealing.classes: classes,
    Dealing.superclass: superclass,
    Dealing.iid: iid,
    Dealing.natural: natural,
}
