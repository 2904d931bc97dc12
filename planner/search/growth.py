"""What more GPUs buy: which numbers of them are worth a thought, and from which on each further one buys less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

LEAST_BEND: Final = 0.05
"""By what share of the whole gain a curve must rise above the straight line between its ends to have a knee."""

MOST_KEPT: Final = 0.9
"""What a GPU may still do at the end of a curve of what it does at the knee: above that, the curve only begins steeply."""


def pareto_front(points: Sequence[tuple[float, ...]]) -> tuple[int, ...]:
    """The positions of the points that no other is at least as good as in everything and better in something; less is better.

    >>> pareto_front([(1, 9), (2, 5), (3, 6), (4, 1)])
    (0, 1, 3)
    """
    values = np.asarray(points, dtype=np.float64)
    kept = []
    for position, own in enumerate(values):
        no_worse = (values <= own).all(axis=1)
        better = (values < own).any(axis=1)
        if not (no_worse & better).any():
            kept.append(position)
    return tuple(kept)


def knee(counts: Sequence[float], rates: Sequence[float]) -> int | None:
    """The position after which more GPUs buy less throughput than before; None where the curve is straight, or where a GPU at its
    end does nearly as much as at the knee.

    Both ends are put at 0 and 1; the knee is where what was gained is furthest ahead of what was spent (Satopää et al.,
    "Finding a 'Kneedle' in a Haystack", ICDCSW 2011, section III). `counts` ascend; a rate below an earlier one counts as that.

    >>> knee([1, 2, 3, 4, 5], [10, 20, 30, 31, 32]), knee([1, 2, 4], [10, 20, 40])
    (2, None)
    """
    if len(counts) < 3:
        return None
    spent, gained = np.asarray(counts, dtype=np.float64), np.maximum.accumulate(np.asarray(rates, dtype=np.float64))
    if gained[-1] <= gained[0]:
        return None
    ahead = (gained - gained[0]) / (gained[-1] - gained[0]) - (spent - spent[0]) / (spent[-1] - spent[0])
    best = int(np.argmax(ahead))
    kept = (gained[-1] / spent[-1]) / (gained[best] / spent[best])
    return best if ahead[best] >= LEAST_BEND and kept <= MOST_KEPT else None
