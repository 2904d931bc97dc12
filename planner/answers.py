"""Builds the answers: the search's findings as plans, what is close when nothing fits, the rules of thumb beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, inf, prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from planner.domain.architecture import Architecture
from planner.domain.goals import OBJECTIVES
from planner.domain.hardware import Accelerator
from planner.domain.mesh import Layouts
from planner.domain.plan import (
    Assumption,
    EvaluateAnswer,
    NearestMiss,
    Plan,
    PlanAnswer,
    SearchSummary,
    Shift,
)
from planner.errors import InputError
from planner.operating import operation_notes
from planner.plugin import Context, Degree, EstimateInput
from planner.program.assemble import assemble
from planner.question import Question
from planner.registry import Registry
from planner.search.candidates import Candidate
from planner.search.evaluation import offloads, refusals
from planner.search.growth import knee, pareto_front
from planner.search.objectives import Findings, Limits, ignore
from planner.search.plans import plans_of
from planner.search.ranges import step_time_range_s
from planner.search.sensitivity import shifts
from planner.search.space import (
    Pin,
    all_degrees,
    check_axes,
    choice_values,
    derive,
    make_layouts,
    pinned_values,
)
from planner.search.stage_memory import stage_memories
from planner.search.trace import memory_terms, scalar, time_terms
from planner.searching import Progress, best_by, plans_for, searched
from planner.units import GIB, SECONDS_PER_DAY
from planner.why_not import why_not

if TYPE_CHECKING:
    from planner.api import Recipe, Search

MOST_REASONS: Final = 3
GROWTH: Final = (2, 4, 8, 16, 32, 64)
"""By how many times more nodes a question that does not fit is asked again, to say from how many GPUs on it would."""

MOST_GPUS_FACTOR: Final = 8
"""Up to how many times as many GPUs may be advised: beyond, a batch is too small to be shared out."""
REFUSED: Final = ("This layout cannot run: its figures are what the formulas give, and mean little.",)
HOSTED: Final = (
    "What is offloaded travels at 78 % of the host link's nominal rate, and the time of the host's optimizer is uncertain by a "
    "factor of three (0.24 ns per parameter and node).",
)


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
    findings = searched(question, wanted, limits, most, progress)
    scaling, best = best_by(question, findings, wanted.objective, limits.headroom)
    same = [] if best is None else findings.by_gpus[best.n_gpus][: wanted.top + 1]
    alternatives = plans_for(question, same, limits.headroom)
    miss = None if best is not None else _nearest_miss(question, wanted, limits, findings)
    return PlanAnswer(
        question=recipe.to_dict() | wanted.to_dict(),
        assumptions=(*question.assumptions, *_searched(question, wanted, most)),
        min_gpus=min(findings.by_gpus) if findings.by_gpus else None,
        recommended=_detailed(question, best.layouts, alternatives[0]) if best is not None else None,
        nearest_miss=miss,
        alternatives=alternatives[1:],
        scaling=scaling,
        rejected=findings.rejected,
        search=SearchSummary(layouts=findings.layouts, feasible=findings.feasible, elapsed_s=findings.elapsed_s),
        rule_of_thumb=_rule_of_thumb(registry, question),
        provenance=provenance,
        why=_why(question, wanted, limits, most, findings),
        sensitivity=_sensitivity(question, wanted, limits, most, best),
        front=_front(scaling),
        knee=_knee(scaling),
        why_not=why_not(question, wanted, limits, most, alternatives[0] if alternatives else None),
        notes=(
            *_name_notes(recipe, context.architecture),
            *_host_notes(alternatives[0] if alternatives else None),
            *_network_notes(question),
            *operation_notes(context.operating),
        ),
    )


def _network_notes(question: Question) -> tuple[str, ...]:
    cluster = question.context.cluster
    if cluster.nodes == 1 or cluster.node.network_bytes_per_s is not None:
        return ()
    return (
        f"The network of {cluster.slug} is not known: only layouts within one scale-up domain or node are considered.",
    )


def _front(scaling: Sequence[Plan]) -> tuple[int, ...]:
    """The numbers of GPUs that no other beats in expected duration, cost and GPUs at once; without a price cost is left out."""
    endless = [inf if plan.due_s is None else plan.due_s for plan in scaling]
    points = [(due_s, plan.due_usd or 0.0, float(plan.n_gpus)) for due_s, plan in zip(endless, scaling, strict=True)]
    return tuple(scaling[position].n_gpus for position in pareto_front(points)) if points else ()


def _knee(scaling: Sequence[Plan]) -> int | None:
    found = knee([plan.n_gpus for plan in scaling], [plan.tokens_per_s for plan in scaling])
    return None if found is None else scaling[found].n_gpus


def _why(question: Question, wanted: Search, limits: Limits, most: int, findings: Findings) -> str:
    """Why not fewer GPUs: what the leanest layout on the next smaller number would need."""
    if not findings.by_gpus:
        reason = _why_nothing(findings)
        return reason + _with_one_pin_less(question, wanted, limits, most) if reason else ""
    fewest = min(findings.by_gpus)
    capacity = question.context.cluster.accelerator.memory_bytes * (1 - limits.headroom)
    smaller = [count for count in findings.leanest if count < fewest]
    if not smaller:
        return "one GPU is enough" if fewest == 1 else f"no allowed layout has fewer than {fewest} GPUs"
    count = max(smaller)
    needed = findings.leanest[count]
    if needed <= capacity:
        return f"layouts on {count} fit in memory, but miss the deadline or the budget"
    return (
        f"on {count} the leanest layout needs {needed / GIB:.1f} GiB per GPU, of {capacity / GIB:.1f} GiB that may be used "
        f"({limits.headroom:.0%} kept free)"
    )


def _why_nothing(findings: Findings) -> str:
    """Where no layout is even allowed, the reasons that refuse most of them."""
    if findings.closest is not None or findings.fastest is not None:
        return ""
    if not findings.layouts:
        return "no combination of the candidate degrees gives this number of GPUs: see planner plan --help for pinning axes"
    most = sorted(findings.rejected.items(), key=lambda item: -item[1])[:MOST_REASONS]
    return "no layout is allowed: " + "; ".join(f"{reason} ({count:,})" for reason, count in most)


def _with_one_pin_less(question: Question, wanted: Search, limits: Limits, most: int) -> str:
    """Which pinned axis, were it free, would let the model fit; "" if none would."""
    for axis in wanted.pins:
        others = {name: pin for name, pin in wanted.pins.items() if name != axis}
        found = searched(question, replace(wanted, pins=others), Limits(headroom=limits.headroom), most)
        if found.by_gpus:
            free = f"{axis} = {_pin_text(wanted.pins[axis])}"
            count = min(found.by_gpus)
            return f"; without {free} it fits on {count} GPU{'s' if count > 1 else ''}"
    return ""


def _check(question: Question, wanted: Search) -> None:
    cluster = question.context.cluster
    if wanted.objective not in OBJECTIVES:
        raise InputError(f"unknown objective {wanted.objective!r}", hint=f"one of {', '.join(OBJECTIVES)}")
    if cluster.price is None and (wanted.objective == "cost" or wanted.budget_usd is not None):
        raise InputError(f"no price is known for {cluster.slug}", hint="leave --objective cost and --budget out")
    if cluster.accelerator.tdp_w is None and wanted.objective == "energy":
        raise InputError(f"no power is known for {cluster.accelerator.slug}", hint="use another objective")
    if wanted.min_gpus > cluster.accelerators:
        raise InputError(f"{cluster.slug} has {cluster.accelerators} GPUs, fewer than {wanted.min_gpus}")


def _searched(question: Question, wanted: Search, most: int) -> tuple[Assumption, ...]:
    pinned = ", ".join(f"{axis} = {_pin_text(pin)}" for axis, pin in wanted.pins.items()) or "none"
    return (
        Assumption(
            name="n_gpus",
            value=f"{wanted.min_gpus}-{most}",
            origin="every number that the degrees multiply to: dp divides the batch, tp the heads",
        ),
        Assumption(name="pinned axes", value=pinned, origin="the candidates of all other degrees are searched"),
        *_searched_choices(question, wanted),
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


def _pin_text(pin: Pin) -> str:
    return " or ".join(str(value) for value in pinned_values(pin))


def _detailed(question: Question, layouts: Layouts, plan: Plan) -> Plan:
    """The plan with the range of its step time and the memory of each pipeline stage."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shortest, longest = step_time_range_s(question.context, layouts, question.rules)
    return replace(
        plan,
        step_time_range_s=(scalar(shortest), scalar(longest)),
        stages=stage_memories(question.context, layouts, question.rules),
    )


