"""Rules on uploads as short scripts in float64: (rows [n, S], samples [n], where they started [S],
guard) -> (centre [S], who is kept)."""

from collections.abc import Callable

import numpy as np

from pfedmma_dist.exchange.robust import Guard

Found = tuple[np.ndarray, list[int]]


def by_closeness(rows: np.ndarray, left: list[int], f: int) -> list[int]:
    """Return places in rows, the one closest to its neighbours first; ties by closeness to all."""
    near = max(len(left) - f - 2, 1)
    far = {i: sorted(float(((rows[i] - rows[j]) ** 2).sum()) for j in left) for i in left}
    return sorted(left, key=lambda i: (sum(far[i][: near + 1]), sum(far[i])))


def krum(rows: np.ndarray, samples: np.ndarray, start: np.ndarray, guard: Guard) -> Found:
    best = by_closeness(rows, list(range(len(rows))), guard.byzantine)[0]
    return rows[best], [best]


def multi_krum(rows: np.ndarray, samples: np.ndarray, start: np.ndarray, guard: Guard) -> Found:
    order = by_closeness(rows, list(range(len(rows))), guard.byzantine)
    kept = order[: len(rows) - guard.byzantine]
    return np.average(rows[kept], axis=0, weights=samples[kept]), kept


def bulyan(rows: np.ndarray, samples: np.ndarray, start: np.ndarray, guard: Guard) -> Found:
    left, chosen = list(range(len(rows))), []
    while len(chosen) < len(rows) - 2 * guard.byzantine:
        chosen.append(by_closeness(rows, left, guard.byzantine)[0])
        left.remove(chosen[-1])
    middle, found = np.median(rows[chosen], axis=0), []
    for column, at in zip(rows[chosen].T, middle, strict=True):
        nearest = sorted(column, key=lambda x, at=at: abs(x - at))
        found.append(np.mean(nearest[: len(chosen) - 2 * guard.byzantine]))
    return np.array(found), chosen


def trimmed_mean(rows: np.ndarray, samples: np.ndarray, start: np.ndarray, guard: Guard) -> Found:
    found, low, high = [], guard.trim * samples.sum(), (1 - guard.trim) * samples.sum()
    for column in rows.T:
        order, reached, total = np.argsort(column), 0.0, 0.0
        for value, count in zip(column[order], samples[order], strict=True):
            total += value * max(min(reached + count, high) - max(reached, low), 0.0)
            reached += count
        found.append(total / (high - low))
    return np.array(found), list(range(len(rows)))


def norm_clipping(rows: np.ndarray, samples: np.ndarray, start: np.ndarray, guard: Guard) -> Found:
    length = np.linalg.norm(rows - start, axis=1)
    middle = np.median(np.repeat(length, samples))
    bound = middle if guard.bound is None else guard.bound
    moves = (rows - start) * np.minimum(1, bound / length)[:, None]
    return start + np.average(moves, axis=0, weights=samples), list(range(len(rows)))


SCRIPTS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, Guard], Found]] = {
    "krum": krum,
    "multi_krum": multi_krum,
    "bulyan": bulyan,
    "trimmed_mean": trimmed_mean,
    "norm_clipping": norm_clipping,
}
