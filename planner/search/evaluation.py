"""The sum: everything plugins contribute, for every layout of a mesh at once; one layout is a mesh of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from planner.domain.mesh import Array, Layouts, Mask
from planner.plugin import Context, Framework, Offload, Phase, Recompute, Refusal, Schedule, Strategy
from planner.search.factoring import Factoring
from planner.search.memory import (
    MemoryParts,
    fullest_host_bytes,
    mean_saved,
    memory_parts,
    parameter_copies,
    peak_bytes,
    placed_columns,
    region_divisors,
    timed_columns,
)
from planner.search.network import Traffic, network_of
from planner.search.offloading import Moved, host_step_s, with_host_traffic
from planner.search.operators import Rates, rates_of
from planner.search.stages import StageColumn, stage_columns
from planner.search.timing import (
    BlockTimes,
    MicroBatch,
    StepTimes,
    block_syncs,
    block_times,
    micro_batch_times,
    over_stage,
    step_times,
    synchronisation_s,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The plugins that an evaluation sums over, in their fixed order."""

    strategies: tuple[Strategy, ...]
    schedules: Mapping[str, Schedule]
    recomputes: Mapping[str, Recompute]
    offloads: Mapping[str, Offload] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Memory and time of every layout of a mesh, with the parts they were summed from."""

    context: Context
    layouts: Layouts
    columns: tuple[StageColumn, ...]
    memory: MemoryParts
    peak_bytes: Array
    host_bytes: Array
    step: StepTimes
    rules: Rules

    @property
    def blocks(self) -> tuple[BlockTimes, ...]:
        """Seconds of every block and micro-batch."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return all_block_times(self.context, self.layouts, self.rules)


def mesh_recomputes(layouts: Layouts, rules: Rules) -> tuple[Recompute, ...]:
    """The recomputes that the mesh's choice axis offers, in its order."""
    return tuple(rules.recomputes[str(value)] for value in layouts.values["recompute"])


def mesh_schedules(layouts: Layouts, rules: Rules) -> dict[str, Schedule]:
    """The schedules that the mesh's choice axis offers, in its order."""
    return {str(value): rules.schedules[str(value)] for value in layouts.values["schedule"]}


def mesh_offloads(layouts: Layouts, rules: Rules) -> tuple[Offload, ...]:
    """The offloads that the mesh's choice axis offers, in its order; none where no plugin brings any."""
    return tuple(
        rules.offloads[str(value)] for value in layouts.values.get("offload", ()) if str(value) in rules.offloads
    )


def evaluate_mesh(context: Context, layouts: Layouts, rules: Rules) -> Evaluation:
    """Peak bytes and step seconds of every layout, refused ones included (their numbers mean nothing)."""
    return evaluate_factored(context, Factoring(layouts), rules)


def evaluate_factored(context: Context, factoring: Factoring, rules: Rules) -> Evaluation:
    """`evaluate_mesh` of a mesh whose terms may already be known."""
    layouts = factoring.layouts
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        recomputes = mesh_recomputes(layouts, rules)
        schedules, offloads = mesh_schedules(layouts, rules), mesh_offloads(layouts, rules)
        columns = factoring.term(
            "stages", lambda mesh: placed_columns(mesh, schedules, stage_columns(context.program, mesh))
        )
        memory = memory_parts(context, factoring, rules.strategies, recomputes, schedules, offloads, columns)
        optimizer_s = _optimizer_s(memory, columns, rates_of(context))
        if memory.moved is not None:
            hosts = host_step_s(context, layouts, memory.moved, columns, memory.whole_states)
            optimizer_s = np.where(memory.moved.optimizer, hosts, optimizer_s)
        micro = factoring.term("micro-batch", lambda mesh: _micro_batch(context, mesh, rules))
        syncs = factoring.term("synchronisation", lambda mesh: _synchronisation(context, mesh, rules))
        traffic = Traffic(layouts, network_of(context.cluster))
        step = step_times(context, layouts, micro, syncs, schedules, rules.strategies, traffic, optimizer_s)
        peak, host = peak_bytes(context, memory, columns), fullest_host_bytes(memory, columns)
    return Evaluation(context, layouts, columns, memory, peak, host, step, rules)


def all_block_times(context: Context, layouts: Layouts, rules: Rules) -> tuple[BlockTimes, ...]:
    """Seconds of every block and micro-batch, with what it sends to its host and gets from there."""
    recomputes, schedules = mesh_recomputes(layouts, rules), mesh_schedules(layouts, rules)
    divisors = region_divisors(context, layouts, rules.strategies)
    rates, traffic = rates_of(context), Traffic(layouts, network_of(context.cluster))
    blocks = tuple(
        block_times(context, layouts, block, rules.strategies, recomputes, schedules, divisors, rates, traffic)
        for block in context.program.blocks
    )
    offloads = mesh_offloads(layouts, rules)
    if Moved.of(context, layouts, offloads) is None:
        return blocks
    columns = placed_columns(layouts, schedules, stage_columns(context.program, layouts))
    memory = memory_parts(context, Factoring(layouts), rules.strategies, recomputes, schedules, offloads, columns)
    return tuple(_with_host_traffic(context, layouts, memory, blocks))


def _timed_columns(context: Context, layouts: Layouts, rules: Rules) -> tuple[StageColumn, ...]:
    schedules = mesh_schedules(layouts, rules)
    columns = placed_columns(layouts, schedules, stage_columns(context.program, layouts))
    return timed_columns(layouts, schedules, columns)


