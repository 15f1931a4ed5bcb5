"""Training labels that are dealt to clients by a rule."""

from collections.abc import Callable

import numpy as np


def dealt(
    num_clients: int, labels: Callable[[int], np.ndarray]
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of clients, and the client and the label of each training image."""
    of_each = [labels(client) for client in range(num_clients)]
    owners = np.repeat(np.arange(num_clients), [len(own) for own in of_each])
    return num_clients, owners, np.concatenate(of_each)
