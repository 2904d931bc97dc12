"""From layouts of a mesh to `Plan`s: every reported layout is evaluated again, in float64, as `evaluate` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, ChoiceValue, Layouts
from planner.domain.plan import LAYOUT_FIELDS, MEMORY_COMPONENTS, TIME_COMPONENTS, Memory, Plan
from planner.plugin import Context, Instant
from planner.search.evaluation import Evaluation, evaluate_mesh, host_capacity_bytes
from planner.search.measures import Measures, measures
from planner.search.memory import stage_instants
from planner.search.overheads import uncertain_total
from planner.search.recomputing import RECOMPUTE_LAYERS
from planner.search.rules import Rules
from planner.search.run_figures import energy_use, expected_run, value_at
from planner.search.space import usual_values
from planner.units import TERA

REPORTED_INSTANT: Final[Mapping[Instant, str]] = {
    Instant.FORWARD: "fwd",
    Instant.LOSS: "bwd",
    Instant.BACKWARD: "bwd",
    Instant.LAST_BACKWARD: "bwd",
    Instant.EMBEDDING: "bwd",
    Instant.OPTIMIZER: "opt",
}

MEANT_WITH: Final[Mapping[str, str]] = {"cp_kind": "cp"}
"""Choices that mean nothing where a degree is 1."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Where each layout's memory peaks: bytes by component, stage index and instant, arrays of shape (N,)."""

    total: Array
    components: Mapping[str, Array]
    stage: Array
    instant: NDArray[np.intp]


INSTANTS: Final = tuple(Instant)


def plans_of(context: Context, layouts: Layouts, rules: Rules, headroom: float) -> tuple[Plan, ...]:
    """One plan per layout of a flat mesh (`Layouts.at`); `headroom` is the fraction of memory to keep free."""
    return plans_from(evaluate_mesh(context, layouts, rules), headroom)


def plans_from(evaluation: Evaluation, headroom: float) -> tuple[Plan, ...]:
    """`plans_of` layouts that are evaluated already."""
    context, layouts, rules = evaluation.context, evaluation.layouts, evaluation.rules
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        peak = peak_of(evaluation)
        found = measures(context, layouts, rules, evaluation.step.total_s, evaluation.step.components)
    usual = usual_values(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes))
    number = len(next(iter(layouts.degrees.values())))
    return tuple(_plan(context, evaluation, peak, found, headroom, row, usual) for row in range(number))


def peak_of(evaluation: Evaluation) -> Peak:
    """The fullest stage at its fullest instant, of every layout of a flat mesh."""
    shape = evaluation.layouts.shape
    total = np.full(shape, -1.0)
    components = {name: np.zeros(shape) for name in MEMORY_COMPONENTS}
    stage, when = np.zeros(shape), np.zeros(shape, dtype=np.intp)
    for column, instant, parts, candidate in stage_instants(evaluation.context, evaluation.memory, evaluation.columns):
        fuller = candidate > total
        total = np.where(fuller, candidate, total)
        stage = np.where(fuller, column.index, stage)
        when = np.where(fuller, INSTANTS.index(instant), when)
        components = {name: np.where(fuller, parts[name], value) for name, value in components.items()}
    return Peak(total, components, stage, when)


def reported_instant(peak: Peak, row: int) -> str:
    """The phase of a step in which layout `row` peaks."""
    return REPORTED_INSTANT[INSTANTS[int(peak.instant[row])]]


def _plan(
    context: Context,
    evaluation: Evaluation,
    peak: Peak,
    found: Measures,
    headroom: float,
    row: int,
    usual: Mapping[str, ChoiceValue],
) -> Plan:
    def at(array: Array) -> float:
        return value_at(array, row)

    capacity = float(context.cluster.accelerator.memory_bytes)
    n_gpus = int(at(evaluation.layouts["n_gpus"]))
    total = at(peak.total)
    least, most = uncertain_total(context, at(evaluation.memory.communicators), total)
    host = at(host_capacity_bytes(context, evaluation.layouts))
    return Plan(
        n_gpus=n_gpus,
        layout=layout_labels(context, evaluation.layouts, usual, row),
        memory=Memory(
            total_bytes=total,
            least_bytes=least,
            most_bytes=most,
            capacity_bytes=capacity,
            headroom_bytes=headroom * capacity,
            stage=int(at(peak.stage)),
            when=reported_instant(peak, row),
            components={name: at(peak.components[name]) for name in MEMORY_COMPONENTS},
            host_bytes=at(evaluation.host_bytes),
            host_capacity_bytes=None if np.isinf(host) else host,
        ),
        step_time_s=at(evaluation.step.total_s),
        step_time_components_s={name: at(evaluation.step.components[name]) for name in TIME_COMPONENTS},
        mfu=at(found.mfu),
        hfu=at(found.hfu),
        tokens_per_s=at(found.tokens_per_s),
        tokens_per_s_per_gpu=at(found.tokens_per_s) / n_gpus,
        duration_s=at(found.duration_s),
        cost_usd=None if found.cost_usd is None else at(found.cost_usd),
        energy_kwh=None if found.energy is None else at(found.energy.facility_kwh),
        energy=energy_use(context, found, row),
        expected=expected_run(context, found, row),
        model_tflops_per_gpu=at(found.model_flops_per_s_per_gpu) / TERA,
    )


def layout_labels(context: Context, layouts: Layouts, usual: Mapping[str, ChoiceValue], row: int = 0) -> dict[str, Any]:
    """The contract's layout fields, a number of layers that is not 1, any choice that is not at its `usual` value: of layout `row`
    of a flat mesh."""
    labels: dict[str, Any] = layouts.labels(row)
    labels["framework"] = context.framework.name
    found = {name: labels.get(name, 1) for name in LAYOUT_FIELDS}
    found["sequence_parallel"] = bool(found["sequence_parallel"])
    if int(labels.get(RECOMPUTE_LAYERS, 1)) > 1:
        found[RECOMPUTE_LAYERS] = labels[RECOMPUTE_LAYERS]
    for axis in layouts.values:
        degree = MEANT_WITH.get(axis)
        if axis not in found and labels[axis] != usual.get(axis) and (degree is None or labels.get(degree, 1) != 1):
            found[axis] = labels[axis]
    return found
