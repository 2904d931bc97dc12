"""Every term on its own axes: what reads only tp and the micro-batch is computed once for each pair of them.

A mesh of a hundred thousand tuples of degrees holds few different values of the degrees that one term reads. The law that
functions of layouts are elementwise (`planner.array_law`) makes the term of those few, spread over the tuples, equal to the
term of all, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, Layouts

FEW_TUPLES: Final = 1024
"""Meshes up to this size are computed as they are: looking for equal tuples would cost more than it saves."""
WORTH: Final = 2
"""A term is computed for its own axes and spread only where that halves the work or better: one value for two tuples or more."""
LARGEST_TABLE: Final = 1 << 20
"""Up to this many combinations of values equal tuples are found by looking them up, above by sorting."""
_NO_VALUE: Final = -1

T = TypeVar("T")
Tuples = slice | NDArray[np.intp]
"""Which tuples of a mesh."""
Kept = tuple[NDArray[np.intp], ...]
"""Of every choice the positions of the values that are left; nothing where all are."""


class ReadDegrees(Mapping[str, Array]):
    """Degrees that remember which of them were read."""

    def __init__(self, degrees: Mapping[str, Array]) -> None:
        self.plain = degrees
        self.read: set[str] = set()

    def __getitem__(self, axis: str) -> Array:
        """The degree, which counts as read from now on."""
        array = self.plain[axis]
        self.read.add(axis)
        return array

    def __contains__(self, axis: object) -> bool:
        """Whether there is such a degree; asking is not reading."""
        return axis in self.plain

    def __iter__(self) -> Iterator[str]:
        """All names: who goes through them reads through `__getitem__`."""
        return iter(self.plain)

    def __len__(self) -> int:
        """How many degrees there are."""
        return len(self.plain)


class TakenDegrees(Mapping[str, Array]):
    """The degrees of some tuples, each taken when it is asked for: a term reads few of them."""

    def __init__(self, degrees: Mapping[str, Array], tuples: NDArray[np.intp]) -> None:
        self._degrees, self._tuples = degrees, tuples
        self._taken: dict[str, Array] = {}

    def __getitem__(self, axis: str) -> Array:
        """The degree of these tuples."""
        if axis not in self._taken:
            array = self._degrees[axis]
            self._taken[axis] = array.take(self._tuples, axis=-1) if array.shape[-1] > 1 else array
        return self._taken[axis]

    def __contains__(self, axis: object) -> bool:
        """Whether there is such a degree; asking takes nothing."""
        return axis in self._degrees

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self._degrees)

    def __len__(self) -> int:
        """How many degrees there are."""
        return len(self._degrees)


@dataclass(frozen=True, slots=True)
class View:
    """The different tuples of some axes: a mesh of them, of each the first place in the whole mesh, and for each tuple of the whole
    mesh its place here (None: too many to be worth a mesh of their own)."""

    layouts: Layouts
    first: NDArray[np.intp]
    places: NDArray[np.intp] | None


@dataclass(frozen=True, slots=True)
class Table:
    """A term for the different tuples of the axes that it reads, `length` of them, and for each tuple of the mesh its place among
    them."""

    value: object
    axes: frozenset[str]
    length: int
    places: NDArray[np.intp]

    def at(self, tuples: Tuples, kept: Kept) -> object:
        """The term of some tuples of the mesh, with some values of its choices."""
        places = self.places[tuples] if isinstance(tuples, slice) else self.places.take(tuples)
        return _Spreading(places, self.length, kept).of(self.value)


@dataclass(frozen=True, slots=True)
class Whole:
    """What a mesh is a part of: which tuples of which other one, with which values of its choices."""

    factoring: Factoring
    tuples: NDArray[np.intp]
    kept: Kept


class Factoring:
    """The terms of one mesh. `known` remembers for the meshes that follow which axes a term reads.

    Terms are asked for inside terms: a function of a term is given the factoring of the mesh that it is to be computed for.
    """

    def __init__(
        self, layouts: Layouts, known: dict[str, frozenset[str]] | None = None, tuples: int | None = None
    ) -> None:
        degrees = layouts.degrees
        self.layouts = layouts
        # Where this is inside a term, that one is told what is read.
        self._watched = degrees if isinstance(degrees, ReadDegrees) else None
        plain = degrees.plain if isinstance(degrees, ReadDegrees) else degrees
        self._known = {} if known is None else known
        self._views: dict[frozenset[str], View] = {}
        self._codes: dict[str, tuple[NDArray[np.intp], int]] = {}
        self._tables: dict[str, Table] = {}
        self._values: dict[str, object] = {}
        lengths = (array.shape[-1] for array in plain.values())
        self._tuples = max(lengths, default=1) if tuples is None else tuples
        self._whole: Whole | None = None
        self._sample: _Sample | None = None

    def part(self, layouts: Layouts, tuples: NDArray[np.intp], kept: Kept = ()) -> Factoring:
        """The terms of `layouts`, which are some tuples of this mesh with the values at the positions `kept` of its choices. What
        is computed for one part serves the others."""
        found = Factoring(layouts, self._known, len(tuples))
        if self._whole is None:
            found._whole = Whole(self, tuples, kept)
        else:
            assert not kept  # a part of a part has the same choices
            found._whole = replace(self._whole, tuples=self._whole.tuples[tuples])
        return found

    def term(self, name: str, function: Callable[[Factoring], T]) -> T:
        """`function` of every layout of the mesh. It must be elementwise and read the mesh through `Layouts` and terms only.

        `name` tells terms apart; a value may be an array or tuples, mappings and dataclasses of arrays.
        """
        whole = self._whole
        table = (self if whole is None else whole.factoring)._table(name, function)
        if table is None:
            return self._plain_term(name, function)
        if self._watched is not None:
            self._watched.read.update(table.axes)
        return cast(T, table.at(slice(None), ()) if whole is None else table.at(whole.tuples, whole.kept))

    def _plain_term(self, name: str, function: Callable[[Factoring], T]) -> T:
        """The term of the mesh as it is; kept where the mesh is small, as calls are what it costs there."""
        if self._tuples > FEW_TUPLES:
            return function(self)
        if name not in self._values:
            self._values[name] = function(self)
        return cast(T, self._values[name])

    def _table(self, name: str, function: Callable[[Factoring], object]) -> Table | None:
        """The term for the different values of its own axes; None where these are as many as the tuples, or few enough."""
        if self._tuples <= FEW_TUPLES:
            return None
        if name in self._tables:
            return self._tables[name]
        axes = self._known.get(name)
        if axes is None:
            if self._sample is None:
                self._sample = _Sample(self.layouts, {})
            axes = self._sample.read_by(name, function)
        while True:
            self._known[name] = axes
            view = self._view(axes)
            if view.places is None:
                return None
            watched = ReadDegrees(view.layouts.degrees)
            value = function(self.part(replace(view.layouts, degrees=watched), view.first))
            if watched.read <= axes:
                self._tables[name] = Table(value, axes, len(view.first), view.places)
                return self._tables[name]
            axes = axes | watched.read

    def _view(self, axes: frozenset[str]) -> View:
        telling = frozenset(axis for axis in axes if self._code(axis)[1] > 1)
        if telling not in self._views:
            self._views[telling] = self._new_view(telling)
        return self._views[telling]

    def _new_view(self, axes: frozenset[str]) -> View:
        within = self._smallest_view_with(axes)
        code = np.zeros(1, dtype=np.intp)
        size = 1
        for axis in sorted(axes):
            own, radix = self._code(axis)
            code, size = code * radix + (own if within is None else own.take(within.first)), size * radix
            if size > LARGEST_TABLE:
                code, size = dense(code)
        tuples = self._tuples if within is None else len(within.first)
        first, places = _different(np.broadcast_to(code, (tuples,)), size)
        if within is not None and within.places is not None:
            first, places = within.first.take(first), places.take(within.places)
        if len(first) * WORTH > self._tuples:
            return View(self.layouts, first, None)
        return View(replace(self.layouts, degrees=TakenDegrees(self.layouts.degrees, first)), first, places)

    def _smallest_view_with(self, axes: frozenset[str]) -> View | None:
        """The view of fewest tuples in which all different values of `axes` are found."""
        larger = [view for own, view in self._views.items() if axes < own and view.places is not None]
        return min(larger, key=lambda view: len(view.first), default=None)

    def _code(self, axis: str) -> tuple[NDArray[np.intp], int]:
        """A number from 0 up for each tuple by its value of `axis`, and how many there are."""
        if axis not in self._codes:
            array = self.layouts.degrees[axis]
            if array.ndim > 1:
                array = array.reshape(-1)
            self._codes[axis] = dense(array)
        return self._codes[axis]


class _Sample(Factoring):
    """The terms of the first tuple of a mesh, each computed once, to see which degrees it reads. `sampled` has them."""

    def __init__(self, layouts: Layouts, sampled: dict[str, tuple[object, frozenset[str]]]) -> None:
        first = {axis: array[..., :1] for axis, array in layouts.degrees.items()}
        super().__init__(replace(layouts, degrees=ReadDegrees(first)))
        self._first, self._sampled = first, sampled

    def read_by(self, name: str, function: Callable[[Factoring], object]) -> frozenset[str]:
        """The degrees that a term reads, itself or through other terms."""
        if name not in self._sampled:
            inner = _Sample(replace(self.layouts, degrees=self._first), self._sampled)
            value = function(inner)
            self._sampled[name] = value, frozenset(inner._read)
        return self._sampled[name][1]

    def term(self, name: str, function: Callable[[Factoring], T]) -> T:
        """The term, whose degrees count as read."""
        self._read.update(self.read_by(name, function))
        return cast(T, self._sampled[name][0])

    @property
    def _read(self) -> set[str]:
        assert self._watched is not None
        return self._watched.read


def dense(values: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """For every value its number among the different ones, from 0 up, and how many there are."""
    whole = values.astype(np.intp)
    if whole.size and whole.min() >= 0 and whole.max() < LARGEST_TABLE and np.array_equal(whole, values):
        first, places = _different(whole, int(whole.max()) + 1)
        return places, len(first)
    different, inverse = np.unique(values, return_inverse=True)
    return inverse.astype(np.intp), len(different)


def _different(code: NDArray[np.intp], size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each code below `size` that occurs stands (one place each), and for every position the number of its code."""
    table = np.full(size, _NO_VALUE, dtype=np.intp)
    table[code] = np.arange(len(code))
    occurring = np.flatnonzero(table != _NO_VALUE)
    first = table[occurring]
    table[occurring] = np.arange(len(occurring))
    return first, table.take(code)