def _micro_batch(context: Context, layouts: Layouts, rules: Rules) -> MicroBatch:
    factoring = Factoring(layouts)
    blocks = factoring.term("blocks", lambda mesh: all_block_times(context, mesh, rules))
    return micro_batch_times(context, _timed_columns(context, layouts, rules), blocks)


def _synchronisation(context: Context, layouts: Layouts, rules: Rules) -> Mapping[Phase, Array]:
    """A device that keeps its parameters several times synchronises each copy."""
    traffic = Traffic(layouts, network_of(context.cluster))
    copies = parameter_copies(layouts, mesh_schedules(layouts, rules))
    blocks = [block_syncs(context, layouts, block, rules.strategies, traffic) for block in context.program.blocks]
    every = [{phase: took * copies for phase, took in syncs.items()} for syncs in blocks]
    return synchronisation_s(_timed_columns(context, layouts, rules), every)


def host_capacity_bytes(context: Context, layouts: Layouts) -> Array:
    """The share of its node's memory that a rank may use; unbounded where the catalog does not know the node's."""
    node = context.cluster.node
    ranks = np.minimum(layouts["n_gpus"], node.accelerators_per_node)
    return np.full_like(ranks, np.inf) if node.host_memory_bytes is None else node.host_memory_bytes / ranks


def _with_host_traffic(
    context: Context, layouts: Layouts, memory: MemoryParts, blocks: Sequence[BlockTimes]
) -> Iterator[BlockTimes]:
    """Every block's times with its traffic between host and device; embedding and head save nothing that moves."""
    nothing = np.zeros(1)
    saved = (nothing, *mean_saved(context, layouts, memory), nothing)
    assert memory.moved is not None  # asked only where something moves
    for times, states, layer in zip(blocks, memory.whole_states, saved, strict=True):
        yield with_host_traffic(context, times, memory.moved, states, layer)


def _optimizer_s(memory: MemoryParts, columns: Sequence[StageColumn], rates: Rates) -> Array:
    """The step is memory traffic: gradients, weights and states of the fullest stage over the memory's bandwidth."""
    slowest: Array = np.zeros(1)
    for column in columns:
        moved = over_stage(column, [block.step_bytes for block in memory.states])
        slowest = np.maximum(slowest, moved)
    return slowest / rates.memory_bytes_per_s


def refusals(context: Context, layouts: Layouts, rules: Rules) -> list[Refusal]:
    """Every reason in its documented order: strategies by plugin, then schedules, offloads, the cluster."""
    found: list[Refusal] = []
    for strategy in rules.strategies:
        if strategy.refusals is not None:
            found.extend(strategy.refusals(context, layouts))
    for name, schedule in rules.schedules.items():
        if schedule.refusals is not None:
            for refusal in schedule.refusals(context, layouts):
                found.append(Refusal(reason=refusal.reason, where=layouts.equals("schedule", name) & refusal.where))
    for name, offload in rules.offloads.items():
        for refusal in _offload_refusals(context, layouts, offload):
            found.append(Refusal(reason=refusal.reason, where=layouts.equals("offload", name) & refusal.where))
    found.extend(_cluster_refusals(context, layouts))
    return found


def offloads(framework: Framework, offload: Offload) -> bool:
    """Whether `framework` can keep in the host's memory what `offload` moves there."""
    return offload.states <= framework.offloads_states and (framework.offloads_activations or not offload.activations)


def _offload_refusals(context: Context, layouts: Layouts, offload: Offload) -> Iterator[Refusal]:
    able = offloads(context.framework, offload)
    yield Refusal(reason=f"{context.framework.name} does not offload {offload.name}", where=np.asarray([not able]))
    if offload.refusals is not None:
        yield from offload.refusals(context, layouts)


def _cluster_refusals(context: Context, layouts: Layouts) -> list[Refusal]:
    """Jobs of several nodes take whole nodes; a job inside one node divides it."""
    per_node = context.cluster.node.accelerators_per_node
    n_gpus = layouts["n_gpus"]
    partial = (n_gpus > per_node) & (np.mod(n_gpus, per_node) != 0)
    found = [Refusal(reason="not a whole number of nodes", where=partial)]
    found.append(Refusal(reason="more GPUs than the cluster has", where=n_gpus > context.cluster.accelerators))
    if context.cluster.node.network_bytes_per_s is None:
        unreachable = n_gpus > max(per_node, context.cluster.node.scaleup_domain)
        found.append(Refusal(reason="more than one node without a known network", where=unreachable))
    return found


def refused(context: Context, layouts: Layouts, rules: Rules) -> tuple[Mask, dict[str, int]]:
    """Where any reason applies, and how many layouts each reason is the first for.

    The mask broadcasts to the mesh: it has the axes that some reason depends on.
    """
    forbidden, where = first_refusals(context, layouts, rules)
    size = int(np.prod(layouts.shape))
    return forbidden, {reason: int(np.count_nonzero(fresh)) * (size // fresh.size) for reason, fresh in where.items()}


def first_refusals(context: Context, layouts: Layouts, rules: Rules) -> tuple[Mask, dict[str, Mask]]:
    """Where any reason applies, and where each reason that refuses a layout is the first to; masks broadcast to the mesh."""
    allowed = np.ones((1,) * len(layouts.shape), dtype=np.bool_)
    found: dict[str, Mask] = {}
    for refusal in refusals(context, layouts, rules):
        fresh = allowed & refusal.where
        if fresh.any():
            found[refusal.reason] = found[refusal.reason] | fresh if refusal.reason in found else fresh
            allowed = allowed & np.logical_not(refusal.where)
    return ~allowed, found
