"""Builds the answer of a search: its findings as plans, beside what is close when nothing fits and the rules of thumb."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, Final

from planner.domain.goals import OBJECTIVES
from planner.domain.mesh import ChoiceValue
from planner.domain.plan import Assumption, Plan, PlanAnswer, SearchSummary, Shift
from planner.errors import InputError
from planner.estimating import rule_of_thumb
from planner.nearest_miss import nearest_miss
from planner.operating import operation_notes
from planner.plan_notes import host_notes, name_notes, network_notes
from planner.plugin import Context
from planner.question import Question
from planner.registry import Registry
from planner.search.candidates import Candidate
from planner.search.growth import knee, pareto_front
from planner.search.objectives import Findings, Limits, ignore
from planner.search.sensitivity import CHANGES, shifts
from planner.search.space import NOTHING_OFFLOADED, Pin, choice_values, pinned_values
from planner.searching import Progress, detailed, one_of, plans_for
from planner.settling import settled_anyhow
from planner.units import GIB
from planner.why_not import why_not

if TYPE_CHECKING:
    from planner.api import Recipe, Search

MOST_REASONS: Final = 3
MOST_LISTED: Final = 8


def answer_plan(
    question: Question,
    registry: Registry,
    recipe: Recipe,
    wanted: Search,
    provenance: Mapping[str, Any],
    progress: Progress = ignore,
) -> PlanAnswer:
    """Search, then say the fewest GPUs, the recommended plan, alternatives, scaling, refusals and the nearest miss."""
    context = question.context
    _check(question, wanted)
    limits = Limits(headroom=recipe.memory_headroom, deadline_s=wanted.deadline_s, budget_usd=wanted.budget_usd)
    most = min(wanted.max_gpus or context.cluster.accelerators, context.cluster.accelerators)
    parts = 1 + (CHANGES if wanted.sensitivity else 0)
    found = settled_anyhow(question, wanted, limits, most, one_of(parts, 0, progress))
    findings, best, alternatives = found.findings, found.best, found.plans
    scaling = found.scaling
    fewest = min((plan.n_gpus for plan in scaling), default=None)
    miss = None if best is not None else nearest_miss(question, wanted, limits, findings)
    return PlanAnswer(
        question=recipe.to_dict() | wanted.to_dict(),
        assumptions=(*question.assumptions, *_searched(question, wanted, most, found.offload)),
        min_gpus=fewest,
        recommended=detailed(question, best.layouts, alternatives[0]) if best is not None else None,
        nearest_miss=miss,
        alternatives=alternatives[1:],
        scaling=scaling,
        rejected=findings.rejected,
        regions=found.regions,
        search=SearchSummary(
            layouts=findings.layouts,
            feasible=findings.feasible,
            finer_layouts=found.finer_layouts,
            elapsed_s=found.elapsed_s,
        ),
        rule_of_thumb=rule_of_thumb(registry, question),
        provenance=provenance,
        why=_why(question, wanted, limits, findings, fewest, found.offload),
        sensitivity=_sensitivity(question, wanted, limits, most, best, progress),
        front=_front(scaling),
        knee=_knee(scaling),
        why_not=why_not(question, wanted, limits, most, alternatives[0] if alternatives else None),
        notes=(
            *name_notes(recipe, context.architecture),
            *host_notes(alternatives[0] if alternatives else None),
            *network_notes(question),
            *operation_notes(context.operating),
        ),
    )


def _front(scaling: Sequence[Plan]) -> tuple[int, ...]:
    """The numbers of GPUs that no other beats in expected duration, cost and GPUs at once; without a price cost is left out."""
    endless = [inf if plan.due_s is None else plan.due_s for plan in scaling]
    points = [(due_s, plan.due_usd or 0.0, float(plan.n_gpus)) for due_s, plan in zip(endless, scaling, strict=True)]
    return tuple(scaling[position].n_gpus for position in pareto_front(points)) if points else ()


def _knee(scaling: Sequence[Plan]) -> int | None:
    found = knee([plan.n_gpus for plan in scaling], [plan.tokens_per_s for plan in scaling])
    return None if found is None else scaling[found].n_gpus


def _why(
    question: Question, wanted: Search, limits: Limits, findings: Findings, fewest: int | None, offload: str
) -> str:
    """Why not fewer GPUs: what the leanest layout on the next smaller number would need."""
    if fewest is None:
        return _why_nothing(findings)
    if offload != NOTHING_OFFLOADED:
        return f"it fits only with part of it in the hosts' memory (offload {offload}), which costs time"
    capacity = question.context.cluster.accelerator.memory_bytes * (1 - limits.headroom)
    smaller = [count for count in findings.leanest if count < fewest]
    if not smaller:
        return _why_none_smaller(wanted.min_gpus, fewest)
    count = max(smaller)
    needed = findings.leanest[count]
    if needed <= capacity:
        return f"layouts on {count} fit in memory, but miss the deadline or the budget"
    # As many decimals as show the difference.
    digits = next((n for n in range(1, 5) if f"{needed / GIB:.{n}f}" != f"{capacity / GIB:.{n}f}"), 1)
    return (
        f"on {count} the leanest layout tried needs {needed / GIB:.{digits}f} GiB per GPU, of {capacity / GIB:.{digits}f} GiB that "
        f"may be used ({100 * limits.headroom:g}% kept free)"
    )


def _why_none_smaller(asked: int, fewest: int) -> str:
    if fewest == 1:
        return "one GPU is enough"
    if fewest == asked:
        return f"no fewer than {asked} GPUs were asked for"
    if asked > 1:
        return f"no allowed layout has from {asked} to {fewest - 1} GPUs"
    return f"no allowed layout has fewer than {fewest} GPUs"


def _why_nothing(findings: Findings) -> str:
    """Where no layout is even allowed, the reasons that refuse most of them."""
    if findings.closest is not None or findings.fastest is not None:
        return ""
    if not findings.layouts:
        return "no combination of the candidate degrees gives this number of GPUs: see planner plan --help for pinning axes"
    most = sorted(findings.rejected.items(), key=lambda item: -item[1])[:MOST_REASONS]
    return "no layout is allowed: " + "; ".join(f"{reason} ({count:,})" for reason, count in most)


def _check(question: Question, wanted: Search) -> None:
    cluster = question.context.cluster
    if wanted.objective not in OBJECTIVES:
        raise InputError(f"unknown objective {wanted.objective!r}", hint=f"one of {', '.join(OBJECTIVES)}")
    if cluster.price is None and (wanted.objective == "cost" or wanted.budget_usd is not None):
        raise InputError(f"no price is known for {cluster.slug}", hint="leave --objective cost and --budget out")
    if cluster.accelerator.tdp_w is None and wanted.objective == "energy":
        raise InputError(f"no power is known for {cluster.accelerator.slug}", hint="use another objective")
    if wanted.min_gpus > cluster.accelerators:
        raise InputError(
            f"{cluster.slug} has {cluster.accelerators} GPUs, fewer than {wanted.min_gpus}",
            hint=f"ask for at most {cluster.accelerators}, or for a larger cluster",
        )


def _searched(question: Question, wanted: Search, most: int, offload: str) -> tuple[Assumption, ...]:
    pinned = ", ".join(f"{axis} = {_pin_text(pin)}" for axis, pin in wanted.pins.items()) or "none"
    return (
        Assumption(
            name="n_gpus",
            value=f"{wanted.min_gpus}-{most}",
            origin="every number that the degrees multiply to: dp divides the batch, tp the heads",
        ),
        Assumption(name="pinned axes", value=pinned, origin="the candidates of all other degrees are searched"),
        *_searched_choices(question, wanted),
        *_finer_choices(question, wanted),
        *_hosted(offload),
        *(Assumption(name="left out", value=name, origin="--without") for name in wanted.without),
    )


def _searched_choices(question: Question, wanted: Search) -> Iterator[Assumption]:
    """Which values of each choice are tried, where it has others that must be pinned."""
    tried = []
    for choice in question.choices:
        values = choice_values(question.context, choice, {})
        if choice.name not in wanted.pins and len(values) < len(choice.values):
            tried.append(f"{choice.name.replace('_', ' ')} {', '.join(map(str, values))}")
    if tried:
        offered = f"what {question.context.framework.name} offers; other values are tried where they are pinned"
        yield Assumption(name="choices tried", value="; ".join(tried), origin=offered)


def _finer_choices(question: Question, wanted: Search) -> Iterator[Assumption]:
    """Which further values are tried after the others."""
    tried = [
        f"{axis.replace('_', ' ')} {_values_text(values)}"
        for step in question.context.framework.finer
        for axis, values in step.items()
        if axis not in wanted.pins
    ]
    if tried:
        where = ", on no more GPUs than do without" if wanted.objective == "min-gpus" else ""
        origin = f"tried after the rest{where}, as they multiply the space"
        yield Assumption(name="tried besides", value="; ".join(tried), origin=origin)


def _values_text(values: Sequence[ChoiceValue]) -> str:
    """The values, or the first and the last of many."""
    return ", ".join(map(str, values)) if len(values) <= MOST_LISTED else f"{values[0]} to {values[-1]}"


def _hosted(offload: str) -> Iterator[Assumption]:
    if offload != NOTHING_OFFLOADED:
        yield Assumption(name="offload", value=offload, origin="nothing fits without; --offload none rules it out")


def _pin_text(pin: Pin) -> str:
    return " or ".join(str(value) for value in pinned_values(pin))


def _sensitivity(
    question: Question, wanted: Search, limits: Limits, most: int, best: Candidate | None, progress: Progress
) -> tuple[Shift, ...]:
    """The same question under other rates, prices and failures; nothing where it was not asked or has no answer."""
    if best is None or not wanted.sensitivity:
        return ()
    keep, numbers = best, itertools.count(1)

    def answer(context: Context) -> tuple[int | None, Plan | None]:
        altered = replace(question, context=context)
        found = settled_anyhow(altered, wanted, limits, most, one_of(1 + CHANGES, next(numbers), progress))
        fewest = min((plan.n_gpus for plan in found.scaling), default=None)
        return fewest, found.plans[0] if found.plans else None

    def kept(context: Context) -> Plan:
        return plans_for(replace(question, context=context), [keep], limits.headroom)[0]

    found = shifts(question.context, answer, kept)
    progress(1.0)  # what has no price or no failures is asked less often
    return found