def _traced(question: Question, layouts: Layouts, plan: Plan) -> Plan:
    """The plan in detail, with every term that it is the sum of."""
    return replace(
        _detailed(question, layouts, plan),
        memory_terms=memory_terms(question.context, layouts, question.rules),
        time_terms=time_terms(question.context, layouts, question.rules),
    )


def _sensitivity(
    question: Question, wanted: Search, limits: Limits, most: int, best: Candidate | None
) -> tuple[Shift, ...]:
    """The same question under other rates, prices and failures; nothing where it was not asked or has no answer."""
    if best is None or not wanted.sensitivity:
        return ()
    keep = best

    def answer(context: Context) -> tuple[int | None, Plan | None]:
        altered = replace(question, context=context)
        findings = searched(altered, wanted, limits, most)
        _scaling, found = best_by(altered, findings, wanted.objective, limits.headroom)
        fewest = min(findings.by_gpus) if findings.by_gpus else None
        return fewest, None if found is None else plans_for(altered, [found], limits.headroom)[0]

    def kept(context: Context) -> Plan:
        return plans_for(replace(question, context=context), [keep], limits.headroom)[0]

    return shifts(question.context, answer, kept)


def _host_notes(plan: Plan | None) -> tuple[str, ...]:
    return HOSTED if plan is not None and plan.layout.get("offload") else ()


