"""The best layouts seen so far, for every number of GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, ChoiceValue, Layouts

NO_MECHANISM: Final = frozenset(
    {"dp", "micro_batch", "n_gpus", "replicas", "expert_replicas", "one_domain", "micro_batches"}
)
"""Degrees, and what is derived from them, that make a layout no harder to set up, however large."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layout: its number of GPUs and score (the less the better); how many mechanisms it needs and its place in the order of the
    space, which break ties.

    `row` is its place in `mesh`, a flat mesh that it may share with others.
    """

    n_gpus: int
    score: float
    mechanisms: int
    place: int
    mesh: Layouts = field(repr=False)
    row: int = 0

    @property
    def layouts(self) -> Layouts:
        """The mesh of this layout alone."""
        return self.mesh.at(np.asarray([self.row]))

    @property
    def order(self) -> tuple[float, int, int, int]:
        """What candidates are sorted by: the score; of equals fewer GPUs, then the simpler one, then the first in the space."""
        return (self.score, self.n_gpus, self.mechanisms, self.place)


def least_per_tuple(values: Array) -> Array:
    """The smallest value over the choices, for each tuple of degrees."""
    least: Array = values.reshape(-1, values.shape[-1]).min(axis=0)
    return least


def first_of(one: Candidate | None, other: Candidate | None) -> Candidate | None:
    """The one that comes first; None where there is none."""
    if one is None or other is None:
        return one or other
    return other if other.order < one.order else one


@dataclass(frozen=True, slots=True)
class Part:
    """A mesh that is a part of the space: which tuples of its chunk, which values of the choices.

    `tuples` counts from the start of the space; `whole` are all choices in the space's order.
    """

    layouts: Layouts
    tuples: NDArray[np.intp]
    whole: Mapping[str, tuple[ChoiceValue, ...]]

    def candidates(self, indices: NDArray[np.intp], score: Array) -> list[Candidate]:
        """The layouts at the flat positions `indices` of the mesh, whose scores are an array of the mesh's shape."""
        flat = self._flat(indices)
        places = self._places(flat, indices)
        needed = mechanisms(flat)
        gpus, scores = flat["n_gpus"], score.reshape(-1)[indices]
        return [
            Candidate(int(gpus[row]), float(scores[row]), int(needed[row]), int(places[row]), flat, row)
            for row in range(len(indices))
        ]

    def _flat(self, indices: NDArray[np.intp]) -> Layouts:
        """The layouts as a flat mesh over the choices of the whole space, so that candidates of all parts can be joined."""
        flat = self.layouts.at(indices)
        codes, values = {}, {}
        for axis, own in flat.values.items():
            whole = self.whole[axis]
            number = np.asarray([whole.index(value) for value in own], dtype=np.intp)
            codes[axis], values[axis] = number[flat.codes[axis]], whole
        return replace(flat, codes=codes, values=values)

    def _places(self, flat: Layouts, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        place = self.tuples[np.unravel_index(indices, self.layouts.shape)[-1]]
        for axis, values in self.whole.items():
            place = place * len(values) + flat.codes[axis]
        return place


def mechanisms(flat: Layouts) -> Array:
    """How many mechanisms each layout of a flat mesh needs: degrees above 1 and choices other than the first value."""
    needed: Array = np.zeros(1)
    for axis, array in flat.degrees.items():
        if axis not in NO_MECHANISM:
            needed = needed + (array > 1)
    for code in flat.codes.values():
        needed = needed + (code > 0)
    return np.broadcast_to(needed, flat.shape)


@dataclass(slots=True)
class Best:
    """For every number of GPUs the `keep` best layouts. Which they are does not depend on how the space is cut."""

    keep: int
    by_gpus: dict[int, list[Candidate]] = field(default_factory=dict)
    _worst: Array = field(default_factory=lambda: np.full(1, np.inf), repr=False)

    def add(self, part: Part, score: Array) -> None:
        """Look at the layouts of `part` (an array of its shape; a `score` of infinity: not allowed)."""
        n_gpus = part.layouts["n_gpus"].astype(np.intp)
        self._reach(int(n_gpus.max()))
        per_tuple = least_per_tuple(score)
        hopeful = self._hopeful(np.arange(len(n_gpus)), per_tuple, n_gpus)
        # The keep-th best tuple of a number of GPUs bounds what its keep-th best layout may be.
        for count, tuples in _grouped(n_gpus[hopeful], hopeful):
            if len(tuples) >= self.keep:
                bound = np.partition(per_tuple[tuples], self.keep - 1)[self.keep - 1]
                self._worst[count] = min(self._worst[count], bound)
        hopeful = self._hopeful(hopeful, per_tuple, n_gpus)
        if not len(hopeful):
            return
        few = score[..., hopeful]
        close = np.flatnonzero((few <= self._worst[n_gpus[hopeful]]) & (few < np.inf))
        places = np.unravel_index(close, few.shape)
        indices = np.ravel_multi_index((*places[:-1], hopeful[places[-1]]), score.shape)
        self._merge(part.candidates(indices, score))

    def _hopeful(self, tuples: NDArray[np.intp], per_tuple: Array, n_gpus: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which of `tuples` may have one of the best layouts."""
        least = per_tuple[tuples]
        return tuples[(least <= self._worst[n_gpus[tuples]]) & (least < np.inf)]

    def merge(self, others: Best) -> None:
        """Take over what another part of the space has found."""
        self._reach(max(others.by_gpus, default=0))
        self._merge([candidate for found in others.by_gpus.values() for candidate in found])

    def _merge(self, candidates: list[Candidate]) -> None:
        changed = set()
        for candidate in candidates:
            self.by_gpus.setdefault(candidate.n_gpus, []).append(candidate)
            changed.add(candidate.n_gpus)
        for count in changed:
            found = sorted(self.by_gpus[count], key=lambda candidate: candidate.order)[: self.keep]
            self.by_gpus[count] = found
            if len(found) == self.keep:
                self._worst[count] = min(self._worst[count], found[-1].score)

    def _reach(self, most: int) -> None:
        if most >= len(self._worst):
            more = np.full(max(most + 1, 2 * len(self._worst)) - len(self._worst), np.inf)
            self._worst = np.concatenate([self._worst, more])


def _grouped(keys: NDArray[np.intp], values: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The values of each key."""
    if not len(keys):
        return
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    for start, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        yield int(sorted_keys[start]), values[order[start:end]]


def joined(candidates: Sequence[Candidate]) -> Layouts:
    """One flat mesh of all candidates, in their order. Raises ValueError for none."""
    together: dict[int, list[int]] = {}
    for position, candidate in enumerate(candidates):
        together.setdefault(id(candidate.mesh), []).append(position)
    parts = [
        candidates[positions[0]].mesh.at(np.asarray([candidates[position].row for position in positions]))
        for positions in together.values()
    ]
    # Back from mesh by mesh to the order of the candidates.
    order = np.argsort(np.concatenate([np.asarray(positions) for positions in together.values()]))
    return Layouts.join(parts).at(order)
