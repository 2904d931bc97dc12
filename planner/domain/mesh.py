"""The open mesh: every candidate layout at once, as arrays that broadcast together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
ChoiceValue = str | int


@dataclass(frozen=True, slots=True)
class Layouts:
    """Candidate layouts: one long flat axis of degree tuples (last) and short outer axes of choices.

    `degrees` maps a degree (``tp``, ``pp``, ``dp``, ``micro_batch`` …) or a value derived from degrees (``n_gpus``,
    ``micro_batches``, ``replicas``, ``expert_replicas``, ``one_domain``) to an array of shape (N,). `codes` maps a choice
    axis to an integer array of shape (k, 1, …, 1) that indexes `values`. Both are read-only. One configuration is a mesh of one.
    """

    degrees: Mapping[str, Array]
    codes: Mapping[str, NDArray[np.intp]]
    values: Mapping[str, tuple[ChoiceValue, ...]]

    def __getitem__(self, axis: str) -> Array:
        """The degree, derived value or numeric choice named `axis`, as float64 (exact for integers below 2**53)."""
        if axis in self.degrees:
            return self.degrees[axis]
        return self.choose(axis, [float(value) for value in self.values[axis]])

    def __contains__(self, axis: object) -> bool:
        """Whether the mesh has this degree or choice."""
        return axis in self.degrees or axis in self.codes

    def degree(self, axis: str, default: float = 1.0) -> Array:
        """The degree named `axis`, or `default` where no strategy brought it."""
        return self.degrees[axis] if axis in self.degrees else np.asarray([default], dtype=np.float64)

    def choose(self, axis: str, per_value: Sequence[float]) -> Array:
        """`per_value[i]` wherever choice `axis` has its i-th value; shape of the choice's axis."""
        return np.asarray(per_value, dtype=np.float64)[self.codes[axis]]

    def equals(self, axis: str, value: ChoiceValue) -> Mask:
        """Where choice `axis` has `value`; False everywhere if the mesh has no such axis or value."""
        if axis not in self.codes:
            return np.zeros(1, dtype=np.bool_)
        return np.asarray([candidate == value for candidate in self.values[axis]], dtype=np.bool_)[self.codes[axis]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The full broadcast shape: (choices…, N)."""
        return np.broadcast_shapes(
            *(array.shape for array in self.degrees.values()), *(array.shape for array in self.codes.values())
        )

    def at(self, indices: NDArray[np.intp]) -> Layouts:
        """The mesh of the layouts at the flat positions `indices` of `shape`: every axis becomes one of their number."""
        shape = self.shape
        positions = np.unravel_index(indices, shape)
        degrees = {axis: array[positions[-1]] for axis, array in self.degrees.items()}
        codes = {axis: np.broadcast_to(array, shape)[positions] for axis, array in self.codes.items()}
        return Layouts(degrees, codes, self.values)

    def some(self, tuples: slice | NDArray[np.intp]) -> Layouts:
        """The mesh of some tuples of degrees, with every choice."""

        def of(array: Array) -> Array:
            return array[..., tuples] if isinstance(tuples, slice) else array.take(tuples, axis=-1)

        degrees = {axis: of(array) if array.shape[-1] > 1 else array for axis, array in self.degrees.items()}
        return Layouts(degrees, self.codes, self.values)

    def narrowed(self) -> Layouts:
        """The same layouts, with the values of choices that none of them has left out."""
        codes, values = {}, {}
        for axis, array in self.codes.items():
            used, places = np.unique(array, return_inverse=True)
            codes[axis] = places.reshape(array.shape)
            values[axis] = tuple(self.values[axis][code] for code in used)
        return Layouts(self.degrees, codes, values)

    @staticmethod
    def join(meshes: Sequence[Layouts]) -> Layouts:
        """Meshes made by `at` from one space, one after the other. Raises ValueError for none."""
        if not meshes:
            raise ValueError("join() needs at least one mesh")
        first = meshes[0]
        degrees = {axis: np.concatenate([mesh.degrees[axis] for mesh in meshes]) for axis in first.degrees}
        codes = {axis: np.concatenate([mesh.codes[axis] for mesh in meshes]) for axis in first.codes}
        return Layouts(degrees, codes, first.values)

    def labels(self, row: int = 0) -> dict[str, ChoiceValue]:
        """Degrees (as int) and choices of the layout `row` of a flat mesh (`at`), or of a mesh of one."""
        shape = self.shape
        if len(shape) > 1 and int(np.prod(shape)) != 1:
            raise ValueError(f"labels() needs a flat mesh, not one of shape {shape}")
        found: dict[str, ChoiceValue] = {axis: int(array.reshape(-1)[row]) for axis, array in self.degrees.items()}
        found.update({axis: self.values[axis][int(array.reshape(-1)[row])] for axis, array in self.codes.items()})
        return found
