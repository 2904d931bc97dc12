"""The array law that every function of a plugin obeys, and the findings that tell where one does not.

A function gets read-only arrays that broadcast together and answers elementwise. So layouts in another order give the
same values in that order, and a layout alone gives the same value as in the mesh, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from planner.domain.mesh import Layouts, Mask
from planner.plugin import Value

ROWS_ALONE: Final = 48
"""Layouts that are evaluated alone and compared with the mesh."""

Quantities = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a record breaks: raises, shape, permutation, row, finite, range, monotone, type or documented."""

    record: str
    rule: str
    message: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.record}: {self.rule}: {self.message}"


def check_array_law(
    record: str, evaluate: Callable[[Layouts], Quantities], layouts: Layouts, allowed: Mask | None = None
) -> list[Finding]:
    """Check that `evaluate`, which names the quantities of a plugin's function, is elementwise, finite and ≥ 0.

    Values are checked where `allowed` is true only; the order and row laws hold for every layout.
    """
    try:
        with np.errstate(all="ignore"):
            return _array_law(record, evaluate, layouts, allowed)
    except Exception as problem:
        return [Finding(record, "raises", f"{type(problem).__name__}: {problem}")]


def _array_law(
    record: str, evaluate: Callable[[Layouts], Quantities], layouts: Layouts, allowed: Mask | None
) -> list[Finding]:
    shape = layouts.shape
    whole = {}
    for name, value in evaluate(layouts).items():
        found = np.asarray(value, dtype=np.float64)
        if not _fits(found.shape, shape):
            return [Finding(record, "shape", f"{name} has shape {found.shape}, which the mesh {shape} does not hold")]
        whole[name] = np.broadcast_to(found, shape)
    order = np.random.default_rng(1).permutation(shape[-1])
    moved = evaluate(Layouts({axis: a[order] for axis, a in layouts.degrees.items()}, layouts.codes, layouts.values))
    found_rules: dict[tuple[str, str], None] = {}
    if set(moved) != set(whole):
        return [Finding(record, "permutation", "what is returned depends on the order of the layouts")]
    for name, values in whole.items():
        other = np.broadcast_to(np.asarray(moved[name], dtype=np.float64), shape)
        if not np.array_equal(other, values[..., order], equal_nan=True):
            found_rules["permutation", f"{name} changes when the layouts change places"] = None
    size = int(np.prod(shape))
    for index in np.unique(np.linspace(0, size - 1, ROWS_ALONE).astype(int)):
        alone = evaluate(layouts.at(np.asarray([index])))
        for name, values in whole.items():
            if name not in alone:
                found_rules["row", f"{name} is missing for a layout alone"] = None
            elif np.asarray(alone[name], np.float64).reshape(-1)[0].tobytes() != values.reshape(-1)[index].tobytes():
                found_rules["row", f"{name} of a layout alone differs from its value in the mesh"] = None
    where = np.broadcast_to(np.True_ if allowed is None else allowed, shape)
    for name, values in whole.items():
        if not np.isfinite(values[where]).all():
            found_rules["finite", f"{name} is not finite everywhere"] = None
        elif (values[where] < 0).any():
            found_rules["range", f"{name} is negative somewhere"] = None
    return [Finding(record, rule, message) for rule, message in found_rules]


def _fits(shape: tuple[int, ...], mesh: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, mesh) == mesh
    except ValueError:
        return False


def guarded(record: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of `check`; an exception in it is one."""
    try:
        return list(check())
    except Exception as problem:
        return [Finding(record, "raises", f"{type(problem).__name__}: {problem}")]
