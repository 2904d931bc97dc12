"""Seconds of one step: compute and exposed communication per block, the pipeline, the synchronisation, the optimizer."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import (
    Block,
    Communication,
    Context,
    Linear,
    Phase,
    Recompute,
    Region,
    Schedule,
    StageTimes,
    Strategy,
    Value,
)
from planner.search.activations import runs_again
from planner.search.columns import StageColumn, over_stage
from planner.search.network import Traffic
from planner.search.operators import OperatorCost, Rates, block_costs
from planner.search.recomputing import share_of_model

COMMUNICATION_COMPONENTS = ("tp", "cp", "ep", "pp", "dp")
EXPOSED_COMPONENTS = (*COMMUNICATION_COMPONENTS, "other")
"""What may stick out of compute: collectives, and under `other` what travels between host and device."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """Seconds of communication that compute does not hide, by step-time component."""

    by_component: Mapping[str, Array]

    @property
    def total_s(self) -> Array:
        """The sum, in the fixed order of the components."""
        total: Array = np.zeros(1)
        for component in EXPOSED_COMPONENTS:
            if component in self.by_component:
                total = total + self.by_component[component]
        return total


@dataclass(frozen=True, slots=True)
class BlockTimes:
    """Seconds of one block and micro-batch."""

    forward_s: Array
    backward_s: Array
    recompute_s: Array
    weight_gradient_s: Array
    exposed: Mapping[Phase, Exposed]

    @property
    def whole_forward_s(self) -> Array:
        """Forward with what it cannot hide."""
        return self.forward_s + self.exposed[Phase.FORWARD].total_s

    @property
    def whole_backward_s(self) -> Array:
        """Backward with recomputation and what it cannot hide."""
        return self.backward_s + self.recompute_s + self.exposed[Phase.BACKWARD].total_s


def block_times(
    context: Context,
    layouts: Layouts,
    block: Block,
    strategies: Sequence[Strategy],
    recomputes: Sequence[Recompute],
    schedules: Mapping[str, Schedule],
    divisors: Mapping[Region, Array],
    rates: Rates,
    traffic: Traffic,
) -> BlockTimes:
    """Compute from the roofline, communication from the network, each hidden as far as the framework or schedule hides it."""
    costs = block_costs(context, layouts, block, divisors, rates, key_parts(context, layouts, strategies))
    forward, backward, weight_gradient = np.zeros(1), np.zeros(1), np.zeros(1)
    for cost in costs:
        forward = forward + cost.forward_s
        backward = backward + cost.backward_s
        weight_gradient = weight_gradient + cost.weight_gradient_s
    trained = context.local_elements(block, layouts, trainable_only=True)
    accumulated = sum(trained.values(), np.zeros(1))
    per_parameter_s = context.framework.accumulation_bytes_per_parameter / rates.memory_bytes_per_s
    backward = backward + accumulated * per_parameter_s
    # The host runs ahead of the device: it sets the pace only where the device would be done before the launches are.
    launch_s = launch_s_per_operator(context)
    experts = local_experts(layouts, block)
    in_forward_s, in_backward_s = launch_s_per_expert(context)
    forward = np.maximum(forward, launch_s * len(costs) + experts * in_forward_s)
    backward = np.maximum(backward, launch_s * len(costs) + experts * in_backward_s)
    again = np.zeros(1)
    if block.name not in ("embedding", "head"):
        share = share_of_model(context, layouts, recomputes)
        again = _recompute_s(layouts, costs, recomputes, launch_s, experts * in_forward_s) * share
    sent = communications(context, layouts, block, strategies)
    sent = [_hidden_by_schedule(communication, layouts, schedules) for communication in sent]
    slowdown = slowdown_of(context)
    exposed = {
        Phase.FORWARD: exposed_s(sent, Phase.FORWARD, forward, traffic, slowdown),
        Phase.BACKWARD: exposed_s(sent, Phase.BACKWARD, backward + again, traffic, slowdown),
    }
    if block.name not in ("embedding", "head"):
        exposed[Phase.BACKWARD] = _sent_again(layouts, recomputes, share, exposed)
    return BlockTimes(forward, backward, again, weight_gradient, exposed)


def key_parts(context: Context, layouts: Layouts, strategies: Sequence[Strategy]) -> Array:
    """In how many parts, one kernel each, attention sees the keys: the product of what the strategies divide them into."""
    parts: Array = np.ones(1)
    for strategy in strategies:
        if strategy.key_parts is not None:
            parts = parts * np.asarray(strategy.key_parts(context, layouts), dtype=np.float64)
    return parts


def communications(
    context: Context, layouts: Layouts, block: Block, strategies: Sequence[Strategy]
) -> list[Communication]:
    """What strategies send for a block in every micro-batch; what they send once a step is no part of it, or of other phases."""
    return [
        communication
        for strategy in strategies
        if strategy.communications is not None
        for communication in strategy.communications(context, layouts, block)
    ]


def synchronisations(
    context: Context, layouts: Layouts, block: Block, strategies: Sequence[Strategy]
) -> list[Communication]:
    """What strategies send for a block once a step."""
    asked = [strategy.synchronisations or strategy.communications for strategy in strategies]
    return [communication for each in asked if each is not None for communication in each(context, layouts, block)]


def launch_s_per_operator(context: Context) -> float:
    """What the host needs to launch an operator; nothing where a compiler makes one program of the whole step (XLA on TPUs)."""
    return 0.0 if context.cluster.accelerator.vendor == "google" else context.framework.host_s_per_operator


def launch_s_per_expert(context: Context) -> tuple[float, float]:
    """What the host needs for each expert that a rank holds beside `launch_s_per_operator`, forward and backward."""
    per_expert = context.framework.host_s_per_expert
    return (0.0, 0.0) if per_expert is None or context.cluster.accelerator.vendor == "google" else per_expert(context)


def local_experts(layouts: Layouts, block: Block) -> Array:
    """How many experts of `block` a rank holds; none where it has no routed ones."""
    experts = max((operator.experts for operator in block.operators if isinstance(operator, Linear)), default=1)
    return experts / layouts.degree("ep") if experts > 1 else np.zeros(1)


def slowdown_of(context: Context) -> float:
    """What compute loses while it hides communication: on GPUs, whose collectives are kernels; TPUs have engines for them."""
    return 0.0 if context.cluster.accelerator.vendor == "google" else context.framework.overlaps.slowdown


def _sent_again(
    layouts: Layouts, recomputes: Sequence[Recompute], share: Array, exposed: Mapping[Phase, Exposed]
) -> Exposed:
    """A layer that runs again as a whole also repeats its forward's collectives (gathering weights is the backward's own)."""
    whole = share * layouts.choose("recompute", [float(recompute.whole_layer) for recompute in recomputes])
    found = dict(exposed[Phase.BACKWARD].by_component)
    for component, took in exposed[Phase.FORWARD].by_component.items():
        if component != "dp":
            found[component] = found.get(component, np.zeros(1)) + whole * took
    return Exposed(found)


def _recompute_s(
    layouts: Layouts,
    costs: Sequence[OperatorCost],
    recomputes: Sequence[Recompute],
    host_s_per_operator: float,
    host_s_of_experts: Array,
) -> Array:
    """Of what runs again, the device's time or the host's for launching it, whichever is more."""
    total: Array = np.zeros(1)
    counts, experts = [0.0] * len(recomputes), [0.0] * len(recomputes)
    for cost in costs:
        weights = [float(runs_again(cost.operator, recompute)) for recompute in recomputes]
        counts = [count + weight for count, weight in zip(counts, weights, strict=True)]
        if isinstance(cost.operator, Linear) and cost.operator.experts > 1:
            experts = [max(some, weight) for some, weight in zip(experts, weights, strict=True)]
        total = total + layouts.choose("recompute", weights) * cost.forward_s
    launches_s = layouts.choose("recompute", counts) * host_s_per_operator
    return np.maximum(total, launches_s + layouts.choose("recompute", experts) * host_s_of_experts)


def _hidden_by_schedule(
    communication: Communication, layouts: Layouts, schedules: Mapping[str, Schedule]
) -> Communication:
    """The experts' all-to-all hides as far as the schedule lets it, if that is further than the framework does."""
    overlaps = [schedule.expert_overlap for schedule in schedules.values()]
    if communication.component != "ep" or not any(overlaps):
        return communication
    return replace(communication, overlap=np.maximum(communication.overlap, layouts.choose("schedule", overlaps)))


