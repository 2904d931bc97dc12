"""Cuts a mesh into boxes that hold few refused layouts: some tuples of degrees, with the values of choices that suit them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Layouts, Mask

WORTH_A_BOX: Final = 1 << 16
"""Refused layouts that a cut must leave out: evaluating them takes longer than the calls for one more box."""


@dataclass(frozen=True, slots=True)
class Box:
    """Some tuples of a mesh, by their place there, and some values of every choice; `allowed` says which of its layouts are not
    refused, and broadcasts to `layouts`."""

    layouts: Layouts
    tuples: NDArray[np.intp]
    allowed: Mask


def boxes(layouts: Layouts, forbidden: Mask) -> Iterator[Box]:
    """Boxes that hold every layout that is not forbidden, each in one of them. `forbidden` broadcasts to the mesh."""
    allowed = np.broadcast_to(~forbidden, (*forbidden.shape[:-1], layouts.shape[-1]))
    every = tuple(np.arange(size) for size in layouts.shape[:-1])
    for tuples, kept, left in _cut(allowed, np.arange(layouts.shape[-1]), every):
        yield Box(_restricted(layouts, tuples, kept), tuples, left)


Kept = tuple[NDArray[np.intp], ...]
"""The positions of the values that are left of each choice."""


def _cut(allowed: Mask, tuples: NDArray[np.intp], kept: Kept) -> Iterator[tuple[NDArray[np.intp], Kept, Mask]]:
    """Cut along the choice whose values suit the tuples least alike, and each part again, as long as that is worth it."""
    alive = np.flatnonzero(allowed.reshape(-1, allowed.shape[-1]).any(axis=0))
    if len(alive) < len(tuples):
        allowed, tuples = allowed[..., alive], tuples[alive]
    if not len(tuples):
        return
    best, most = None, WORTH_A_BOX
    for axis in range(len(kept)):
        if allowed.shape[axis] == 1:
            continue
        others = tuple(other for other in range(len(kept)) if other != axis)
        suits = allowed.any(axis=others)
        left_out = int(np.count_nonzero(~suits)) * (prod(map(len, kept)) // len(kept[axis]))
        if left_out >= most:
            best, most = (axis, suits), left_out
    if best is None:
        yield tuples, kept, allowed
        return
    axis, suits = best
    patterns = np.packbits(suits, axis=0)
    _, first, numbers = np.unique(patterns, axis=1, return_index=True, return_inverse=True)
    for number, where in enumerate(first):
        values = np.flatnonzero(suits[:, where])
        own = np.flatnonzero(numbers.reshape(-1) == number)
        narrowed = (*kept[:axis], kept[axis][values], *kept[axis + 1 :])
        yield from _cut(allowed.take(values, axis=axis)[..., own], tuples[own], narrowed)


def _restricted(layouts: Layouts, tuples: NDArray[np.intp], kept: Kept) -> Layouts:
    degrees = {name: array[tuples] for name, array in layouts.degrees.items()}
    codes, values = {}, {}
    for position, (axis, whole) in enumerate(layouts.values.items()):
        shape = [1] * (len(kept) + 1)
        shape[position] = len(kept[position])
        codes[axis] = np.arange(len(kept[position]), dtype=np.intp).reshape(shape)
        values[axis] = tuple(whole[place] for place in kept[position])
    return Layouts(degrees, codes, values)
