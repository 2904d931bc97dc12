"""The sum: everything plugins contribute, for every layout of a mesh at once; one layout is a mesh of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import (
    Block,
    Context,
    Phase,
)
from planner.search.columns import StageColumn, parameter_copies, timed_columns
from planner.search.dividing import region_divisors
from planner.search.factoring import Factoring
from planner.search.memory import MemoryParts, fullest_host_bytes
from planner.search.memory_terms import MemoryTerms
from planner.search.network import Traffic, network_of
from planner.search.offloading import Moved, host_step_s, with_host_traffic
from planner.search.on_stage import mean_saved
from planner.search.operators import rates_of
from planner.search.peak import peak_bytes
from planner.search.rules import Rules, mesh_recomputes, mesh_schedules
from planner.search.timing import (
    BlockTimes,
    MicroBatch,
    StepTimes,
    Sync,
    block_syncs,
    block_times,
    micro_batch_times,
    step_times,
    synchronisation_s,
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Memory and time of every layout of a mesh, with the parts they were summed from."""

    terms: MemoryTerms
    memory: MemoryParts
    peak_bytes: Array
    host_bytes: Array
    step: StepTimes

    @property
    def context(self) -> Context:
        """What the layouts were evaluated for."""
        return self.terms.context

    @property
    def layouts(self) -> Layouts:
        """The mesh."""
        return self.terms.layouts

    @property
    def rules(self) -> Rules:
        """The plugins that were summed over."""
        return self.terms.rules

    @property
    def columns(self) -> tuple[StageColumn, ...]:
        """The representative stages."""
        return self.terms.columns()

    def under(self, context: Context) -> Evaluation:
        """The same numbers under a `context` that differs in nothing that they were computed from."""
        return replace(self, terms=replace(self.terms, context=context))

    @property
    def blocks(self) -> tuple[BlockTimes, ...]:
        """Seconds of every block and micro-batch."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            traffic = Traffic(self.layouts, network_of(self.context.cluster))
            return all_block_times(MemoryTerms(self.context, Factoring(self.layouts), self.rules), traffic)


def evaluate_mesh(context: Context, layouts: Layouts, rules: Rules) -> Evaluation:
    """Peak bytes and step seconds of every layout, refused ones included (their numbers mean nothing)."""
    return evaluate_factored(context, Factoring(layouts), rules)


def evaluate_factored(context: Context, factoring: Factoring, rules: Rules) -> Evaluation:
    """`evaluate_mesh` of a mesh whose terms may already be known."""
    terms = MemoryTerms(context, factoring, rules)
    held, step = held_bytes(terms), step_of(terms, optimizer_s(terms))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        parts = MemoryParts.of(terms)
    return Evaluation(terms, parts, held.peak_bytes, held.host_bytes, step)


def step_elsewhere(evaluation: Evaluation, context: Context) -> StepTimes:
    """The step of the same layouts in a `context` that differs in rates and overlaps alone, which no bytes depend on."""
    updating_s = optimizer_s(evaluation.under(context).terms)
    return step_of(MemoryTerms(context, Factoring(evaluation.layouts), evaluation.rules), updating_s)


@dataclass(frozen=True, slots=True)
class Held:
    """What every layout of a mesh holds on the fullest rank, and in its host's memory."""

    peak_bytes: Array
    host_bytes: Array