def _name_notes(recipe: Recipe, architecture: Architecture) -> tuple[str, ...]:
    """Says once where a name stands for a model of another name."""
    if recipe.model.lower() in (architecture.slug, architecture.name.lower()) or recipe.model.endswith(".json"):
        return (architecture.note,) if architecture.note else ()
    alias = f"{recipe.model} is read as {architecture.slug} ({architecture.name})."
    return (alias, architecture.note) if architecture.note else (alias,)


def _nearest_miss(question: Question, wanted: Search, limits: Limits, findings: Findings) -> NearestMiss | None:
    if findings.fastest is not None:
        return _missed_limit(question, limits, findings)
    if findings.closest is None:
        return None
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
        return _fix(question, wanted, limits, plan, pool) + _on_the_host(question, wanted, limits)
    return (
        f"{plan.memory.host_missing_bytes / GIB:.1f} GiB per GPU are missing in the host's memory: spread the job over more nodes, "
        "keep less on the host (--offload), or choose nodes with more memory"
    )


def _fix(question: Question, wanted: Search, limits: Limits, plan: Plan, pool: int) -> str:
    """What would make it fit: more nodes of the same kind, if the same question is answered with them."""
    context = question.context
    missing = f"{plan.memory.missing_bytes / GIB:.1f} GiB per GPU are missing"
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


