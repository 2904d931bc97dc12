"""Cuts a mesh into boxes that hold few refused layouts: some tuples of degrees, with the values of choices that suit them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Layouts, Mask
from planner.search.factoring import Kept, dense

WORTH_A_BOX: Final = 1 << 17
"""Refused layouts that a cut must leave out: evaluating them takes longer than the calls for one more box."""

BITS: Final = 16
"""Combinations of choices that are looked at together: so many bits number the entries of a small table."""


@dataclass(frozen=True, slots=True)
class Box:
    """Some tuples of a mesh, by their place there, and some values of every choice; `allowed` says which of its layouts are not
    refused, and broadcasts to `layouts`."""

    layouts: Layouts
    tuples: NDArray[np.intp]
    kept: Kept
    allowed: Mask


def boxes(layouts: Layouts, allowed: Mask) -> Iterator[Box]:
    """Boxes that hold every allowed layout, each in one of them. `allowed` broadcasts to the mesh; each tuple has such a layout."""
    numbers, first, counts = _patterns(allowed)
    for patterns, kept in _cut(allowed[..., first], counts, tuple(np.arange(size) for size in layouts.shape[:-1])):
        own = np.zeros(len(first), dtype=np.bool_)
        own[patterns] = True
        tuples = np.flatnonzero(own[numbers])
        left = allowed.take(tuples, axis=-1)
        for axis, values in enumerate(kept):
            left = left.take(values, axis=axis) if len(values) < left.shape[axis] else left
        yield Box(_with_values(layouts.some(tuples), kept), tuples, kept, left)


def _patterns(allowed: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Which combinations of choices are allowed: for each tuple the number of its pattern, for each pattern its first tuple and
    the number of its tuples."""
    rows = allowed.reshape(-1, allowed.shape[-1])
    numbers, size = np.zeros(allowed.shape[-1], dtype=np.intp), 1
    for start in range(0, len(rows), BITS):
        bits: NDArray[np.intp] = np.zeros(allowed.shape[-1], dtype=np.intp)
        for row in rows[start : start + BITS]:
            bits = bits * 2 + row
        own, radix = dense(bits)
        numbers, size = dense(numbers * radix + own) if size > 1 else (own, radix)
    first = np.empty(size, dtype=np.intp)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return numbers, first, np.bincount(numbers, minlength=size)


def _cut(allowed: Mask, counts: NDArray[np.intp], kept: Kept) -> Iterator[tuple[NDArray[np.intp], Kept]]:
    """Cut along the choice whose values suit the tuples least alike, and each part again, as long as that is worth it.

    `allowed` has one column for each pattern, `counts` says how many tuples have it; yields which patterns a box has.
    """
    best, most = None, WORTH_A_BOX
    for axis in range(len(kept)):
        if allowed.shape[axis] == 1:
            continue
        others = tuple(other for other in range(len(kept)) if other != axis)
        suits: Mask = np.asarray(allowed.any(axis=others))
        left_out = int((~suits @ counts).sum()) * (prod(map(len, kept)) // len(kept[axis]))
        if left_out >= most:
            best, most = (axis, suits), left_out
    if best is None:
        yield np.arange(len(counts)), kept
        return
    axis, suits = best
    alike: dict[bytes, list[int]] = {}
    for pattern in range(len(counts)):
        alike.setdefault(suits[:, pattern].tobytes(), []).append(pattern)
    for patterns in alike.values():
        values = np.flatnonzero(suits[:, patterns[0]])
        narrowed = (*kept[:axis], kept[axis][values], *kept[axis + 1 :])
        inside = allowed.take(values, axis=axis)[..., patterns]
        for own, further in _cut(inside, counts[patterns], narrowed):
            yield np.asarray(patterns)[own], further


def _with_values(layouts: Layouts, kept: Kept) -> Layouts:
    codes, values = {}, {}
    for position, (axis, whole) in enumerate(layouts.values.items()):
        shape = [1] * (len(kept) + 1)
        shape[position] = len(kept[position])
        codes[axis] = np.arange(len(kept[position]), dtype=np.intp).reshape(shape)
        values[axis] = tuple(whole[place] for place in kept[position])
    return Layouts(layouts.degrees, codes, values)
