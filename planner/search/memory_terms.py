"""The terms that the memory of a mesh is summed from, each computed once for the values that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.domain.mesh import Array, Layouts, Mask
from planner.plugin import Buffer, Context, Instant, StateKind, Strategy
from planner.search.columns import StageColumn, over_stage, parameter_copies, placed_columns, stage_columns
from planner.search.dividing import state_shards
from planner.search.factoring import Factoring
from planner.search.in_flight import ChunksHeld, chunks_held
from planner.search.layer_activations import Activations, activations_of
from planner.search.model_states import BlockStates, block_states
from planner.search.offloading import Moved, streams
from planner.search.on_stage import StageStates, largest_saved, saved_on_stage, stage_states, working_on_stage
from planner.search.overheads import communicators
from planner.search.rules import Rules, mesh_offloads, mesh_recomputes, mesh_schedules


@dataclass(frozen=True, slots=True)
class SavedOnStage:
    """Bytes that a stage keeps of one micro-batch: of its layers, and of the embedding."""

    layers: Array
    embedding: Array


@dataclass(frozen=True, slots=True)
class MemoryTerms:
    """The terms of one mesh. Those of stages have one value for each representative stage."""

    context: Context
    factoring: Factoring
    rules: Rules

    @property
    def layouts(self) -> Layouts:
        """The mesh."""
        return self.factoring.layouts

    def over(self, factoring: Factoring) -> MemoryTerms:
        """The terms of another mesh, by the same rules."""
        return replace(self, factoring=factoring)

    @property
    def moved(self) -> Moved | None:
        """What is in the host's memory; None where nothing is."""
        return Moved.of(self.context, self.layouts, mesh_offloads(self.layouts, self.rules))

    @property
    def accumulates(self) -> Mask:
        """Where a step has several micro-batches."""
        return self.layouts["micro_batches"] > 1

    def columns(self) -> tuple[StageColumn, ...]:
        """The representative stages, as the schedules place them."""

        def placed(inner: Factoring) -> tuple[StageColumn, ...]:
            layouts = inner.layouts
            return placed_columns(layouts, mesh_schedules(layouts, self.rules), stage_columns(self.context, layouts))

        return self.factoring.term("stages", placed)

    def activations(self) -> Activations:
        """What one micro-batch leaves on a rank."""

        def left(inner: Factoring) -> Activations:
            recomputes = mesh_recomputes(inner.layouts, self.rules)
            return activations_of(self.context, inner.layouts, self.rules.strategies, recomputes)

        return self.factoring.term("activations", left)

    def whole_states(self) -> tuple[BlockStates, ...]:
        """Every block's states, before anything moves to the host."""
        return self.factoring.term("states", lambda inner: _states(self.context, inner.layouts, self.rules))

    def states(self) -> tuple[BlockStates, ...]:
        """Every block's states on the device."""
        whole, moved = self.whole_states(), self.moved
        return whole if moved is None else tuple(moved.left_on_device(block) for block in whole)

    def buffers(self) -> tuple[Buffer, ...]:
        """What strategies, the framework and an offload hold beside states and activations."""
        found = self.factoring.term(
            "buffers", lambda inner: _buffers(self.context, inner.layouts, self.rules.strategies)
        )
        moved = self.moved
        if moved is None:
            return found
        shards = state_shards(self.context, self.layouts, self.rules.strategies)
        sharded = np.asarray(shards.get(StateKind.WEIGHT, False), dtype=np.bool_)
        return (*found, *streams(self.context, self.layouts, moved, self.whole_states(), sharded))

    def communicators(self) -> Array:
        """How many communicators a rank belongs to."""
        return self.factoring.term("communicators", lambda inner: communicators(self.context, inner.layouts))

    def chunks_held(self) -> tuple[ChunksHeld, ...]:
        """How many micro-batches each stage holds at its peak."""

        def held(inner: Factoring) -> tuple[ChunksHeld, ...]:
            schedules = mesh_schedules(inner.layouts, self.rules)
            columns = self.over(inner).columns()
            return tuple(chunks_held(self.context, inner.layouts, schedules, column) for column in columns)

        return self.factoring.term("chunks in flight", held)

    def saved(self) -> tuple[SavedOnStage, ...]:
        """What each stage keeps of one micro-batch."""

        def kept(inner: Factoring) -> tuple[SavedOnStage, ...]:
            terms = self.over(inner)
            activations = terms.activations()
            return tuple(
                SavedOnStage(saved_on_stage(activations, column), column.embedding * activations.embedding)
                for column in terms.columns()
            )

        return self.factoring.term("saved on stages", kept)

    def largest_saved(self) -> tuple[Array, ...]:
        """The most that one layer of each stage saves."""

        def largest(inner: Factoring) -> tuple[Array, ...]:
            terms = self.over(inner)
            activations = terms.activations()
            return tuple(largest_saved(activations, column) for column in terms.columns())

        return self.factoring.term("largest saved on stages", largest)

    def working(self, instants: Sequence[Instant]) -> tuple[Array, ...]:
        """The most that each stage works on at any of some instants (`on_stage.working_on_stage`)."""

        def most(inner: Factoring) -> tuple[Array, ...]:
            terms = self.over(inner)
            activations = terms.activations()

            def on(column: StageColumn) -> Array:
                first, *others = (working_on_stage(activations, column, instant) for instant in instants)
                for other in others:
                    first = np.maximum(first, other)
                return first

            return tuple(on(column) for column in terms.columns())

        return self.factoring.term(f"working at {' and '.join(instants)}", most)

    def stage_states(self, instant: Instant) -> tuple[StageStates, ...]:
        """The states of each stage at an instant."""

        def held(inner: Factoring) -> tuple[StageStates, ...]:
            terms = self.over(inner)
            states = terms.states()
            # Gradients that persist do not depend on it: then the number of micro-batches is not even read.
            persist = self.context.framework.persistent_gradients
            accumulates = np.ones(1, dtype=np.bool_) if persist else terms.accumulates
            return tuple(stage_states(self.context, states, column, accumulates, instant) for column in terms.columns())

        return self.factoring.term(f"states at {instant}", held)

    def step_bytes(self) -> Array:
        """What the optimizer's step moves on the stage where that is most."""

        def most(inner: Factoring) -> Array:
            terms = self.over(inner)
            states, largest = terms.states(), np.zeros(1)
            for column in terms.columns():
                largest = np.maximum(largest, over_stage(column, [block.step_bytes for block in states]))
            return largest

        return self.factoring.term("bytes of the optimizer's step", most)


def _states(context: Context, layouts: Layouts, rules: Rules) -> tuple[BlockStates, ...]:
    shards = state_shards(context, layouts, rules.strategies)
    copies = parameter_copies(layouts, mesh_schedules(layouts, rules))
    return tuple(block_states(context, layouts, block, shards).times(copies) for block in context.program.blocks)


def _buffers(context: Context, layouts: Layouts, strategies: Sequence[Strategy]) -> tuple[Buffer, ...]:
    """Those that hold anything in some layout: where nothing is sharded no instant has buffers that the others have not."""
    framework = context.framework
    buffers = [
        buffer
        for strategy in strategies
        if strategy.buffers is not None
        for buffer in _named(strategy.buffers(context, layouts), strategy.name, strategy.source)
    ]
    if framework.buffers is not None:
        buffers.extend(_named(framework.buffers(context, layouts), framework.name, framework.source))
    return tuple(buffer for buffer in buffers if np.any(buffer.bytes))


def _named(buffers: Iterable[Buffer], plugin: str, source: str) -> Iterator[Buffer]:
    """Buffers with the plugin and the source that they come from."""
    for buffer in buffers:
        yield replace(buffer, plugin=plugin, source=buffer.source or source)
