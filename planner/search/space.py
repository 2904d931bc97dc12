"""The open mesh of a question: every valid-looking tuple of degrees, and the choices beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, ChoiceValue, Layouts
from planner.errors import InputError, UnknownNameError
from planner.plugin import Choice, Context, Degree, Strategy

CHUNK_ELEMENTS: Final = 1 << 18
"""Layouts per chunk: the working set of one formula stays in cache (DESIGN section 2)."""

NOTHING_OFFLOADED: Final = "none"
"""The offload that a search tries unless another is asked for: what moves to the host saves memory at the price of time."""


@dataclass(frozen=True, slots=True)
class Space:
    """Candidate degree tuples (each an array of shape (N,)) and the values of each choice."""

    degrees: Mapping[str, Array]
    choices: Mapping[str, tuple[ChoiceValue, ...]]

    @property
    def tuples(self) -> int:
        """Degree tuples."""
        return len(next(iter(self.degrees.values())))

    @property
    def layouts(self) -> int:
        """Layouts: tuples times the values of every choice."""
        total = self.tuples
        for values in self.choices.values():
            total *= len(values)
        return total

    def chunks(self) -> Iterator[Layouts]:
        """The space in meshes of at most `CHUNK_ELEMENTS` layouts."""
        per_tuple = max(1, self.layouts // max(1, self.tuples))
        step = max(1, CHUNK_ELEMENTS // per_tuple)
        for start in range(0, self.tuples, step):
            degrees = {axis: array[start : start + step] for axis, array in self.degrees.items()}
            yield make_layouts(degrees, self.choices)


def make_layouts(degrees: Mapping[str, Array], choices: Mapping[str, tuple[ChoiceValue, ...]]) -> Layouts:
    """A mesh: choices on outer axes in order, degrees last; arrays are read-only."""
    outer = len(choices)
    codes: dict[str, NDArray[np.intp]] = {}
    for position, (axis, values) in enumerate(choices.items()):
        shape = [1] * (outer + 1)
        shape[position] = len(values)
        codes[axis] = np.arange(len(values), dtype=np.intp).reshape(shape)
        codes[axis].flags.writeable = False
    frozen = {}
    for axis, array in degrees.items():
        frozen[axis] = np.asarray(array, dtype=np.float64).view()
        frozen[axis].flags.writeable = False
    return Layouts(frozen, codes, dict(choices))


def all_degrees(strategies: Sequence[Strategy]) -> tuple[Degree, ...]:
    """Every degree that some strategy brings."""
    return tuple(degree for strategy in strategies for degree in strategy.degrees)


def all_choices(
    strategies: Sequence[Strategy],
    schedules: Sequence[str],
    recomputes: Sequence[str],
    offloads: Sequence[str] = (),
) -> tuple[Choice, ...]:
    """Every choice axis; the schedule, the recompute and the offload are choices among what is registered."""
    brought = tuple(choice for strategy in strategies for choice in strategy.choices)
    return (
        *brought,
        Choice(name="recompute", values=tuple(recomputes), candidates=lambda _context: ("none", "selective", "full")),
        Choice(name="schedule", values=tuple(schedules), candidates=lambda context: context.framework.schedules),
        Choice(
            name="offload",
            values=tuple(offloads) or (NOTHING_OFFLOADED,),
            candidates=lambda _context: (NOTHING_OFFLOADED,),
        ),
    )


def build_space(
    context: Context,
    degrees: Sequence[Degree],
    choices: Sequence[Choice],
    pins: Mapping[str, ChoiceValue],
    min_gpus: int,
    max_gpus: int,
) -> Space:
    """Cross the candidates, keep products of GPUs within bounds and batches that divide; pinned axes keep their value.

    Raises InputError for a pin that is no axis, or whose value no strategy knows.
    """
    check_axes(degrees, choices, pins)
    tuples = _degree_tuples(context, degrees, pins, min_gpus, max_gpus)
    chosen = {choice.name: choice_values(context, choice, pins) for choice in choices}
    return Space(tuples, chosen)


def check_axes(degrees: Sequence[Degree], choices: Sequence[Choice], given: Iterable[str]) -> None:
    """Raises UnknownNameError for a given axis that is neither a degree nor a choice."""
    known = {degree.name for degree in degrees} | {choice.name for choice in choices}
    for axis in given:
        if axis not in known:
            raise UnknownNameError("layout axis", axis, known)


def _degree_values(context: Context, degree: Degree, pins: Mapping[str, ChoiceValue]) -> Array:
    if degree.name in pins:
        value = pins[degree.name]
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{degree.name} must be a whole number from 1 up, not {value!r}")
        return np.asarray([value], dtype=np.float64)
    return np.asarray(sorted(set(degree.candidates(context))) or [1], dtype=np.float64)


def choice_values(context: Context, choice: Choice, pins: Mapping[str, ChoiceValue]) -> tuple[ChoiceValue, ...]:
    """The values of a choice worth trying, or the pinned one. Raises UnknownNameError for a value it does not have."""
    if choice.name in pins:
        value = pins[choice.name]
        if value not in choice.values:
            raise UnknownNameError(choice.name.replace("_", " "), str(value), [str(known) for known in choice.values])
        return (value,)
    candidates = choice.values if choice.candidates is None else choice.candidates(context)
    return tuple(value for value in choice.values if value in candidates) or choice.values[:1]


def _degree_tuples(
    context: Context, degrees: Sequence[Degree], pins: Mapping[str, ChoiceValue], min_gpus: int, max_gpus: int
) -> dict[str, Array]:
    tuples: dict[str, Array] = {}
    gpus: Array = np.ones(1)
    # Degrees that multiply GPUs first, so that the pool bounds the product before the others are crossed in.
    for degree in sorted(degrees, key=lambda each: not each.multiplies_gpus):
        values = _degree_values(context, degree, pins)
        count = len(gpus)
        tuples = {axis: np.repeat(array, len(values)) for axis, array in tuples.items()}
        tuples[degree.name] = np.tile(values, count)
        gpus = np.repeat(gpus, len(values))
        if degree.multiplies_gpus:
            gpus = gpus * tuples[degree.name]
            keep = gpus <= max_gpus
            gpus, tuples = gpus[keep], {axis: array[keep] for axis, array in tuples.items()}
        else:
            keep = _plausible(context, tuples, degree.name)
            gpus, tuples = gpus[keep], {axis: array[keep] for axis, array in tuples.items()}
    keep = gpus >= min_gpus
    tuples = {axis: array[keep] for axis, array in tuples.items()}
    return derive(context, tuples)


def _plausible(context: Context, tuples: Mapping[str, Array], crossed: str) -> NDArray[np.bool_]:
    """Drops the bulk of void tuples early: batches that do not divide, experts' degrees that the ranks do not carry."""
    keep = np.ones(len(tuples[crossed]), dtype=np.bool_)
    if crossed == "micro_batch" and "dp" in tuples:
        keep &= np.mod(context.job.global_batch, tuples["dp"] * tuples["micro_batch"]) == 0
    if crossed in ("ep", "etp"):
        ranks = tuples["tp"] * tuples["cp"] * tuples["dp"]
        carried = tuples.get("ep", np.ones(1)) * tuples.get("etp", np.ones(1))
        keep &= np.mod(ranks, carried) == 0
    if crossed == "vpp":
        keep &= (tuples["vpp"] == 1) | (
            (tuples["pp"] > 1) & (tuples["pp"] * tuples["vpp"] <= len(context.program.layers))
        )
    return keep


def derive(context: Context, tuples: Mapping[str, Array]) -> dict[str, Array]:
    """Adds what follows from the degrees: n_gpus, replicas, expert_replicas, micro_batches."""
    derived = dict(tuples)
    ones = np.ones_like(next(iter(tuples.values())))
    tp, cp, pp, dp = (tuples.get(axis, ones) for axis in ("tp", "cp", "pp", "dp"))
    derived["n_gpus"] = tp * cp * pp * dp
    derived["replicas"] = cp * dp
    derived["expert_replicas"] = tp * cp * dp / (tuples.get("ep", ones) * tuples.get("etp", ones))
    derived["micro_batches"] = context.job.global_batch / (dp * tuples.get("micro_batch", ones))
    return derived
