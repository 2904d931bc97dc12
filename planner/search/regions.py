"""Which regions of a space are refused: for every reason the values of axes that its layouts have, and how many they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations, product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, ChoiceValue, Layouts, Mask
from planner.domain.plan import Region
from planner.search.space import Space

GPUS: Final = "n_gpus"
MOST_VALUES: Final = 40
"""Axes with more values than these are told alone, not in pairs with others."""
MOST_REGIONS: Final = 4
"""So many regions of one reason are told apart; the rest is one."""
MOST_AXES: Final = 4
"""So many axes describe a region at most, those first whose values hold the fewest layouts."""
MOSTLY: Final = 0.75
"""Of the layouts with certain values, the share that a reason refuses where these values are a region of its own."""
SPREAD: Final = 0.9
"""An axis says where a reason applies if the values that it refuses hold no more than this share of all layouts."""

Values = tuple[ChoiceValue, ...]
Where = dict[str, Values]


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis of a mesh: the number of each tuple's value among those of the space; of a choice (its `place` among the outer
    axes) that of each of its values."""

    name: str
    codes: NDArray[np.intp]
    size: int
    place: int | None = None

    @property
    def few(self) -> bool:
        """Whether it has few enough values to be told together with another."""
        return self.size <= MOST_VALUES and self.name != GPUS


@dataclass(slots=True)
class Tally:
    """Layouts counted by the values of their axes: of each axis alone (a pair of the same name), and of pairs of axes."""

    counts: dict[tuple[str, str], Array] = field(default_factory=dict)

    def add(self, axes: Sequence[_Axis], layouts: Mask, shape: tuple[int, ...]) -> None:
        """Count the layouts of a mesh of `shape` by each axis alone; the mask may have length 1 where it does not depend on an
        axis."""
        repeats = np.prod([size for size, own in zip(shape, layouts.shape, strict=True) if own == 1])
        flat = np.count_nonzero(layouts.reshape(-1, layouts.shape[-1]), axis=0)
        weights = (
            np.broadcast_to(flat * float(repeats), shape[-1:])
            if layouts.shape[-1] > 1
            else np.full(shape[-1:], flat[0] * float(repeats) / shape[-1])
        )
        tuples = np.flatnonzero(weights)
        for axis in axes:
            if axis.place is None:
                self._count(axis, axis, np.bincount(axis.codes[tuples], weights[tuples], axis.size))
        by_choices = _counted(layouts, -1)
        for axis in axes:
            if axis.place is not None:
                # Along an axis that the mask does not depend on, each value has an equal share.
                totals = by_choices.sum(axis=tuple(place for place in range(by_choices.ndim) if place != axis.place))
                each = np.zeros(axis.size)
                each[axis.codes] = totals * repeats / (1 if len(totals) == shape[axis.place] else shape[axis.place])
                self._count(axis, axis, each)

    def add_pairs(self, axes: Sequence[_Axis], layouts: Mask) -> None:
        """Count the layouts of a full mask by the values of two axes, for all that have few."""
        weights = _by_tuple(layouts)
        few = [axis for axis in axes if axis.few]
        for one, other in combinations([axis for axis in few if axis.place is None], 2):
            table = np.bincount(one.codes * other.size + other.codes, weights, one.size * other.size)
            self._count(one, other, table.reshape(one.size, other.size))
        for one in few:
            for position, code in enumerate(one.codes if one.place is not None else ()):
                own = _by_tuple(np.asarray(layouts.take(position, axis=one.place)))
                for other in few:
                    if other.place is None:
                        cells = np.zeros((one.size, other.size))
                        cells[code] = np.bincount(other.codes, own, other.size)
                        self._count(one, other, cells)
        self._add_choices([axis for axis in few if axis.place is not None], _counted(layouts, -1))

    def _add_choices(self, choices: Sequence[_Axis], counted: NDArray[np.uint32]) -> None:
        for one, other in combinations(choices, 2):
            places = tuple(place for place in range(counted.ndim) if place not in (one.place, other.place))
            cells = np.zeros((one.size, other.size))
            cells[np.ix_(one.codes, other.codes)] = counted.sum(axis=places)
            self._count(one, other, cells)

    def _count(self, one: _Axis, other: _Axis, table: NDArray[Any]) -> None:
        pair = (one.name, other.name)
        self.counts[pair] = table if pair not in self.counts else self.counts[pair] + table

    def take(self, other: Tally) -> None:
        """Add what was counted elsewhere in the same space."""
        for pair, table in other.counts.items():
            self.counts[pair] = table if pair not in self.counts else self.counts[pair] + table

    def together(self, one: str, other: str, shape: tuple[int, int]) -> Array:
        """Layouts by the values of two axes, those of `one` in rows."""
        if (other, one) in self.counts:
            return self.counts[other, one].T
        return self.counts.get((one, other), np.zeros(shape))


