"""Where every layout is refused: the nearest that is not, with the fewest pins moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import inf, log
from typing import TYPE_CHECKING, Any, Final

from planner.domain.plan import NearestMiss, Plan
from planner.question import Question
from planner.search.objectives import Limits
from planner.search.space import all_degrees, choice_values, pinned_values
from planner.searching import best_by, plans_for, searched

if TYPE_CHECKING:
    from planner.api import Search

GPUS: Final = "gpus"
MOVED_AT_ONCE: Final[Mapping[int, int]] = {1: 12, 2: 4}
"""How many pins are moved at once, and how many other values of each are tried, the nearest first."""
MOST_FREED: Final = 3
"""So many pins at once are freed where moving them does not do, and then all."""


@dataclass(frozen=True, slots=True)
class _Move:
    """A question with some pins moved to other values, or free (None), and how far: 1 for a value twice or half as large."""

    wanted: Search
    moved: Mapping[str, int | str | None]
    distance: float


def nearest_layout(question: Question, wanted: Search, limits: Limits) -> NearestMiss | None:
    """The best layout with one pin moved as little as can be; where no single one will do, with two or more of them free.

    None where nothing is pinned, or nothing helps. One that fits is preferred; deadlines and budgets do not count.
    """
    memory_only = Limits(headroom=limits.headroom)
    for moves in _ways(question, wanted):
        tried = [each for each in (_tried(question, wanted, move, memory_only) for move in moves) if each is not None]
        if tried:
            move, plan = min(tried, key=lambda each: (not each[1].memory.fits, each[0].distance, each[1].n_gpus))
            return _miss(wanted, move, plan)
    return None


def _ways(question: Question, wanted: Search) -> Iterator[Iterator[_Move]]:
    """Ever more pins: one moved, two at once, then as many free, and all."""
    pins = _pinned(wanted)
    for number, tries in MOVED_AT_ONCE.items():
        yield (move for several in combinations(pins, number) for move in _moves(question, wanted, several, tries))
    for number in (*range(2, min(len(pins), MOST_FREED) + 1), len(pins)):
        yield (_Move(_freed(wanted, freed), dict.fromkeys(freed), 0.0) for freed in combinations(pins, number))


def _pinned(wanted: Search) -> list[str]:
    bounded = wanted.min_gpus > 1 or wanted.max_gpus is not None
    return [*wanted.pins, *([GPUS] if bounded else [])]


def _freed(wanted: Search, pins: tuple[str, ...]) -> Search:
    found = replace(wanted, pins={axis: pin for axis, pin in wanted.pins.items() if axis not in pins})
    return replace(found, min_gpus=1, max_gpus=None) if GPUS in pins else found


def _moves(question: Question, wanted: Search, pins: tuple[str, ...], tries: int) -> Iterator[_Move]:
    """Pins at the nearest values that their axes have; bounds on GPUs are dropped, and the nearest number counts."""
    axes = [pin for pin in pins if pin != GPUS]
    nearest = [_others(question, axis, pinned_values(wanted.pins[axis]))[:tries] for axis in axes]
    for values in product(*nearest):
        chosen = dict(zip(axes, (value for value, _far in values), strict=True))
        asked = _freed(wanted, (GPUS,)) if GPUS in pins else wanted
        moved: dict[str, int | str | None] = {**chosen, **({GPUS: None} if GPUS in pins else {})}
        yield _Move(replace(asked, pins={**wanted.pins, **chosen}), moved, sum(far for _value, far in values))


def _others(question: Question, axis: str, given: tuple[int | str, ...]) -> list[tuple[int | str, float]]:
    """The other values of an axis, nearest first: numbers by their ratio to a given one, names in their order."""
    for degree in all_degrees(question.rules.strategies):
        if degree.name == axis:
            counts = [int(value) for value in given]
            values = [int(value) for value in degree.candidates(question.context) if int(value) not in counts]
            far = {value: min(abs(log(value / count, 2)) for count in counts) for value in values}
            return sorted(far.items(), key=lambda item: (item[1], item[0]))
    choice = next(choice for choice in question.choices if choice.name == axis)
    return [(value, 1.0) for value in choice_values(question.context, choice, {}) if value not in given]


def _tried(question: Question, wanted: Search, move: _Move, limits: Limits) -> tuple[_Move, Plan] | None:
    """The best layout that fits, on the nearest number of GPUs where that is free, or the one that lacks least; None where none
    is allowed."""
    pool = question.context.cluster.accelerators
    found = searched(question, move.wanted, limits, min(move.wanted.max_gpus or pool, pool))
    candidate = best_by(question, found, move.wanted.objective, limits.headroom)[1] or found.closest
    if GPUS in move.moved and found.by_gpus:
        candidate = found.by_gpus[min(found.by_gpus, key=lambda count: _outside(wanted, count))][0]
    if candidate is None:
        return None
    if GPUS in move.moved:
        move = replace(move, distance=move.distance + _outside(wanted, candidate.n_gpus))
    return move, plans_for(question, [candidate], limits.headroom)[0]


def _outside(wanted: Search, count: int) -> float:
    """How far a number of GPUs is from those that were asked for."""
    least, most = wanted.min_gpus, wanted.max_gpus or inf
    return log(least / count, 2) if count < least else log(count / most, 2) if count > most else 0.0


def _miss(wanted: Search, move: _Move, plan: Plan) -> NearestMiss:
    values: Mapping[str, Any] = {**plan.layout, GPUS: plan.n_gpus}
    moved = {axis: values.get(axis) if value is None else value for axis, value in move.moved.items()}
    named = " and ".join(f"{axis} {value} instead of {_asked(wanted, axis)}" for axis, value in moved.items())
    fits = f"it fits on {plan.n_gpus} GPUs" if plan.n_gpus > 1 else "it fits on one GPU"
    lacking = f"such layouts are allowed, but {plan.memory.shortfall}"
    return NearestMiss(
        layout=plan.layout, n_gpus=plan.n_gpus, stage=None, missing_bytes=None, moved=moved,
        fix=f"no layout has all that is pinned; with {named} {fits if plan.memory.fits else lacking}",
        excess=inf,
    )  # fmt: skip


def _asked(wanted: Search, axis: str) -> str:
    if axis != GPUS:
        return " or ".join(str(value) for value in pinned_values(wanted.pins[axis]))
    if wanted.max_gpus is None:
        return f"{wanted.min_gpus} and more"
    return f"{wanted.min_gpus}" if wanted.max_gpus == wanted.min_gpus else f"{wanted.min_gpus}-{wanted.max_gpus}"
