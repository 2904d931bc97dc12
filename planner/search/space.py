"""The open mesh of a question: every valid-looking tuple of degrees, and the choices beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, ChoiceValue, Layouts
from planner.errors import InputError, UnknownNameError
from planner.plugin import Choice, Context, Degree, Strategy, is_multiple
from planner.search.network import ONE_DOMAIN, network_of

CHUNK_LAYOUTS: Final = 1 << 22
"""Layouts per chunk: enough for the cost of calling NumPy to vanish, few enough for memory (docs/performance.md)."""

NOTHING_OFFLOADED: Final = "none"
"""The offload that a search tries unless another is asked for: what moves to the host saves memory at the price of time."""

Crossed = tuple[str, Array]
Pin = ChoiceValue | tuple[ChoiceValue, ...]
"""What an axis is pinned to: one value, or several to choose from."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a space: its mesh, the number of its first tuple, and the fraction of the space that ends with it."""

    layouts: Layouts
    first: int
    done: float


@dataclass(frozen=True, slots=True)
class Space:
    """Tuples of the degrees that multiply GPUs (each an array of shape (B,)), the candidates of the degrees that are crossed
    with them chunk by chunk, and the values of each choice."""

    context: Context
    bases: Mapping[str, Array]
    crossed: tuple[Crossed, ...]
    choices: Mapping[str, tuple[ChoiceValue, ...]]

    @property
    def tuples(self) -> int:
        """Degree tuples."""
        return sum(next(iter(chunk.degrees.values())).shape[-1] for chunk in self.chunks())

    @property
    def layouts(self) -> int:
        """Layouts: tuples times the values of every choice."""
        return self.tuples * self.combinations

    @property
    def combinations(self) -> int:
        """Combinations of choices."""
        return prod(len(values) for values in self.choices.values())

    def chunks(self) -> Iterator[Layouts]:
        """The space in meshes of about `CHUNK_LAYOUTS` layouts, always the same ones in the same order."""
        return (chunk.layouts for chunk in self.numbered_chunks())

    def numbered_chunks(self, jobs: int = 1) -> Iterator[Chunk]:
        """The chunks, with where they stand in the space; smaller ones for several `jobs` to share out."""
        bases = len(next(iter(self.bases.values())))
        tuples = max(1, CHUNK_LAYOUTS // jobs // self.combinations)
        crossings = float(prod(len(values) for _axis, values in self.crossed))
        start, first = 0, 0
        while start < bases:
            stop = min(bases, start + max(1, int(tuples / crossings)))
            degrees = self._crossed({axis: array[start:stop] for axis, array in self.bases.items()})
            found = len(next(iter(degrees.values())))
            # How many crossings are plausible is known from the chunk before.
            crossings = max(1.0, found / (stop - start))
            start = stop
            if found:
                yield Chunk(make_layouts(degrees, self.choices), first, stop / bases)
            first += found

    def _crossed(self, bases: Mapping[str, Array]) -> dict[str, Array]:
        tuples = dict(bases)
        for axis, values in self.crossed:
            count = len(next(iter(tuples.values())))
            # Of which tuple, and with which value, each crossing is: only those that are plausible are made.
            which, value = np.repeat(np.arange(count), len(values)), np.tile(values, count)
            keep = _plausible(self.context, axis, value, tuples, which)
            if not keep.all():
                which, value = which[keep], value[keep]
            if len(values) > 1 or len(which) < count:
                tuples = {name: array.take(which) for name, array in tuples.items()}
            tuples[axis] = value
        return derive(self.context, tuples)


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
        Choice(name="recompute", values=tuple(recomputes), candidates=_offered_recomputes),
        Choice(name="schedule", values=tuple(schedules), candidates=lambda context: context.framework.schedules),
        Choice(
            name="offload",
            values=tuple(offloads) or (NOTHING_OFFLOADED,),
            candidates=lambda _context: (NOTHING_OFFLOADED,),
        ),
    )


def _offered_recomputes(context: Context) -> tuple[str, ...]:
    framework = context.framework
    further = () if framework.model_recomputes is None else framework.model_recomputes(context.architecture)
    return (*framework.recomputes, *further)


def usual_values(
    strategies: Sequence[Strategy], schedules: Sequence[str], recomputes: Sequence[str]
) -> dict[str, ChoiceValue]:
    """The value of each choice that goes without saying: the first one that it has; nothing offloaded."""
    usual = {choice.name: choice.values[0] for choice in all_choices(strategies, schedules, recomputes)}
    return usual | {"offload": NOTHING_OFFLOADED}