def _by_tuple(layouts: Mask) -> Array:
    """How many layouts of a mask each tuple has."""
    return _counted(layouts.reshape(-1, layouts.shape[-1]), 0).astype(np.float64)


def _counted(layouts: Mask, axis: int) -> NDArray[np.uint32]:
    """`np.count_nonzero` along an axis in a third of its time: bytes are added up."""
    whole = np.ascontiguousarray(layouts).view(np.uint8)
    return np.asarray(np.add.reduce(whole, axis=axis, dtype=np.uint32))


@dataclass(slots=True)
class Regions:
    """What a search counts to tell regions: all layouts, those that each reason refuses, and those that none does."""

    values: Mapping[str, Values]
    every: Tally = field(default_factory=Tally)
    feasible: Tally = field(default_factory=Tally)
    refused: dict[str, Tally] = field(default_factory=dict)
    evaluated: set[str] = field(default_factory=set)

    def look_at(self, layouts: Layouts, refused: Iterable[tuple[Layouts, Mapping[str, Mask]]]) -> None:
        """Count a mesh, and what is refused of it unseen: masks by reason, each of a part of the mesh."""
        whole = np.ones((1,) * (len(layouts.shape) - 1) + layouts.shape[-1:], dtype=np.bool_)
        self.every.add(self._axes(layouts), whole, layouts.shape)
        for part, masks in refused:
            axes = self._axes(part)
            for reason, where in masks.items():
                self.refused.setdefault(reason, Tally()).add(axes, where, part.shape)

    def refuse(self, layouts: Layouts, reason: str, where: Mask) -> None:
        """Count what an evaluation refuses of a mesh; the mask has the mesh's shape."""
        self.evaluated.add(reason)
        self._add(self.refused.setdefault(reason, Tally()), layouts, where)

    def keep(self, layouts: Layouts, feasible: Mask) -> None:
        """Count what nothing refuses of a mesh; the mask has the mesh's shape."""
        self._add(self.feasible, layouts, feasible)

    def _add(self, tally: Tally, layouts: Layouts, where: Mask) -> None:
        axes = self._axes(layouts)
        tally.add(axes, where, layouts.shape)
        tally.add_pairs(axes, where)

    def take(self, others: Regions) -> None:
        """Add what was counted in another part of the space."""
        self.every.take(others.every)
        self.feasible.take(others.feasible)
        self.evaluated |= others.evaluated
        for reason, tally in others.refused.items():
            self.refused.setdefault(reason, Tally()).take(tally)

    def found(self, rejected: Mapping[str, int]) -> tuple[Region, ...]:
        """The regions of all reasons, the most frequent reason first; those of a reason add up to what `rejected` has of it."""
        regions: list[Region] = []
        for reason, total in sorted(rejected.items(), key=lambda item: (-item[1], item[0])):
            tally = self.refused.get(reason, Tally())
            if reason in self.evaluated:
                regions += self._split(reason, tally, total)
            else:
                where = self._support(tally)
                regions.append(Region(reason=reason, where=where, layouts=total, extent=self._extent(where, "some")))
        return tuple(regions)

    def _extent(self, where: Where, otherwise: str) -> str:
        return "all" if self._is_void(where) else otherwise

    def _is_void(self, where: Where) -> bool:
        """Whether nothing with these values is feasible, as far as any two axes can tell."""
        for one, other in product(where, repeat=2):
            table = self.feasible.counts.get((one, other))
            if table is not None:
                chosen = [[value in where[axis] for value in self.values[axis]] for axis in (one, other)]
                own = table[chosen[0]] if one == other else table[np.ix_(*chosen)]
                if not own.any():
                    return True
        return not self.feasible.counts

    def _support(self, tally: Tally) -> Where:
        """The values that refused layouts have, of the axes where these hold not nearly all layouts. The number of GPUs follows
        from other axes, so it counts only where these do not tell as much."""
        shares = {}
        for axis in self.values:
            refused, every = tally.counts.get((axis, axis)), self.every.counts.get((axis, axis))
            if refused is not None and every is not None:
                shares[axis] = float(every[refused > 0].sum() / every.sum())
        telling = sorted((share, axis) for axis, share in shares.items() if share <= SPREAD)
        found = {axis: self._named(axis, tally.counts[axis, axis] > 0) for _share, axis in telling}
        gpus = {GPUS: found.pop(GPUS)} if GPUS in found else {}
        others = dict(list(found.items())[:MOST_AXES])
        return gpus if gpus and (not others or (self._is_void(gpus) and not self._is_void(others))) else others

    def _named(self, axis: str, where: Mask) -> Values:
        return tuple(self.values[axis][place] for place in np.flatnonzero(where))

    def _split(self, reason: str, tally: Tally, total: int) -> Iterator[Region]:
        """Regions that are refused wholly or mostly, by one axis or by two; and the rest."""
        ways: list[tuple[str, ...]] = [(axis,) for axis in self.values if (axis, axis) in tally.counts]
        ways += [pair for pair in permutations(self.values, 2) if {pair, pair[::-1]} & tally.counts.keys()]
        share = self._share_needed(tally) if ways else 1.0
        # The way that tells most; of equals the simpler one.
        way = max(ways, key=lambda way: self._mostly(tally, way, share).sum(), default=None)
        left = total
        for where, count in [] if way is None else self._grouped(tally, way, share)[:MOST_REGIONS]:
            left -= count
            yield Region(reason=reason, where=where, layouts=count, extent=self._extent(where, "most"))
        if left:
            yield Region(reason=reason, where={}, layouts=left)

    def _mostly(self, tally: Tally, way: tuple[str, ...], share: float) -> Array:
        """Refused layouts by the values of one axis, or of two, where they are `share` of all or more (else 0). Of two axes, rows
        that are refused so as a whole count under their first value alone."""
        one, other = way[0], way[-1]
        alone = self._refused(tally, one, one, share)
        if len(way) == 1:
            return alone
        cells = self._refused(tally, one, other, share)
        cells[alone > 0] = 0.0
        cells[alone > 0, 0] = alone[alone > 0]
        return cells

    def _refused(self, tally: Tally, one: str, other: str, share: float) -> Array:
        sizes = (len(self.values[one]), len(self.values[other]))
        if one == other:
            refused = tally.counts[one, one]
            kept = self.feasible.counts.get((one, one), np.zeros(sizes[0]))
        else:
            refused, kept = tally.together(one, other, sizes), self.feasible.together(one, other, sizes)
        return np.where(refused >= share * (refused + kept), refused, 0.0)

    def _share_needed(self, tally: Tally) -> float:
        """`MOSTLY`; all, where most of what is evaluated is refused anyway."""
        axis = next(iter(self.values))
        refused, kept = tally.counts[axis, axis].sum(), self.feasible.counts.get((axis, axis), np.zeros(1)).sum()
        return 1.0 if refused >= MOSTLY * (refused + kept) else MOSTLY

    def _grouped(self, tally: Tally, way: tuple[str, ...], share: float) -> list[tuple[Where, int]]:
        """The same as regions: rows with the same values of the second axis together, the largest group first."""
        one, other = way[0], way[-1]
        alone = self._refused(tally, one, one, share)
        groups: dict[Values, tuple[Mask, int]] = {}
        if alone.any():
            groups[()] = (alone > 0, int(alone.sum()))
        if len(way) > 1:
            cells = self._mostly(tally, way, share)
            for row in np.flatnonzero((cells.sum(axis=1) > 0) & (alone == 0)):
                values = self._named(other, cells[row] > 0)
                rows, count = groups.get(values, (np.zeros(len(alone), dtype=np.bool_), 0))
                groups[values] = (rows | (np.arange(len(alone)) == row), count + int(cells[row].sum()))
        regions = [
            ({one: self._named(one, rows)} | ({other: values} if values else {}), count)
            for values, (rows, count) in groups.items()
        ]
        return sorted(regions, key=lambda region: -region[1])

    def _axes(self, layouts: Layouts) -> list[_Axis]:
        tuples = layouts.shape[-1:]
        axes = []
        for name, values in self.values.items():
            if name in layouts.degrees:
                known = np.asarray(values, dtype=np.float64)
                codes = np.searchsorted(known, np.broadcast_to(layouts.degrees[name], tuples)).astype(np.intp)
                axes.append(_Axis(name, codes, len(values)))
        for place, (name, own) in enumerate(layouts.values.items()):
            if name in self.values:
                codes = np.asarray([self.values[name].index(value) for value in own], dtype=np.intp)
                axes.append(_Axis(name, codes, len(self.values[name]), place))
        return axes


def axis_values(space: Space) -> dict[str, Values]:
    """The values of every axis of a space that has more than one, and the numbers of GPUs."""
    degrees = {axis: np.unique(array) for axis, array in space.bases.items()}
    degrees |= {axis: np.unique(values) for axis, values in space.crossed}
    degrees[GPUS] = np.unique(np.prod(list(space.bases.values()), axis=0))
    found: dict[str, Values] = {
        axis: tuple(int(value) for value in values) for axis, values in degrees.items() if len(values) > 1
    }
    return found | {axis: values for axis, values in space.choices.items() if len(values) > 1}