class _Spreading:
    """Spreads every array of `length` along the last axis over the places of a mesh, at the kept values of choices; an array that
    is met twice once."""

    def __init__(self, places: NDArray[np.intp], length: int, kept: Kept) -> None:
        self._places, self._length, self._kept = places, length, kept
        self._done: dict[int, NDArray[Any]] = {}

    def of(self, value: Any) -> Any:  # noqa: ANN401 - what a term returns
        """An array, or the same tuple, mapping or dataclass of arrays."""
        if isinstance(value, np.ndarray):
            if id(value) not in self._done:
                self._done[id(value)] = self._array(value)
            return self._done[id(value)]
        if isinstance(value, Mapping):
            return {key: self.of(each) for key, each in value.items()}
        if isinstance(value, tuple):
            return tuple(self.of(each) for each in value)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{each.name: self.of(getattr(value, each.name)) for each in fields(value)})
        return value

    def _array(self, value: NDArray[Any]) -> NDArray[Any]:
        for position, values in enumerate(self._kept, start=value.ndim - 1 - len(self._kept)):
            if position >= 0 and len(values) < value.shape[position]:
                value = value.take(values, axis=position)
        spread = value.ndim and value.shape[-1] == self._length and self._length > 1
        return value.take(self._places, axis=-1) if spread else value