def exposed_s(
    sent: Sequence[Communication], phase: Phase, window_s: Array, traffic: Traffic, slowdown: float = 0.0
) -> Exposed:
    """What the phase's communication adds to `window_s` of compute; each hides in what the ones before it left."""
    left = window_s
    found: dict[str, Array] = {}
    for communication in sent:
        took = traffic.all_s(communication) if communication.phase is phase else None
        if took is None:
            continue
        gained = gained_s(took * communication.overlap, left, slowdown)
        left = left - gained
        found[communication.component] = found.get(communication.component, np.zeros(1)) + (took - gained)
    return Exposed(found)


def gained_s(hidden_s: Array, window_s: Array, slowdown: float) -> Array:
    """The seconds that running communication of `hidden_s` beside `window_s` of compute saves over one after the other. Compute
    loses the share `slowdown` of the time that it shares, so that it lasts longer and hides more."""
    return np.minimum(hidden_s * (1.0 - slowdown), window_s)


def _total_s(sent: Sequence[Communication], phase: Phase, traffic: Traffic) -> Array:
    total: Array = np.zeros(1)
    for communication in sent:
        took = traffic.all_s(communication) if communication.phase is phase else None
        if took is not None:
            total = total + took
    return total


def over_model(counts: Sequence[int], blocks: Sequence[Value]) -> Array:
    """The sum over the whole model of one value per block."""
    total: Array = np.asarray(blocks[0], dtype=np.float64)
    for count, value in zip(counts, blocks[1:-1], strict=True):
        total = total + count * value
    return total + blocks[-1]


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of one step by component (DESIGN section 6), of the slowest stage; they sum to `total_s`."""

    components: Mapping[str, Array]
    total_s: Array


def _stage_quantities(times: Sequence[BlockTimes]) -> dict[str, list[Array]]:
    """Per quantity of a micro-batch, one value per block; of the exposed components those that some block has."""
    quantities: dict[str, list[Array]] = {
        "forward": [block.forward_s for block in times],
        "backward": [block.backward_s for block in times],
        "recompute": [block.recompute_s for block in times],
        "weight_gradient": [block.weight_gradient_s for block in times],
        "whole_forward": [block.whole_forward_s for block in times],
    }
    for component in EXPOSED_COMPONENTS:
        if any(component in exposed.by_component for block in times for exposed in block.exposed.values()):
            quantities[component] = [
                sum((each.by_component.get(component, np.zeros(1)) for each in block.exposed.values()), np.zeros(1))
                for block in times
            ]
    return quantities


def _slowest_stage(columns: Sequence[StageColumn], times: Sequence[BlockTimes]) -> tuple[Array, StageColumn]:
    """Seconds of forward and backward on the stage where they take longest, and what that stage holds; of equals the first."""
    both = [block.whole_forward_s + block.whole_backward_s for block in times]
    slowest, *others = columns  # every program has at least one stage
    slowest_s = over_stage(slowest, both)
    for column in others:
        both_s = over_stage(column, both)
        slowest = column.where(both_s > slowest_s, slowest)
        slowest_s = np.maximum(both_s, slowest_s)
    return slowest_s, slowest


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Seconds of one micro-batch on the slowest stage, by quantity (compute, recomputation, each exposed collective), and what a
    schedule's bubble is made of. A component that no block exposes is left out."""

    slowest: Mapping[str, Array]
    stage: StageTimes


