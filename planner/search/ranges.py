"""Between which bounds a step time lies: the same sum with every uncertain rate at its least and at its best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from planner.domain.mesh import Array
from planner.plugin import Context
from planner.search.evaluation import Evaluation, step_elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Factors on what the middle prediction takes: arithmetic, memory and network rates, the share of communication that
    hides, the host's time per operator."""

    compute: float
    memory: float
    network: float
    overlap: float
    host: float


SLOWEST: Final = Rates(compute=0.88, memory=0.85, network=0.5, overlap=0.5, host=2.0)
FASTEST: Final = Rates(compute=1.14, memory=1.15, network=1.3, overlap=1.0, host=0.7)
"""Rates of arithmetic within an eighth, of memory within a sixth, networks from half (other jobs, small messages) to what no loss
would give, half or all of the overlap, the host from a fast one to one half as fast. So wide that four in five of the shipped
measured runs lie within, of those that no constant was fitted to as well: `planner validate` counts them, and a test holds them
to it."""


def step_time_range_s(evaluation: Evaluation) -> tuple[Array, Array]:
    """The shortest and the longest step [s] of every layout that was evaluated."""
    ends = (step_elsewhere(evaluation, at(evaluation.context, rates)).total_s for rates in (FASTEST, SLOWEST))
    shortest, longest = ends
    return shortest, longest


def at(context: Context, rates: Rates) -> Context:
    """The context on hardware whose rates are `rates` times the catalog's, under a framework that hides as much less."""
    accelerator, node, framework = context.cluster.accelerator, context.cluster.node, context.framework

    def scaled(bytes_per_s: float | None, factor: float) -> float | None:
        return None if bytes_per_s is None else bytes_per_s * factor

    faster = replace(
        accelerator,
        peak_flop_per_s={name: peak * rates.compute for name, peak in accelerator.peak_flop_per_s.items()},
        memory_bandwidth_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s * rates.memory,
        scaleup_bytes_per_s=scaled(accelerator.scaleup_bytes_per_s, rates.network),
        pcie_bytes_per_s=scaled(accelerator.pcie_bytes_per_s, rates.network),
    )
    wired = replace(node, network_bytes_per_s=scaled(node.network_bytes_per_s, rates.network))
    hidden = framework.overlaps
    less = replace(
        hidden,
        tensor=hidden.tensor * rates.overlap,
        input_gradients=hidden.input_gradients * rates.overlap,
        context=hidden.context * rates.overlap,
        expert=hidden.expert * rates.overlap,
        expert_inside=hidden.expert_inside * rates.overlap,
        pipeline=hidden.pipeline * rates.overlap,
        gradients=hidden.gradients * rates.overlap,
        parameters=hidden.parameters * rates.overlap,
    )
    slower = replace(framework, overlaps=less, host_s_per_operator=framework.host_s_per_operator * rates.host)
    known = context.cluster.measured
    measured = replace(
        known, all_reduce=_times(known.all_reduce, rates.network), gather=_times(known.gather, rates.network)
    )
    cluster = replace(context.cluster, accelerator=faster, node=wired, measured=measured)
    return replace(context, cluster=cluster, framework=slower)


def _times(table: tuple[tuple[int, float], ...], factor: float) -> tuple[tuple[int, float], ...]:
    return tuple((nodes, bytes_per_s * factor) for nodes, bytes_per_s in table)
