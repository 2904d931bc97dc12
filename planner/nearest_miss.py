"""What is close where nothing fits: the layout that lacks the least, and what would make it fit."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Final

from planner.domain.plan import NearestMiss, Plan
from planner.nearest_layout import nearest_layout
from planner.question import Question
from planner.search.objectives import Findings, Limits
from planner.searching import plans_for, searched
from planner.units import SECONDS_PER_DAY, format_missing_bytes

if TYPE_CHECKING:
    from planner.api import Search

GROWTH: Final = (2, 4, 8, 16, 32, 64)
"""By how many times more nodes a question that does not fit is asked again, to say from how many GPUs on it would."""

MOST_GPUS_FACTOR: Final = 8
"""Up to how many times as many GPUs may be advised: beyond, a batch is too small to be shared out."""


def nearest_miss(question: Question, wanted: Search, limits: Limits, findings: Findings) -> NearestMiss | None:
    """The layout that comes closest to what was asked, by how far it misses, with advice; None where none is allowed at all."""
    if findings.fastest is not None:
        return _missed_limit(question, limits, findings)
    if findings.closest is None:
        return nearest_layout(question, wanted, limits)
    plan = plans_for(question, [findings.closest], limits.headroom)[0]
    return NearestMiss(
        layout=plan.layout,
        n_gpus=plan.n_gpus,
        stage=plan.memory.stage,
        missing_bytes=plan.memory.missing_bytes or plan.memory.host_missing_bytes,
        fix=_nearest_fix(question, wanted, limits, plan),
        excess=plan.memory.missing_bytes / plan.memory.capacity_bytes,
    )


def _nearest_fix(question: Question, wanted: Search, limits: Limits, plan: Plan) -> str:
    """What would make the layout fit, on the devices or in the hosts' memory."""
    if plan.memory.missing_bytes or not plan.memory.host_missing_bytes:
        pool = question.context.cluster.accelerators
        return _fix(question, wanted, limits, plan, pool)
    return (
        f"{format_missing_bytes(plan.memory.host_missing_bytes)} per GPU are missing in the host's memory: "
        "spread the job over more nodes, keep less on the host (--offload), or choose nodes with more memory"
    )


def _fix(question: Question, wanted: Search, limits: Limits, plan: Plan, pool: int) -> str:
    """What would make it fit: more nodes of the same kind, if the same question is answered with them."""
    context = question.context
    missing = f"{format_missing_bytes(plan.memory.missing_bytes)} per GPU are missing"
    if wanted.max_gpus is not None and wanted.max_gpus < pool:
        wider = searched(question, replace(wanted, max_gpus=None), Limits(headroom=limits.headroom), pool)
        if wider.by_gpus:
            return f"{missing}; it fits on {min(wider.by_gpus)} GPUs of this pool: raise --gpus"
    node = context.cluster.node
    if node.network_bytes_per_s is None and node.scaleup_domain <= node.accelerators_per_node:
        return (
            f"{missing}; this node has no known network to grow over: choose GPUs with more memory, "
            "or a cluster (--cluster, --node)"
        )
    for factor in GROWTH:
        cluster = replace(context.cluster, nodes=context.cluster.nodes * factor)
        larger = replace(question, context=replace(context, cluster=cluster))
        found = searched(larger, replace(wanted, max_gpus=None), Limits(headroom=limits.headroom), cluster.accelerators)
        if found.by_gpus:
            return f"{missing}; {min(found.by_gpus)} GPUs of the same kind would fit"
    return (
        f"{missing}; more GPUs of the same kind do not help: shorten --seq-len, free the pinned axes, "
        "or choose GPUs with more memory"
    )


def _missed_limit(question: Question, limits: Limits, findings: Findings) -> NearestMiss:
    """Layouts fit, but none meets the deadline or the budget."""
    in_time = findings.cheapest_in_time
    late = limits.deadline_s is not None and in_time is None
    candidate = in_time or (findings.fastest if late else findings.cheapest)
    assert candidate is not None  # nearest_miss looked
    plan = plans_for(question, [candidate], limits.headroom)[0]
    due_s = float("inf") if plan.due_s is None else plan.due_s
    days = "forever" if plan.due_s is None else f"{due_s / SECONDS_PER_DAY:,.1f} days"
    days += "" if plan.expected is None else " with failures and checkpoints"
    cost = "" if plan.due_usd is None else f" for ${plan.due_usd:,.0f}"
    kind = "fastest layout that fits" if late else "cheapest layout that fits"
    kind += " and meets the deadline" if in_time is not None else ""
    if late and limits.deadline_s is not None:
        share = due_s / limits.deadline_s
        advice = (
            "its GPUs are interrupted faster than they start again: use fewer of them"
            if plan.due_s is None
            else _less_to_do(share, plan)
        )
    else:
        advice = "raise the budget, or train on fewer tokens"
    return NearestMiss(
        layout=plan.layout, n_gpus=plan.n_gpus, stage=None, missing_bytes=None,
        fix=f"the {kind} takes {days}{cost} on {plan.n_gpus} GPUs: {advice}",
        excess=_excess(plan, limits), late_s=_over(plan.due_s, limits.deadline_s),
        over_usd=_over(plan.due_usd, limits.budget_usd),
    )  # fmt: skip


def _over(due: float | None, limit: float | None) -> float | None:
    """By how much a run passes a limit; None where it does not, or where it never ends."""
    return None if limit is None or due is None or due <= limit else due - limit


def _excess(plan: Plan, limits: Limits) -> float:
    """By what fraction the expected run passes its deadline or budget, whichever is further."""
    over = [
        (inf if due is None else due) / limit - 1.0
        for due, limit in ((plan.due_s, limits.deadline_s), (plan.due_usd, limits.budget_usd))
        if limit is not None
    ]
    return max(over)


def _less_to_do(share: float, plan: Plan) -> str:
    """What helps a run that takes `share` times as long as it may."""
    percent = 100 / share
    # Rounded down: a little less than all is not all.
    tokens = f"train on {floor(10 * percent) / 10 if percent >= 10 else percent:.3g} % of the tokens"
    if share > MOST_GPUS_FACTOR:
        return f"{tokens}; no number of GPUs speeds one batch up so far"
    return f"{tokens}, or find about {ceil(share * plan.n_gpus):,} such GPUs"