def held_bytes(terms: MemoryTerms) -> Held:
    """The memory half of an evaluation."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        peak = peak_bytes(terms)
        hosted = np.zeros(1)
        if terms.moved is not None:
            hosted = fullest_host_bytes(MemoryParts.of(terms), terms.columns())
        return Held(peak, hosted)


def step_of(terms: MemoryTerms, updating_s: Array) -> StepTimes:
    """The time half of an evaluation; `updating_s` is what the optimizer takes."""
    context, rules, layouts = terms.context, terms.rules, terms.layouts
    traffic = Traffic(layouts, network_of(context.cluster))
    schedules = mesh_schedules(layouts, rules)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        micro = terms.factoring.term("micro-batch", lambda inner: _micro_batch(terms.over(inner), traffic))
        syncs = terms.factoring.term("synchronisation", lambda inner: _synchronisation(terms.over(inner), traffic))
        return step_times(context, layouts, micro, syncs, schedules, rules.strategies, traffic, updating_s)


def all_block_times(terms: MemoryTerms, traffic: Traffic) -> tuple[BlockTimes, ...]:
    """Seconds of every block and micro-batch, with what it sends to its host and gets from there."""
    context, rules = terms.context, terms.rules
    rates = rates_of(context)

    def timed(block: Block) -> BlockTimes:
        def times(inner: Factoring) -> BlockTimes:
            layouts = inner.layouts
            divisors = region_divisors(context, layouts, rules.strategies)
            recomputes, schedules = mesh_recomputes(layouts, rules), mesh_schedules(layouts, rules)
            return block_times(
                context, layouts, block, rules.strategies, recomputes, schedules, divisors, rates, traffic.over(layouts)
            )

        return terms.factoring.term(f"times of {block.name}", times)

    blocks = tuple(timed(block) for block in context.program.blocks)
    moved = terms.moved
    return blocks if moved is None else tuple(_with_host_traffic(terms, moved, blocks))


def _timed_columns(terms: MemoryTerms) -> tuple[StageColumn, ...]:
    return timed_columns(terms.layouts, mesh_schedules(terms.layouts, terms.rules), terms.columns())


def _micro_batch(terms: MemoryTerms, traffic: Traffic) -> MicroBatch:
    return micro_batch_times(terms.context, _timed_columns(terms), all_block_times(terms, traffic))


def _synchronisation(terms: MemoryTerms, traffic: Traffic) -> Mapping[Phase, Sync]:
    """A device that keeps its parameters several times synchronises each copy."""
    context, rules, layouts = terms.context, terms.rules, terms.layouts

    def took(block: Block) -> Mapping[Phase, Array]:
        return terms.factoring.term(
            f"synchronisation of {block.name}",
            lambda inner: block_syncs(context, inner.layouts, block, rules.strategies, traffic.over(inner.layouts)),
        )

    copies = parameter_copies(layouts, mesh_schedules(layouts, rules))
    syncs = [took(block) for block in context.program.blocks]
    every = [{phase: seconds * copies for phase, seconds in each.items()} for each in syncs]
    return synchronisation_s(_timed_columns(terms), every)


def host_capacity_bytes(context: Context, layouts: Layouts) -> Array:
    """The share of its node's memory that a rank may use; unbounded where the catalog does not know the node's."""
    node = context.cluster.node
    ranks = np.minimum(layouts["n_gpus"], node.accelerators_per_node)
    return np.full_like(ranks, np.inf) if node.host_memory_bytes is None else node.host_memory_bytes / ranks


def _with_host_traffic(terms: MemoryTerms, moved: Moved, blocks: Sequence[BlockTimes]) -> Iterator[BlockTimes]:
    """Every block's times with its traffic between host and device; embedding and head save nothing that moves."""
    nothing = np.zeros(1)
    saved = (nothing, *mean_saved(terms.context, terms.layouts, terms.activations()), nothing)
    for times, states, layer in zip(blocks, terms.whole_states(), saved, strict=True):
        yield with_host_traffic(terms.context, times, moved, states, layer)


def optimizer_s(terms: MemoryTerms) -> Array:
    """The step is memory traffic: gradients, weights and states of the fullest stage over the memory's bandwidth, or the host's
    work where its memory has the states."""
    moved = terms.moved
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        took: Array = terms.step_bytes() / rates_of(terms.context).memory_bytes_per_s
        if moved is not None:
            hosts = host_step_s(terms.context, terms.layouts, moved, terms.columns(), terms.whole_states())
            took = np.where(moved.optimizer, hosts, took)
        return took
