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


@dataclass(frozen=True, slots=True)
class Candidates:
    """Layouts side by side: a flat mesh, and of each layout what a `Candidate` says."""

    mesh: Layouts
    n_gpus: NDArray[np.intp]
    score: Array
    mechanisms: Array
    place: NDArray[np.intp]

    def __getitem__(self, row: int) -> Candidate:
        """One of them."""
        numbers = int(self.n_gpus[row]), float(self.score[row]), int(self.mechanisms[row]), int(self.place[row])
        return Candidate(*numbers, self.mesh, row)

    @property
    def order(self) -> NDArray[np.intp]:
        """The rows by number of GPUs, then as `Candidate.order` has it."""
        return np.lexsort((self.place, self.mechanisms, self.score, self.n_gpus))

    def first(self) -> Candidate:
        """The one that comes first whatever its number of GPUs."""
        return self[int(np.lexsort((self.place, self.mechanisms, self.n_gpus, self.score))[0])]

    def at(self, rows: NDArray[np.intp]) -> Candidates:
        """Some of them, in the order of `rows`."""
        return Candidates(
            self.mesh.at(rows), self.n_gpus[rows], self.score[rows], self.mechanisms[rows], self.place[rows]
        )

    def joined(self, others: Candidates) -> Candidates:
        """These and those, from one space."""
        return Candidates(
            Layouts.join([self.mesh, others.mesh]),
            np.concatenate([self.n_gpus, others.n_gpus]),
            np.concatenate([self.score, others.score]),
            np.concatenate([self.mechanisms, others.mechanisms]),
            np.concatenate([self.place, others.place]),
        )


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

    def some(self, tuples: NDArray[np.intp]) -> Part:
        """Some tuples of this part, by their place in it."""
        return Part(self.layouts.some(tuples), self.tuples[tuples], self.whole)

    def candidates(self, indices: NDArray[np.intp], score: Array) -> Candidates:
        """The layouts at the flat positions `indices` of the mesh, whose scores are an array of the mesh's shape."""
        flat = self._flat(indices)
        n_gpus = np.broadcast_to(flat["n_gpus"], indices.shape).astype(np.intp)
        return Candidates(flat, n_gpus, score.reshape(-1)[indices], mechanisms(flat), self._places(flat, indices))

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
    _found: Candidates | None = field(default=None, repr=False)
    _worst: Array = field(default_factory=lambda: np.full(1, np.inf), repr=False)

    @property
    def by_gpus(self) -> dict[int, list[Candidate]]:
        """The best layouts, in their order."""
        found: dict[int, list[Candidate]] = {}
        for row in range(0 if self._found is None else len(self._found.score)):
            assert self._found is not None
            candidate = self._found[row]
            found.setdefault(candidate.n_gpus, []).append(candidate)
        return found

    def add(self, part: Part, score: Array) -> None:
        """Look at the layouts of `part` (an array of its shape; a `score` of infinity: not allowed)."""
        n_gpus = part.layouts["n_gpus"].astype(np.intp)
        self._reach(int(n_gpus.max()))
        per_tuple = least_per_tuple(score)
        hopeful = self._hopeful(np.arange(len(n_gpus)), per_tuple, n_gpus)
        if not len(hopeful):
            return
        # The keep-th best tuple of a number of GPUs bounds what its keep-th best layout may be.
        for count, tuples in _grouped(n_gpus[hopeful], hopeful):
            if len(tuples) >= self.keep:
                bound = np.partition(per_tuple[tuples], self.keep - 1)[self.keep - 1]
                self._worst[count] = min(self._worst[count], bound)
        hopeful = self._hopeful(hopeful, per_tuple, n_gpus)
        few = score.take(hopeful, axis=-1)
        close = np.flatnonzero((few <= self._worst[n_gpus[hopeful]]) & (few < np.inf))
        self._merge(part.some(hopeful).candidates(close, few))

    def _hopeful(self, tuples: NDArray[np.intp], per_tuple: Array, n_gpus: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which of `tuples` may have one of the best layouts."""
        least = per_tuple[tuples]
        return tuples[(least <= self._worst[n_gpus[tuples]]) & (least < np.inf)]

    def merge(self, others: Best) -> None:
        """Take over what another part of the space has found."""
        if others._found is not None:
            self._reach(int(others._found.n_gpus.max()))
            self._merge(others._found)

    def _merge(self, candidates: Candidates) -> None:
        every = candidates if self._found is None else self._found.joined(candidates)
        order = every.order
        starts = _starts(every.n_gpus[order])
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
        self._found = every.at(order[rank < self.keep])
        full = order[rank == self.keep - 1]
        self._worst[every.n_gpus[full]] = np.minimum(self._worst[every.n_gpus[full]], every.score[full])

    def _reach(self, most: int) -> None:
        if most >= len(self._worst):
            more = np.full(max(most + 1, 2 * len(self._worst)) - len(self._worst), np.inf)
            self._worst = np.concatenate([self._worst, more])


def _starts(keys: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each run of equal keys starts."""
    return np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])


def _grouped(keys: NDArray[np.intp], values: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The values of each key."""
    order = np.argsort(keys, kind="stable")
    starts = _starts(keys[order])
    for start, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        yield int(keys[order[start]]), values[order[start:end]]


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