def _on_the_host(question: Question, wanted: Search, limits: Limits) -> str:
    """What the framework could keep in the host's memory so that the same GPUs suffice; "" if nothing it offers helps."""
    if "offload" in wanted.pins:
        return ""
    memory_only = Limits(headroom=limits.headroom)
    for name, offload in question.rules.offloads.items():
        if not (offload.states or offload.activations) or not offloads(question.context.framework, offload):
            continue
        asked = replace(wanted, pins=dict(wanted.pins) | {"offload": name})
        found = searched(question, asked, memory_only, wanted.max_gpus or question.context.cluster.accelerators)
        if found.by_gpus:
            return f"; or --offload {name} (in the host's memory): {min(found.by_gpus)} GPUs"
    return ""


def _missed_limit(question: Question, limits: Limits, findings: Findings) -> NearestMiss:
    """Layouts fit, but none meets the deadline or the budget."""
    in_time = findings.cheapest_in_time
    late = limits.deadline_s is not None and in_time is None
    candidate = in_time or (findings.fastest if late else findings.cheapest)
    assert candidate is not None  # _nearest_miss looked
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
        excess=_excess(plan, limits),
    )  # fmt: skip


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
    tokens = f"train on {100 / share:.2g} % of the tokens"
    if share > MOST_GPUS_FACTOR:
        return f"{tokens}; no number of GPUs speeds one batch up so far"
    return f"{tokens}, or find about {ceil(share * plan.n_gpus):,} such GPUs"


def answer_evaluate(
    question: Question,
    registry: Registry,
    recipe: Recipe,
    layout: Mapping[str, int | str],
    provenance: Mapping[str, Any],
) -> EvaluateAnswer:
    """Memory and time of one layout, with every term, whether or not it is allowed or fits."""
    context, rules = question.context, question.rules
    mesh, filled = exact_layout(question, registry, layout)
    plan = plans_of(context, mesh, rules, recipe.memory_headroom)[0]
    reasons = tuple(each.reason for each in refusals(context, mesh, rules) if bool(np.any(each.where)))
    return EvaluateAnswer(
        question=recipe.to_dict() | {"layout": dict(layout)},
        assumptions=(*question.assumptions, *filled),
        plan=_traced(question, mesh, plan),
        refusals=reasons,
        params=context.program.total_params,
        provenance=provenance,
        notes=(
            *_name_notes(recipe, context.architecture),
            *(REFUSED if reasons else ()),
            *_host_notes(plan),
            *operation_notes(context.operating),
        ),
    )


def exact_layout(
    question: Question, registry: Registry, layout: Mapping[str, int | str]
) -> tuple[Layouts, tuple[Assumption, ...]]:
    """The mesh of one layout: degrees not given are 1, dp follows from ``n_gpus``, the schedule from vpp.

    Raises InputError for what cannot be computed at all, UnknownNameError for an unknown axis or value.
    """
    context, rules = question.context, question.rules
    degrees = all_degrees(rules.strategies)
    choices = question.choices
    given = {axis: value for axis, value in layout.items() if axis != "n_gpus" and value is not None}
    filled = dict(given)
    for degree in degrees:
        if degree.name != "dp":
            filled.setdefault(degree.name, 1)
    _check_count(degrees, filled, layout.get("n_gpus"))
    filled.setdefault("dp", _remaining_dp(degrees, filled, layout.get("n_gpus")))
    filled.setdefault("zero", context.framework.default_zero if int(filled["dp"]) * int(filled.get("cp", 1)) > 1 else 0)
    filled.setdefault("schedule", "interleaved" if int(filled.get("vpp", 1)) > 1 else "1f1b")
    for choice in choices:
        filled.setdefault(choice.name, choice.values[0])
    filled["recompute"] = registry.recompute(str(filled["recompute"])).name
    check_axes(degrees, choices, given)
    tuples = {degree.name: np.asarray([float(_positive(degree.name, filled[degree.name]))]) for degree in degrees}
    chosen = {choice.name: choice_values(context, choice, filled) for choice in choices}
    mesh = make_layouts(derive(context, tuples), chosen).at(np.asarray([0]))
    assumed = tuple(
        Assumption(name=axis, value=value, origin="not given") for axis, value in filled.items() if axis not in given
    )
    return mesh, assumed