def build_space(
    context: Context,
    degrees: Sequence[Degree],
    choices: Sequence[Choice],
    pins: Mapping[str, Pin],
    min_gpus: int,
    max_gpus: int,
) -> Space:
    """Cross the candidates, keep products of GPUs within bounds and batches that divide; pinned axes keep their values.

    Raises InputError for a pin that is no axis, or whose value no strategy knows.
    """
    check_axes(degrees, choices, pins)
    # The batch is shared out over dp and the micro-batch: with dp varying fastest, a chunk holds few shapes of one rank's work.
    multiplying = sorted((each for each in degrees if each.multiplies_gpus), key=lambda each: each.name == "dp")
    bases = _bases([(each.name, _degree_values(context, each, pins)) for each in multiplying], min_gpus, max_gpus)
    rest = tuple((each.name, _degree_values(context, each, pins)) for each in degrees if not each.multiplies_gpus)
    chosen = {choice.name: choice_values(context, choice, pins) for choice in choices}
    return Space(context, bases, rest, chosen)


def check_axes(degrees: Sequence[Degree], choices: Sequence[Choice], given: Iterable[str]) -> None:
    """Raises UnknownNameError for a given axis that is neither a degree nor a choice."""
    known = {degree.name for degree in degrees} | {choice.name for choice in choices}
    for axis in given:
        if axis not in known:
            raise UnknownNameError("layout axis", axis, known)


def pinned_values(pin: Pin) -> tuple[ChoiceValue, ...]:
    """The values that a pin allows: itself, or those of a tuple."""
    return pin if isinstance(pin, tuple) else (pin,)


def _degree_values(context: Context, degree: Degree, pins: Mapping[str, Pin]) -> Array:
    if degree.name not in pins:
        return np.asarray(sorted(set(degree.candidates(context))) or [1], dtype=np.float64)
    values = pinned_values(pins[degree.name])
    for value in values:
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{degree.name} must be a whole number from 1 up, not {value!r}")
    return np.asarray(sorted({int(value) for value in values}), dtype=np.float64)


def choice_values(context: Context, choice: Choice, pins: Mapping[str, Pin]) -> tuple[ChoiceValue, ...]:
    """The values of a choice worth trying, or the pinned ones. Raises UnknownNameError for a value it does not have."""
    if choice.name in pins:
        wanted = pinned_values(pins[choice.name])
        for value in wanted:
            if value not in choice.values:
                known = [str(each) for each in choice.values]
                raise UnknownNameError(choice.name.replace("_", " "), str(value), known)
        return tuple(value for value in choice.values if value in wanted)
    candidates = choice.values if choice.candidates is None else choice.candidates(context)
    candidates = context.framework.offers.get(choice.name, candidates)
    return tuple(value for value in choice.values if value in candidates) or choice.values[:1]


def _bases(candidates: Sequence[Crossed], min_gpus: int, max_gpus: int) -> dict[str, Array]:
    """Every combination of the candidates whose product lies within the bounds."""
    tuples: dict[str, Array] = {}
    gpus: Array = np.ones(1)
    for axis, values in candidates:
        tuples = {name: np.repeat(array, len(values)) for name, array in tuples.items()}
        tuples[axis] = np.tile(values, len(gpus))
        gpus = np.repeat(gpus, len(values)) * tuples[axis]
        keep = gpus <= max_gpus
        gpus, tuples = gpus[keep], {name: array[keep] for name, array in tuples.items()}
    keep = gpus >= min_gpus
    return {name: array[keep] for name, array in tuples.items()}


def _plausible(
    context: Context, axis: str, value: Array, tuples: Mapping[str, Array], which: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Drops the bulk of void tuples early: batches that do not divide, experts' degrees that the ranks do not carry. A crossing is
    a `value` of `axis` beside one of the `tuples`: `which` of them."""

    def degree(name: str) -> Array:
        return tuples[name].take(which)

    keep = np.ones(len(value), dtype=np.bool_)
    if axis == "micro_batch" and "dp" in tuples:
        keep &= is_multiple(context.job.global_batch, degree("dp") * value)
    if axis in ("ep", "etp"):
        carried = value
        for other in ("ep", "etp"):
            carried = carried * degree(other) if other in tuples else carried
        keep &= is_multiple(degree("tp") * degree("cp") * degree("dp"), carried)
    if axis == "vpp":
        keep &= (value == 1) | ((degree("pp") > 1) & (degree("pp") * value <= len(context.program.layers) + 2))
    return keep


def derive(context: Context, tuples: Mapping[str, Array]) -> dict[str, Array]:
    """Adds what follows from the degrees: n_gpus, replicas, expert_replicas, one_domain (whether all GPUs share a scale-up
    domain), micro_batches."""
    derived = dict(tuples)
    ones = np.ones_like(next(iter(tuples.values())))
    tp, cp, pp, dp = (tuples.get(axis, ones) for axis in ("tp", "cp", "pp", "dp"))
    derived["n_gpus"] = tp * cp * pp * dp
    derived["replicas"] = cp * dp
    derived["expert_replicas"] = tp * cp * dp / (tuples.get("ep", ones) * tuples.get("etp", ones))
    derived[ONE_DOMAIN] = (derived["n_gpus"] <= network_of(context.cluster).domain).astype(np.float64)
    derived["micro_batches"] = context.job.global_batch / (dp * tuples.get("micro_batch", ones))
    return derived
