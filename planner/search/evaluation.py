"""The sum: everything plugins contribute, for every layout of a mesh at once; one layout is a mesh of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import (
    Block,
    Context,
    Phase,
    Recompute,
    Schedule,
)
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
from planner.search.operators import rates_of
from planner.search.rules import Rules, mesh_offloads, mesh_recomputes, mesh_schedules
from planner.search.stages import StageColumn, stage_columns
from planner.search.timing import (
    BlockTimes,
    MicroBatch,
    StepTimes,
    Sync,
    block_syncs,
    block_times,
    micro_batch_times,
    over_stage,
    step_times,
    synchronisation_s,
)


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
            traffic = Traffic(self.layouts, network_of(self.context.cluster))
            return all_block_times(self.context, Factoring(self.layouts), self.rules, traffic)


def evaluate_mesh(context: Context, layouts: Layouts, rules: Rules) -> Evaluation:
    """Peak bytes and step seconds of every layout, refused ones included (their numbers mean nothing)."""
    return evaluate_factored(context, Factoring(layouts), rules)


def evaluate_factored(context: Context, factoring: Factoring, rules: Rules) -> Evaluation:
    """`evaluate_mesh` of a mesh whose terms may already be known."""
    layouts, held = factoring.layouts, held_bytes(context, factoring, rules)
    step = step_of(context, factoring, rules, optimizer_s(context, layouts, held))
    return Evaluation(context, layouts, held.columns, held.memory, held.peak_bytes, held.host_bytes, step, rules)


def step_elsewhere(evaluation: Evaluation, context: Context) -> StepTimes:
    """The step of the same layouts in a `context` that differs in rates and overlaps alone, which no bytes depend on."""
    layouts = evaluation.layouts
    held = Held(evaluation.columns, evaluation.memory, evaluation.peak_bytes, evaluation.host_bytes)
    return step_of(context, Factoring(layouts), evaluation.rules, optimizer_s(context, layouts, held))


@dataclass(frozen=True, slots=True)
class Held:
    """What every layout of a mesh holds on the fullest rank and in its host's memory, with the parts it was summed from."""

    columns: tuple[StageColumn, ...]
    memory: MemoryParts
    peak_bytes: Array
    host_bytes: Array


def held_bytes(context: Context, factoring: Factoring, rules: Rules) -> Held:
    """The memory half of an evaluation."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        columns = factoring.term("stages", lambda mesh: _placed_columns(context, mesh, rules))
        memory = _memory(context, factoring, rules, columns)
        return Held(columns, memory, peak_bytes(context, memory, columns), fullest_host_bytes(memory, columns))


def step_of(context: Context, factoring: Factoring, rules: Rules, updating_s: Array) -> StepTimes:
    """The time half of an evaluation; `updating_s` is what the optimizer takes."""
    layouts = factoring.layouts
    traffic = Traffic(layouts, network_of(context.cluster))
    schedules = mesh_schedules(layouts, rules)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        micro = factoring.term("micro-batch", lambda mesh: _micro_batch(context, factoring.of(mesh), rules, traffic))
        syncs = factoring.term(
            "synchronisation", lambda mesh: _synchronisation(context, factoring.of(mesh), rules, traffic)
        )
        return step_times(context, layouts, micro, syncs, schedules, rules.strategies, traffic, updating_s)


def all_block_times(context: Context, factoring: Factoring, rules: Rules, traffic: Traffic) -> tuple[BlockTimes, ...]:
    """Seconds of every block and micro-batch, with what it sends to its host and gets from there."""
    layouts = factoring.layouts
    recomputes, schedules = mesh_recomputes(layouts, rules), mesh_schedules(layouts, rules)
    rates = rates_of(context)

    def timed(block: Block) -> BlockTimes:
        def times(mesh: Layouts) -> BlockTimes:
            divisors = region_divisors(context, mesh, rules.strategies)
            return block_times(
                context, mesh, block, rules.strategies, recomputes, schedules, divisors, rates, traffic.over(mesh)
            )

        return factoring.term(f"times of {block.name}", times)

    blocks = tuple(timed(block) for block in context.program.blocks)
    if Moved.of(context, layouts, mesh_offloads(layouts, rules)) is None:
        return blocks
    memory = _memory(context, factoring, rules, _placed_columns(context, layouts, rules))
    return tuple(_with_host_traffic(context, layouts, memory, blocks))


def _memory(context: Context, factoring: Factoring, rules: Rules, columns: Sequence[StageColumn]) -> MemoryParts:
    def recomputes_of(mesh: Layouts) -> tuple[Recompute, ...]:
        return mesh_recomputes(mesh, rules)

    def schedules_of(mesh: Layouts) -> Mapping[str, Schedule]:
        return mesh_schedules(mesh, rules)

    offloads = mesh_offloads(factoring.layouts, rules)
    return memory_parts(context, factoring, rules.strategies, recomputes_of, schedules_of, offloads, columns)


def _placed_columns(context: Context, layouts: Layouts, rules: Rules) -> tuple[StageColumn, ...]:
    return placed_columns(layouts, mesh_schedules(layouts, rules), stage_columns(context, layouts))


def _timed_columns(context: Context, layouts: Layouts, rules: Rules) -> tuple[StageColumn, ...]:
    return timed_columns(layouts, mesh_schedules(layouts, rules), _placed_columns(context, layouts, rules))


def _micro_batch(context: Context, factoring: Factoring, rules: Rules, traffic: Traffic) -> MicroBatch:
    blocks = all_block_times(context, factoring, rules, traffic)
    columns = factoring.term("timed stages", lambda mesh: _timed_columns(context, mesh, rules))
    return micro_batch_times(context, columns, blocks)


def _synchronisation(context: Context, factoring: Factoring, rules: Rules, traffic: Traffic) -> Mapping[Phase, Sync]:
    """A device that keeps its parameters several times synchronises each copy."""
    layouts = factoring.layouts

    def took(block: Block) -> Mapping[Phase, Array]:
        return factoring.term(
            f"synchronisation of {block.name}",
            lambda mesh: block_syncs(context, mesh, block, rules.strategies, traffic.over(mesh)),
        )

    copies = parameter_copies(layouts, mesh_schedules(layouts, rules))
    syncs = [took(block) for block in context.program.blocks]
    every = [{phase: seconds * copies for phase, seconds in each.items()} for each in syncs]
    columns = factoring.term("timed stages", lambda mesh: _timed_columns(context, mesh, rules))
    return synchronisation_s(columns, every)


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


def optimizer_s(context: Context, layouts: Layouts, held: Held) -> Array:
    """The step is memory traffic: gradients, weights and states of the fullest stage over the memory's bandwidth, or the host's
    work where its memory has the states."""
    memory = held.memory
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slowest: Array = np.zeros(1)
        for column in held.columns:
            slowest = np.maximum(slowest, over_stage(column, [block.step_bytes for block in memory.states]))
        took: Array = slowest / rates_of(context).memory_bytes_per_s
        if memory.moved is not None:
            hosts = host_step_s(context, layouts, memory.moved, held.columns, memory.whole_states)
            took = np.where(memory.moved.optimizer, hosts, took)
        return took