def _positive(axis: str, value: int | str) -> int:
    if not isinstance(value, int) or value < 1:
        raise InputError(f"{axis} must be a whole number from 1 up, not {value!r}")
    return value


def _gpus(degrees: tuple[Degree, ...], filled: Mapping[str, int | str]) -> int:
    return prod(_positive(degree.name, filled[degree.name]) for degree in degrees if degree.multiplies_gpus)


def _check_count(degrees: tuple[Degree, ...], filled: Mapping[str, int | str], n_gpus: int | str | None) -> None:
    """A stated dp and a stated number of GPUs must agree. Raises InputError."""
    if n_gpus is None or "dp" not in filled:
        return
    product = _gpus(degrees, filled)
    if product != int(n_gpus):
        raise InputError(f"the degrees multiply to {product} GPUs, not to the {n_gpus} that were asked for")


def _remaining_dp(degrees: tuple[Degree, ...], filled: Mapping[str, int | str], n_gpus: int | str | None) -> int:
    if n_gpus is None:
        return 1
    product = _gpus(degrees, {**filled, "dp": 1})
    if int(n_gpus) % product:
        raise InputError(f"{n_gpus} GPUs are not a multiple of the {product} that the other degrees multiply to")
    return int(n_gpus) // product


def answer_estimate(
    registry: Registry,
    architecture: Architecture | None,
    params: float | None,
    accelerator: Accelerator | None,
    seq_len: int | None,
    micro_batch: int,
    tokens: float | None,
) -> dict[str, Any]:
    """Every rule of thumb that the given values are enough for."""
    known = _estimate_input(registry, architecture, params, accelerator, seq_len, micro_batch, tokens)
    if not 0 < known.params < float("inf"):
        raise InputError(f"the parameter count must be positive, not {known.params}")
    items = [
        {
            "name": item.name, "value": item.value, "unit": item.unit, "formula": item.formula, "source": item.source,
            "note": item.note,
        }
        for estimator in registry.estimators.values()
        for item in estimator.estimates(known)
    ]  # fmt: skip
    return {
        "schema": "planner.estimate/1",
        "params": known.params,
        "model": None if architecture is None else architecture.slug,
        "gpu": None if accelerator is None else accelerator.slug,
        "items": items,
    }


def _estimate_input(
    registry: Registry,
    architecture: Architecture | None,
    params: float | None,
    accelerator: Accelerator | None,
    seq_len: int | None,
    micro_batch: int,
    tokens: float | None,
) -> EstimateInput:
    memory = None if accelerator is None else float(accelerator.capacity_bytes)
    if architecture is None:
        assert params is not None  # the caller checks that one of the two is given
        return EstimateInput(
            params=params, gpu_memory_bytes=memory, seq_len=seq_len, micro_batch=micro_batch, tokens=tokens
        )
    total = float(assemble(architecture, registry.sublayers).total_params)
    length = seq_len or min(architecture.max_seq_len or 2048, 8192)
    return EstimateInput(
        params=total, gpu_memory_bytes=memory, layers=architecture.layers, hidden=architecture.hidden,
        heads=architecture.heads, seq_len=length, micro_batch=micro_batch, tokens=tokens,
    )  # fmt: skip


def _rule_of_thumb(registry: Registry, question: Question) -> dict[str, Any]:
    """The closed forms for the same model and GPU, to set beside the search's answer."""
    context = question.context
    document = answer_estimate(
        registry, context.architecture, None, context.cluster.accelerator, context.job.seq_len, 1, context.job.tokens
    )
    return {
        item["name"]: {"value": item["value"], "unit": item["unit"], "formula": item["formula"]}
        for item in document["items"]
    }
