"""Step times of measured runs on accelerators whose rates are other than the catalog's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from planner.calibration.fit import ARITHMETIC_KNOTS, NETWORK_KNOTS, Array, Factors
from planner.domain.hardware import CALIBRATED, CALIBRATED_ARITHMETIC, CALIBRATED_NETWORK, Accelerator, Efficiency
from planner.domain.mesh import Layouts
from planner.plugin import Context
from planner.runs.evaluate import Group
from planner.search.evaluation import evaluate_mesh
from planner.search.network import network_of
from planner.search.rules import Rules


def uncalibrated(accelerator: Accelerator) -> Accelerator:
    """The accelerator without what earlier calibrations found."""
    kept = tuple(row for row in accelerator.efficiencies if row.metric not in CALIBRATED)
    return replace(accelerator, efficiencies=kept)


def step_times_s(group: Group, rules: Rules) -> Mapping[int, Array]:
    """The step time [s] of every run of `group` at `ARITHMETIC_KNOTS` x `NETWORK_KNOTS`, by its number in the file."""
    if not group:
        return {}
    context = group[0][1].context
    mesh = Layouts.join([asked.layouts for _, asked in group])
    # Within one node, or one scale-up domain, there is no network to be slow.
    networked = context.cluster.nodes > 1 and bool(np.any(mesh["n_gpus"] > network_of(context.cluster).domain))
    factors = NETWORK_KNOTS if networked else (1.0,)
    times = np.empty((len(ARITHMETIC_KNOTS), len(factors), len(group)))
    for row, arithmetic in enumerate(ARITHMETIC_KNOTS):
        for column, network in enumerate(factors):
            times[row, column] = _step_s(context, mesh, rules, Factors(arithmetic=arithmetic, network=network))
    times = np.broadcast_to(times, (len(ARITHMETIC_KNOTS), len(NETWORK_KNOTS), len(group)))
    return {index: times[:, :, position] for position, (index, _) in enumerate(group)}


def steps_at_s(group: Group, rules: Rules, factors: Factors) -> Mapping[int, float]:
    """The step time [s] of every run of `group` under `factors`, by its number in the file."""
    mesh = Layouts.join([asked.layouts for _, asked in group])
    times = _step_s(group[0][1].context, mesh, rules, factors).tolist()
    return {index: time for (index, _), time in zip(group, times, strict=True)}


def _step_s(context: Context, mesh: Layouts, rules: Rules, factors: Factors) -> Array:
    step = evaluate_mesh(_with(context, factors), mesh, rules).step.total_s
    return np.broadcast_to(step, mesh.shape).reshape(-1)


def _with(context: Context, factors: Factors) -> Context:
    accelerator = uncalibrated(context.cluster.accelerator)
    tried = ((CALIBRATED_ARITHMETIC, factors.arithmetic), (CALIBRATED_NETWORK, factors.network))
    rows = (Efficiency(metric=metric, format="all", fraction=factor, source="tried") for metric, factor in tried)
    accelerator = replace(accelerator, efficiencies=(*accelerator.efficiencies, *rows))
    return replace(context, cluster=replace(context.cluster, accelerator=accelerator))