def micro_batch_times(context: Context, columns: Sequence[StageColumn], times: Sequence[BlockTimes]) -> MicroBatch:
    """What one micro-batch takes, whatever the number of them."""
    slowest_s, column = _slowest_stage(columns, times)
    slowest = {name: over_stage(column, per_block) for name, per_block in _stage_quantities(times).items()}
    counts = context.program.counts()
    stage = StageTimes(
        slowest_forward_s=slowest["whole_forward"],
        slowest_backward_s=slowest_s - slowest["whole_forward"],
        total_forward_s=over_model(counts, [block.whole_forward_s for block in times]),
        total_backward_s=over_model(counts, [block.whole_backward_s for block in times]),
        weight_gradient_s=slowest["weight_gradient"],
    )
    return MicroBatch(slowest, stage)


def step_times(
    context: Context,
    layouts: Layouts,
    micro_batch: MicroBatch,
    syncs: Mapping[Phase, Sync],
    schedules: Mapping[str, Schedule],
    strategies: Sequence[Strategy],
    traffic: Traffic,
    optimizer_s: Array,
) -> StepTimes:
    """m micro-batches on the slowest stage, the bubble, pipeline hops, exposed synchronisation and the optimizer."""
    m, pp = layouts["micro_batches"], layouts["pp"]
    slowest, stage = micro_batch.slowest, micro_batch.stage
    bubble: Array = np.zeros(1)
    for name, schedule in schedules.items():
        bubble = bubble + np.where(layouts.equals("schedule", name), schedule.bubble_s(context, layouts, stage), 0.0)
    components: dict[str, Array] = {
        "forward": m * slowest["forward"],
        "backward": m * slowest["backward"],
        "recompute": m * slowest["recompute"],
    }
    for component in EXPOSED_COMPONENTS:
        components[component] = m * slowest[component] if component in slowest else np.zeros(1)
    components["pp"] = components["pp"] + _hops_s(context, layouts, strategies, traffic, m, pp)
    chunks = layouts.degree("vpp")
    behind = 1.0 + (chunks - 1.0) * np.minimum(m, pp)
    components["dp"] = components["dp"] + _exposed_sync_s(context, syncs, stage, behind / chunks)
    components["bubble"] = np.where(pp > 1, np.maximum(bubble, 0.0), 0.0)
    components["optimizer"] = optimizer_s
    total: Array = np.zeros(1)
    for value in components.values():
        total = total + value
    return StepTimes(components, total)


