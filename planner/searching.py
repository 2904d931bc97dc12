"""A question searched: its space within bounds, and layouts as plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.choosing import best_of
from planner.domain.mesh import Layouts
from planner.domain.plan import Plan
from planner.errors import InputError, UnknownNameError
from planner.plugin import Strategy
from planner.question import Question
from planner.search.candidates import Candidate, joined
from planner.search.evaluation import evaluate_mesh
from planner.search.objectives import Findings, Limits, ignore, search
from planner.search.plans import plans_of
from planner.search.ranges import step_time_range_s
from planner.search.space import Pin, all_degrees, build_space
from planner.search.stage_memory import stage_memories
from planner.search.trace import scalar

if TYPE_CHECKING:
    from planner.api import Search

Progress = Callable[[float], None]


def one_of(parts: int, number: int, progress: Progress) -> Progress:
    """Where the part `number` of `parts`, from 0 up, tells its progress, so that `progress` is told that of all of them."""
    return lambda fraction: progress((number + fraction) / parts)


def searched(
    question: Question,
    wanted: Search,
    limits: Limits,
    most: int,
    progress: Progress = ignore,
    *,
    tell_regions: bool = False,
) -> Findings:
    """Look at every layout of up to `most` GPUs, and count by region what is refused if that is to be told.

    Raises InputError and UnknownNameError for what no axis or plugin has.
    """
    context, rules = question.context, question.rules
    pins = {**wanted.pins, **banned(wanted.without, wanted.pins, rules.strategies)}
    space = build_space(context, all_degrees(rules.strategies), question.choices, pins, wanted.min_gpus, most)
    keep = max(1, wanted.top) + 1
    return search(
        context, space, rules, limits, keep, wanted.objective, wanted.jobs, progress, tell_regions=tell_regions
    )


def banned(names: Sequence[str], pins: Mapping[str, Pin], strategies: Sequence[Strategy]) -> dict[str, Pin]:
    """The pins that leave out the strategies and axes called `names`: degrees 1, choices at their first value.

    Raises UnknownNameError for a name that is neither, InputError for one that is pinned as well.
    """
    degrees = {degree.name for strategy in strategies for degree in strategy.degrees}
    firsts = {choice.name: choice.values[0] for strategy in strategies for choice in strategy.choices}
    own = {
        strategy.name: [*(each.name for each in strategy.degrees), *(each.name for each in strategy.choices)]
        for strategy in strategies
    }
    left_out: dict[str, Pin] = {}
    for name in names:
        axes = own.get(name) or ([name] if name in degrees or name in firsts else [])
        if not axes:
            known = sorted({*(strategy for strategy, brought in own.items() if brought), *degrees, *firsts})
            raise UnknownNameError("strategy or axis", name, known)
        for axis in axes:
            if axis in pins:
                raise InputError(f"{name} is left out, but {axis} is pinned", hint="drop one of the two")
            left_out[axis] = 1 if axis in degrees else firsts[axis]
    return left_out


def best_by(
    question: Question, findings: Findings, objective: str, headroom: float
) -> tuple[tuple[Plan, ...], Candidate | None]:
    """The best plan for every number of GPUs, fewest first, and the best of all by the goal (None: nothing meets what was asked).

    On as many GPUs the best is the fastest, or of least energy, with failures as without; between numbers of GPUs failures count.
    """
    best = [candidates[0] for _, candidates in sorted(findings.by_gpus.items())]
    plans = plans_for(question, best, headroom)
    position = best_of(plans, objective)
    return plans, None if position is None else best[position]


def plans_for(question: Question, candidates: Sequence[Candidate], headroom: float) -> tuple[Plan, ...]:
    """A plan for each candidate, in their order."""
    if not candidates:
        return ()
    return plans_of(question.context, joined(candidates), question.rules, headroom)


def detailed(question: Question, layouts: Layouts, plan: Plan) -> Plan:
    """The plan with the range of its step time and the memory of each pipeline stage."""
    shortest, longest = step_time_range_s(evaluate_mesh(question.context, layouts, question.rules))
    return replace(
        plan,
        step_time_range_s=(scalar(shortest), scalar(longest)),
        stages=stage_memories(question.context, layouts, question.rules),
    )
