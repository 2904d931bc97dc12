"""Why some layouts are not recommended: what refuses them, what they lack, or what they lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from planner.choosing import rank
from planner.domain.plan import TIME_COMPONENTS, Plan, WhyNot
from planner.question import Question
from planner.search.objectives import MISSES_BUDGET, MISSES_DEADLINE, Findings, Limits
from planner.search.space import Pin, choice_values, pinned_values
from planner.searching import banned, plans_for
from planner.settling import settled
from planner.units import GIB, format_duration, format_usd

if TYPE_CHECKING:
    from planner.api import Search

MOST_NAMED: Final = 3
LIMITED: Final = (MISSES_DEADLINE, MISSES_BUDGET)


def why_not(question: Question, wanted: Search, limits: Limits, most: int, chosen: Plan | None) -> WhyNot | None:
    """Search the layouts with the axes that were asked about, and compare the best of them with the one that was `chosen`.

    None where nothing was asked. Raises InputError and UnknownNameError for what no axis has.
    """
    if not wanted.why_not:
        return None
    left_out = banned(wanted.without, wanted.pins, question.rules.strategies)
    pins = {**wanted.pins, **left_out, **wanted.why_not}
    asked = replace(wanted, pins=pins, without=())
    found = settled(question, asked, limits, most)
    findings = found.findings
    plan = found.plans[0] if found.plans else None
    if chosen is not None and _has(chosen, wanted.why_not):
        # Finer values are tried step by step: a search for these pins may not have come upon it.
        plan = chosen
    if plan is not None and chosen is not None and rank(plan, wanted.objective) >= rank(chosen, wanted.objective):
        # Side by side on as many GPUs, if the layouts asked about have any.
        same = chosen.n_gpus
        if same != plan.n_gpus and same in findings.by_gpus:
            plan = settled(question, replace(asked, min_gpus=same), limits, same).plans[0]
    return WhyNot(
        pins=wanted.why_not,
        layouts=findings.layouts,
        feasible=findings.feasible,
        rejected=findings.rejected,
        best=plan,
        reason=_reason(question, wanted, limits, findings, plan, chosen),
    )


def _has(plan: Plan, pins: Mapping[str, Pin]) -> bool:
    """Whether a plan's layout has these values."""
    return all(plan.layout.get(axis) in pinned_values(pin) for axis, pin in pins.items())


def _reason(
    question: Question, wanted: Search, limits: Limits, findings: Findings, plan: Plan | None, chosen: Plan | None
) -> str:
    if not findings.layouts:
        return "no candidate has these values within the GPUs that may be used"
    if plan is None:
        return _why_none(question, limits, findings)
    if chosen is None:
        return "such layouts can run"
    if plan.n_gpus == chosen.n_gpus and dict(plan.layout) == dict(chosen.layout):
        return "such a layout is what is recommended"
    if rank(plan, wanted.objective) < rank(chosen, wanted.objective):
        return f"it would be better ({_differences(plan, chosen)}), but {_unasked(question, wanted)}"
    if plan.n_gpus != chosen.n_gpus:
        return _other_number(limits, question, findings, plan, chosen)
    return _slower(plan, chosen)


def _unasked(question: Question, wanted: Search) -> str:
    """Why the search did not come across a better layout: values that are tried only beside those that it prefers without, or
    only where they are pinned, or that are left out."""
    finer = {axis for step in question.context.framework.finer for axis in step}
    tried = {choice.name: choice_values(question.context, choice, {}) for choice in question.choices}
    found = {
        axis: f"{axis} {value}"
        for axis, pin in wanted.why_not.items()
        for value in pinned_values(pin)
        if axis in wanted.pins or axis in finer or value not in tried.get(axis, (value,))
    }
    if not found:
        return "the question leaves it out"
    named = ", ".join(found.values())
    if "offload" in found:
        return f"a search tries {named} only where nothing fits without, or where it is pinned"
    if finer.issuperset(found):
        return f"a search tries {named} only beside the values that it prefers without, or where it is pinned"
    return f"a search tries {named} only where it is pinned"


def _why_none(question: Question, limits: Limits, findings: Findings) -> str:
    if findings.fastest is not None:
        plan = plans_for(question, [findings.fastest], limits.headroom)[0]
        limited: dict[str, int] = {
            reason: findings.rejected[reason] for reason in LIMITED if reason in findings.rejected
        }
        return f"such layouts fit, but the fastest takes {format_duration(plan.duration_s)}: {_most_common(limited)}"
    if findings.closest is not None:
        plan = plans_for(question, [findings.closest], limits.headroom)[0]
        largest = max(plan.memory.components, key=lambda name: plan.memory.components[name])
        return (
            f"the leanest such layout ({plan.n_gpus} GPUs) {plan.memory.shortfall} on stage {plan.memory.stage}, mostly "
            f"{largest} ({plan.memory.components[largest] / GIB:.1f} GiB)"
        )
    return f"no such layout is allowed: {_most_common(findings.rejected)}"


def _most_common(rejected: Mapping[str, int]) -> str:
    most = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMED]
    return "; ".join(f"{reason} ({count:,})" for reason, count in most)


def _other_number(limits: Limits, question: Question, findings: Findings, plan: Plan, chosen: Plan) -> str:
    needed = findings.leanest.get(chosen.n_gpus)
    capacity = question.context.cluster.accelerator.memory_bytes * (1 - limits.headroom)
    first = f"such layouts run on {plan.n_gpus} GPUs, the recommended one on {chosen.n_gpus}"
    if needed is not None and needed > capacity:
        return f"{first}, where they need {needed / GIB:.1f} GiB of {capacity / GIB:.1f} GiB per GPU"
    return f"{first}: {_differences(plan, chosen)}"


def _slower(plan: Plan, chosen: Plan) -> str:
    """On as many GPUs: what a step takes more, and in what."""
    longer = plan.step_time_s - chosen.step_time_s
    if longer < 0:
        return f"a step is {-longer / chosen.step_time_s:.1%} shorter, but the goal prefers the other: {_differences(plan, chosen)}"
    lost = {name: plan.step_time_components_s[name] - chosen.step_time_components_s[name] for name in TIME_COMPONENTS}
    worst = sorted((name for name in TIME_COMPONENTS if lost[name] > 0), key=lambda name: -lost[name])[:MOST_NAMED]
    named = ", ".join(f"{name} +{lost[name]:.3g} s" for name in worst)
    return (
        f"its step takes {longer / chosen.step_time_s:.1%} longer: {named}"
        if named
        else "it is as fast, and less simple"
    )


def _differences(plan: Plan, chosen: Plan) -> str:
    parts = [f"{format_duration(plan.duration_s)} instead of {format_duration(chosen.duration_s)}"]
    if plan.n_gpus != chosen.n_gpus:
        parts.append(f"{plan.n_gpus:,} GPU{'s' if plan.n_gpus > 1 else ''} instead of {chosen.n_gpus:,}")
    if plan.cost_usd is not None and chosen.cost_usd is not None:
        parts.append(f"{format_usd(plan.cost_usd)} instead of {format_usd(chosen.cost_usd)}")
    return ", ".join(parts)