def _hops_s(
    context: Context, layouts: Layouts, strategies: Sequence[Strategy], traffic: Traffic, m: Array, pp: Array
) -> Array:
    """Filling and draining the pipeline crosses each boundary in the open; in the steady state hops hide behind compute."""
    total: Array = np.zeros(1)
    for strategy in strategies:
        if strategy.boundary_communications is None:
            continue
        for hop in strategy.boundary_communications(context, layouts):
            if not np.any(hop.events):
                continue
            took = np.where(np.asarray(hop.events) > 0, traffic.seconds(hop), 0.0)
            total = total + took * (pp - 1) + m * hop.events * took * (1.0 - np.asarray(hop.overlap))
    return np.where(pp > 1, total, 0.0)


SYNC_PHASES = (Phase.GRADIENT_SYNC, Phase.PARAMETER_SYNC)


def block_syncs(
    context: Context, layouts: Layouts, block: Block, strategies: Sequence[Strategy], traffic: Traffic
) -> Mapping[Phase, Array]:
    """Seconds of synchronising one block's gradients and weights once a step."""
    sent = synchronisations(context, layouts, block, strategies)
    return {phase: _total_s(sent, phase, traffic) for phase in SYNC_PHASES}


@dataclass(frozen=True, slots=True)
class Sync:
    """Seconds of a synchronisation once a step: of all that a stage holds, and of its first block alone, whose gradients come last
    and whose weights are wanted first: nothing is left to hide that behind."""

    total_s: Array
    edge_s: Array


def synchronisation_s(columns: Sequence[StageColumn], blocks: Sequence[Mapping[Phase, Array]]) -> Mapping[Phase, Sync]:
    """What synchronising gradients and weights takes once a step, on the stage that has most of it."""
    found: dict[Phase, Sync] = {}
    for phase in SYNC_PHASES:
        took, edge = np.zeros(1), np.zeros(1)
        embedding, *layers, _head = (block[phase] for block in blocks)
        for column in columns:
            took = np.maximum(took, over_stage(column, [block[phase] for block in blocks]))
            edge = np.maximum(edge, np.where(column.embedding > 0, embedding, functools.reduce(np.minimum, layers)))
        found[phase] = Sync(took, np.minimum(edge, took))
    return found


def _exposed_sync_s(context: Context, syncs: Mapping[Phase, Sync], stage: StageTimes, micro_batches: Array) -> Array:
    """Gradient reduction may hide behind the last micro-batch's backward, gathering weights behind the first forward.

    `micro_batches` is how many of a stage lie between the end of its first chunk and of its last: one, or with v chunks
    (1 + (v − 1)·p)/v, as p micro-batches pass each chunk before the next one's turn (arXiv 2104.04473, figure 4).
    """
    overlaps = context.framework.overlaps
    windows = {
        Phase.GRADIENT_SYNC: (stage.slowest_backward_s, overlaps.gradients * overlaps.once_a_step),
        Phase.PARAMETER_SYNC: (stage.slowest_forward_s, overlaps.parameters * overlaps.once_a_step),
    }
    total: Array = np.zeros(1)
    for phase in SYNC_PHASES:
        window, overlap = windows[phase]
        sync = syncs[phase]
        gained = gained_s((sync.total_s - sync.edge_s) * overlap, window * micro_batches, slowdown_of(context))
        total = total + sync.total_s - gained
    return total


def hardware_flops_factor(recomputes: Sequence[Recompute], block: Block, seq_len: int) -> Iterator[float]:
    """Per recompute, the forward FLOPs per token of `block` that run again."""
    for recompute in recomputes:
        again = tuple(operator for operator in block.operators if runs_again(operator, recompute))
        yield Block(name=block.name, input=block.input, operators=again, parameters=()).flops_per_token(seq_len)
