"""Bytes on the fullest rank: by component, stage and instant (FORMULAS sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.domain.mesh import Array, Layouts, Mask
from planner.domain.plan import MEMORY_COMPONENTS
from planner.plugin import (
    EXPERT_REPLICAS,
    REPLICAS,
    Block,
    Buffer,
    Context,
    Instant,
    Offload,
    Recompute,
    Region,
    Schedule,
    StateKind,
    Strategy,
    Value,
)
from planner.search.activations import (
    Coefficients,
    bytes_on_rank,
    chosen_bytes,
    difference,
    largest_transient,
    saved_tensors,
    transient_tensors,
)
from planner.search.factoring import Factoring
from planner.search.model_states import BlockStates, block_states
from planner.search.network import shard_width
from planner.search.offloading import Moved, host_bytes, streams
from planner.search.recomputing import LayersAgain
from planner.search.stages import StageColumn
from planner.search.timing import over_stage

INSTANTS = tuple(Instant)
ROUTED_REGIONS = (Region.DISPATCHED, Region.EXPERT_INTERIOR)
WITH_PERSISTENT_GRADIENTS = (Instant.FORWARD, Instant.LOSS, Instant.BACKWARD, Instant.OPTIMIZER)
"""Where all gradients exist all the time, the first layer's backward holds at least as much as the later ones."""


@dataclass(frozen=True, slots=True)
class LayerActivations:
    """Bytes on a rank of one layer and micro-batch: saved, and saved where it does not run again; run again in the backward;
    the largest transients."""

    saved: Array
    everything: Array
    recomputed: Array
    forward: Array
    backward: Array


@dataclass(frozen=True, slots=True)
class HeadActivations:
    """Bytes on a rank of the head and loss: saved, and what else lives while they run forward and backward."""

    saved: Array
    forward: Array
    backward: Array


@dataclass(frozen=True, slots=True)
class InFlight:
    """What a stage holds of the micro-batches whose backward it still owes: how many there are (of all its layers), how many of
    the embedding, and the bytes of the outputs it sent on."""

    micro_batches: Array
    embeddings: Array
    outputs: Array


@dataclass(frozen=True, slots=True)
class StageStates:
    """Bytes of the training states of a stage: weights, all gradients, and the optimizer's."""

    weights: Array
    gradients: Array
    optimizer: Array


@dataclass(frozen=True, slots=True)
class MemoryParts:
    """All that the maximum over stages and instants is taken of."""

    states: tuple[BlockStates, ...]
    whole_states: tuple[BlockStates, ...]
    moved: Moved | None
    layers_again: LayersAgain | None
    layers: tuple[LayerActivations, ...]
    embedding_saved: Array
    head: HeadActivations
    buffers: tuple[Buffer, ...]
    in_flight: tuple[InFlight, ...]
    accumulates: Mask
    residual_gradient: Array
    communicators: Array


def region_divisors(context: Context, layouts: Layouts, strategies: Sequence[Strategy]) -> dict[Region, Array]:
    """The divisor of every region: the product over strategies; experts see more than their share by the capacity factor."""
    found: dict[Region, Array] = {region: np.ones(1) for region in Region}
    for strategy in strategies:
        if strategy.region_divisors is not None:
            for region, divisor in strategy.region_divisors(context, layouts).items():
                found[region] = found[region] * divisor
    if context.job.capacity_factor != 1.0:
        for region in ROUTED_REGIONS:
            found[region] = found[region] / context.job.capacity_factor
    return found


def state_shards(context: Context, layouts: Layouts, strategies: Sequence[Strategy]) -> dict[StateKind, Value]:
    """Where each kind of state is divided over its replica group."""
    found: dict[StateKind, Value] = {}
    for strategy in strategies:
        if strategy.shards_states is not None:
            for kind, where in strategy.shards_states(context, layouts).items():
                found[kind] = np.logical_or(found.get(kind, False), where)
    return found


def memory_parts(
    context: Context,
    factoring: Factoring,
    strategies: Sequence[Strategy],
    recomputes_of: Callable[[Layouts], Sequence[Recompute]],
    schedules_of: Callable[[Layouts], Mapping[str, Schedule]],
    offloads: Sequence[Offload],
    columns: Sequence[StageColumn],
) -> MemoryParts:
    """Everything that does not depend on the instant. `recomputes_of` and `schedules_of` are asked what a mesh offers, `offloads`
    is what this one does; `columns` are as the schedules place them."""
    layouts = factoring.layouts
    recomputes, schedules = recomputes_of(layouts), schedules_of(layouts)
    whole = factoring.term("states", lambda mesh: _states(context, mesh, strategies, schedules_of(mesh)))
    buffers = factoring.term("buffers", lambda mesh: _buffers(context, mesh, strategies))
    states, moved = whole, Moved.of(context, layouts, offloads)
    if moved is not None:
        states = tuple(moved.left_on_device(block) for block in whole)
        shards = state_shards(context, layouts, strategies)
        sharded = np.asarray(shards.get(StateKind.WEIGHT, False), dtype=np.bool_)
        buffers = (*buffers, *streams(context, layouts, moved, whole, sharded))
    saved = factoring.term("activations", lambda mesh: _activations(context, mesh, strategies, recomputes_of(mesh)))
    return MemoryParts(
        states=states,
        whole_states=whole,
        moved=moved,
        layers_again=LayersAgain.of(layouts, recomputes),
        layers=saved.layers,
        embedding_saved=saved.embedding,
        head=saved.head,
        buffers=buffers,
        in_flight=tuple(_in_flight(context, layouts, schedules, column, saved.residual) for column in columns),
        accumulates=layouts["micro_batches"] > 1,
        residual_gradient=saved.residual,
        communicators=factoring.term("communicators", lambda mesh: communicators(context, mesh)),
    )


def _states(
    context: Context, layouts: Layouts, strategies: Sequence[Strategy], schedules: Mapping[str, Schedule]
) -> tuple[BlockStates, ...]:
    """Every block's states, before anything moves to the host."""
    shards = state_shards(context, layouts, strategies)
    copies = parameter_copies(layouts, schedules)
    return tuple(block_states(context, layouts, block, shards).times(copies) for block in context.program.blocks)


def _buffers(context: Context, layouts: Layouts, strategies: Sequence[Strategy]) -> tuple[Buffer, ...]:
    """What strategies and the framework hold beside states and activations."""
    framework = context.framework
    buffers = [
        buffer
        for strategy in strategies
        if strategy.buffers is not None
        for buffer in _named(strategy.buffers(context, layouts), strategy.name, strategy.source)
    ]
    if framework.buffers is not None:
        buffers.extend(_named(framework.buffers(context, layouts), framework.name, framework.source))
    return tuple(buffers)


@dataclass(frozen=True, slots=True)
class _Activations:
    """What one micro-batch leaves on a rank, by block, and the gradient of the residual stream."""

    layers: tuple[LayerActivations, ...]
    embedding: Array
    head: HeadActivations
    residual: Array


def _activations(
    context: Context, layouts: Layouts, strategies: Sequence[Strategy], recomputes: Sequence[Recompute]
) -> _Activations:
    program = context.program
    divisors = region_divisors(context, layouts, strategies)
    none = Recompute(name="none", source="")
    embedding = Coefficients.of(saved_tensors(program.embedding, none, context.framework, context.numerics))
    width = program.architecture.hidden * context.numerics.residual_bytes
    return _Activations(
        layers=tuple(_layer_activations(context, layouts, kind, recomputes, divisors) for kind in program.kinds),
        embedding=bytes_on_rank(context, layouts, embedding, divisors),
        head=_head_activations(context, layouts, program.head, divisors),
        residual=context.tokens(layouts) / divisors[Region.RESIDUAL] * width,
    )


def _named(buffers: Iterable[Buffer], plugin: str, source: str) -> Iterator[Buffer]:
    """Buffers with the plugin and the source that they come from."""
    for buffer in buffers:
        yield replace(buffer, plugin=plugin, source=buffer.source or source)


def parameter_copies(layouts: Layouts, schedules: Mapping[str, Schedule]) -> Array:
    """How often a device keeps its parameters and their states; one number where no schedule keeps them twice."""
    copies = [schedule.parameter_copies for schedule in schedules.values()]
    if all(number == 1.0 for number in copies):
        return np.ones(1)
    return layouts.choose("schedule", copies)


def placed_columns(
    layouts: Layouts, schedules: Mapping[str, Schedule], columns: Sequence[StageColumn]
) -> tuple[StageColumn, ...]:
    """Every column with the head where the layout's schedule puts it: on the last stage, or on the first where chunks lie in
    a V."""
    folds = [schedule.folded for schedule in schedules.values()]
    if not any(folds):
        return tuple(columns)
    folded = np.asarray(layouts.choose("schedule", folds), dtype=np.bool_)
    return tuple(replace(column, head=np.where(folded, column.embedding, column.head)) for column in columns)


def timed_columns(
    layouts: Layouts, schedules: Mapping[str, Schedule], columns: Sequence[StageColumn]
) -> tuple[StageColumn, ...]:
    """Every column as a micro-batch sees it on average: where a device runs a stage from each end for two directions, half of
    the micro-batches meet the embedding and half the head on it, the first device as the last one."""
    twice = [schedule.parameter_copies > 1.0 for schedule in schedules.values()]
    if not any(twice):
        return tuple(columns)
    mirrored = np.asarray(layouts.choose("schedule", twice), dtype=np.bool_)
    found = []
    for column in columns:
        half = (column.embedding + column.head) / 2
        embedding, head = np.where(mirrored, half, column.embedding), np.where(mirrored, half, column.head)
        found.append(replace(column, embedding=embedding, head=head))
    return tuple(found)


def communicators(context: Context, layouts: Layouts) -> Array:
    """How many communicators a rank belongs to: one per group of more than one rank along tp, cp, pp, the replicas (two where
    shard groups divide them), and for routed experts ep and their replicas where those are not the same ranks."""
    replicas = layouts[REPLICAS]
    width = shard_width(REPLICAS, layouts)
    sizes = [layouts.degree("tp"), layouts.degree("cp"), layouts.degree("pp"), width, replicas / width]
    if context.architecture.moe is not None:
        same = layouts[EXPERT_REPLICAS] == replicas
        sizes += [layouts.degree("ep"), np.where(same, 1.0, shard_width(EXPERT_REPLICAS, layouts))]
    count: Array = np.zeros(1)
    for size in sizes:
        count = count + (size > 1)
    return count


def _layer_activations(
    context: Context,
    layouts: Layouts,
    block: Block,
    recomputes: Sequence[Recompute],
    divisors: Mapping[Region, Array],
) -> LayerActivations:
    none = Recompute(name="none", source="")
    everything = Coefficients.of(saved_tensors(block, none, context.framework, context.numerics))
    kept = [Coefficients.of(saved_tensors(block, each, context.framework, context.numerics)) for each in recomputes]
    again = [
        difference(everything, each) if not recompute.whole_layer else everything
        for recompute, each in zip(recomputes, kept, strict=True)
    ]
    return LayerActivations(
        saved=chosen_bytes(context, layouts, "recompute", kept, divisors),
        everything=bytes_on_rank(context, layouts, everything, divisors),
        recomputed=chosen_bytes(context, layouts, "recompute", again, divisors),
        forward=largest_transient(context, layouts, block, "forward", divisors),
        backward=largest_transient(context, layouts, block, "backward", divisors),
    )


def _head_activations(
    context: Context, layouts: Layouts, head: Block, divisors: Mapping[Region, Array]
) -> HeadActivations:
    """The loss holds what its implementation says beside what the head saved."""
    none = Recompute(name="none", source="")
    saved = Coefficients.of(saved_tensors(head, none, context.framework, context.numerics))
    loss = [operator for operator in head.operators if operator.kind == "loss"]

    def around(phase: str) -> Array:
        largest: Array = np.zeros(1)
        for operator in loss:
            own = transient_tensors(operator, phase, context.framework, context.numerics)
            names = {tensor.name for tensor in (*operator.inputs, *operator.outputs)}
            extra = Coefficients.of(tensor for tensor in own if tensor.name not in names)
            largest = np.maximum(largest, bytes_on_rank(context, layouts, extra, divisors))
        return largest

    return HeadActivations(
        saved=bytes_on_rank(context, layouts, saved, divisors), forward=around("forward"), backward=around("backward")
    )


def _in_flight(
    context: Context, layouts: Layouts, schedules: Mapping[str, Schedule], column: StageColumn, output: Array
) -> InFlight:
    """The micro-batches held at the peak: chunks in flight over chunks per stage. Each chunk but the one that ends in the head
    sends `output` bytes on."""
    held, micro_batches, embeddings = np.zeros(1), np.zeros(1), np.zeros(1)
    for schedule in schedules.values():
        here = layouts.equals("schedule", schedule.name)
        chunks = schedule.chunks_in_flight(context, layouts, column.index) / layouts.degree("vpp")
        of_layers: Value = chunks
        of_embedding: Value = chunks
        if schedule.end_chunks_in_flight is not None:
            of_embedding = schedule.end_chunks_in_flight(context, layouts, column.index)
            of_layers = _of_layers(context, layouts, column, chunks, of_embedding)
        held = held + np.where(here, chunks, 0.0)
        micro_batches = micro_batches + np.where(here, of_layers, 0.0)
        embeddings = embeddings + np.where(here, of_embedding, 0.0)
    kept = context.framework.stage_outputs_kept
    if kept is None:
        return InFlight(micro_batches, embeddings, np.zeros(1))
    outputs = held * (layouts.degree("vpp") - column.head) * output * kept(context, layouts)
    return InFlight(micro_batches, embeddings, outputs)


def _of_layers(context: Context, layouts: Layouts, column: StageColumn, chunks: Value, of_end: Value) -> Array:
    """How often a stage holds its layers where it holds each chunk `chunks` times on average, and the one with the embedding or
    the head, which is a layer short where these count as one, `of_end` times."""
    vpp = layouts.degree("vpp")
    short = (vpp > 1) & (np.mod(len(context.program.layers), layouts["pp"] * vpp) != 0)
    layers, ends = layers_on(column), column.embedding + column.head
    return np.where(short, (chunks * (layers + ends) - ends * of_end) / layers, chunks)


def components_at(
    context: Context, parts: MemoryParts, column: StageColumn, in_flight: InFlight, instant: Instant
) -> dict[str, Array]:
    """Bytes by component on the ranks of one stage at one instant."""
    activations = _activations_at(parts, column, _held(parts, column, in_flight), instant)
    found = allocated_at(context, parts, column, stage_states(parts, column), instant, activations)
    found["other"] = found["other"] + _overheads(context, parts, _but_other(found) + found["other"])
    return found


def stage_states(parts: MemoryParts, column: StageColumn) -> StageStates:
    """The states of all that a stage holds."""
    return StageStates(
        weights=over_stage(column, [block.weights for block in parts.states]),
        gradients=over_stage(column, [block.gradients for block in parts.states]),
        optimizer=over_stage(column, [block.optimizer for block in parts.states]),
    )


def allocated_at(
    context: Context, parts: MemoryParts, column: StageColumn, states: StageStates, instant: Instant, activations: Array
) -> dict[str, Array]:
    """The same without what the device adds: `states`, `activations`, and buffers on top of either."""
    found = {
        "weights": states.weights,
        "gradients": _gradients_at(context, parts, column, states.gradients, instant),
        "optimizer": states.optimizer,
        "activations": activations,
        "other": np.zeros(1),
    }
    if instant is Instant.OPTIMIZER:
        temporaries = [block.step_temporary for block in parts.states]
        combine = over_stage if context.optimizer.temporaries_add else over_stage_max
        found["optimizer"] = found["optimizer"] + combine(column, temporaries)
    for buffer in parts.buffers:
        if instant in buffer.instants:
            found[buffer.component.value] = found[buffer.component.value] + buffer.bytes
    return found


def _but_other(components: Mapping[str, Array]) -> Array:
    total: Array = np.zeros(1)
    for name in MEMORY_COMPONENTS[:-1]:
        total = total + components[name]
    return total


def _gradients_at(context: Context, parts: MemoryParts, column: StageColumn, every: Array, instant: Instant) -> Array:
    """All of them where the buffer persists or an earlier micro-batch left them; else those that this backward has written
    by now: the head's first, the embedding's last. A tied embedding adds up two fresh gradients into a third."""
    if context.framework.persistent_gradients or instant is Instant.OPTIMIZER:
        return every
    embedding, head = parts.states[0], parts.states[-1]
    written: Array = np.zeros(1)
    tied = context.architecture.tied_embeddings
    if instant in (Instant.BACKWARD, Instant.LAST_BACKWARD):
        written = column.head * np.where(tied, embedding.fresh_gradients * column.embedding, head.gradients)
    if instant is Instant.LAST_BACKWARD:
        written = written + over_stage(
            column, [np.zeros(1), *(block.gradients for block in parts.states[1:-1]), np.zeros(1)]
        )
    if instant is Instant.EMBEDDING:
        copies = np.where(tied, 2.0 * embedding.fresh_gradients, 0.0) * column.embedding * column.head
        written = every + copies
    return np.where(parts.accumulates, np.maximum(every, written), written)


def over_stage_max(column: StageColumn, blocks: Sequence[Array]) -> Array:
    """The largest value among the blocks that a stage holds."""
    largest: Array = column.embedding * blocks[0]
    for count, value in zip(column.layers, blocks[1:-1], strict=True):
        largest = np.maximum(largest, np.where(count > 0, value, 0.0))
    return np.maximum(largest, column.head * blocks[-1])


def layers_on(column: StageColumn) -> Array:
    """How many layers a stage holds."""
    total: Array = np.zeros(1)
    for count in column.layers:
        total = total + count
    return total


def largest_saved(parts: MemoryParts, column: StageColumn) -> tuple[Array, ...]:
    """Per kind of layer, the most that one of them saves on a stage: everything where some of its layers do not run again."""
    if parts.layers_again is None:
        return tuple(layer.saved for layer in parts.layers)
    some = parts.layers_again.share(layers_on(column)) < 1.0
    return tuple(np.where(some, layer.everything, layer.saved) for layer in parts.layers)


def mean_saved(context: Context, layouts: Layouts, parts: MemoryParts) -> tuple[Array, ...]:
    """Per kind of layer, what it saves on average over the stages, were these even."""
    if parts.layers_again is None:
        return tuple(layer.saved for layer in parts.layers)
    layers = len(context.program.layers) / layouts.degree("pp")
    share, inputs = parts.layers_again.share(layers), parts.layers_again.inputs(layers)
    return tuple(share * inputs * layer.saved + (1.0 - share) * layer.everything for layer in parts.layers)


def saved_on_stage(parts: MemoryParts, column: StageColumn) -> Array:
    """What the layers of a stage keep of one micro-batch: those that run again what their group keeps, the others all."""
    again, everything = np.zeros(1), np.zeros(1)
    for count, layer in zip(column.layers, parts.layers, strict=True):
        again, everything = again + count * layer.saved, everything + count * layer.everything
    if parts.layers_again is None:
        return again
    layers = layers_on(column)
    share = parts.layers_again.share(layers)
    return share * parts.layers_again.inputs(layers) * again + (1.0 - share) * everything


def _held(parts: MemoryParts, column: StageColumn, in_flight: InFlight) -> Array:
    """What a stage holds of the micro-batches in flight, before the first backward frees any of it."""
    embedding = column.embedding * parts.embedding_saved
    held = (
        saved_on_stage(parts, column) * in_flight.micro_batches + embedding * in_flight.embeddings + in_flight.outputs
    )
    if parts.moved is None:
        return held
    zero = np.zeros(1)
    return parts.moved.held(held, over_stage_max(column, [zero, *(largest_saved(parts, column)), zero]))


def _activations_at(parts: MemoryParts, column: StageColumn, held: Array, instant: Instant) -> Array:
    """Saved and working activations; `held` are those of `_held`."""
    layers, zero = parts.layers, np.zeros(1)
    if instant is Instant.OPTIMIZER:
        return zero
    embedding = column.embedding * parts.embedding_saved
    if instant is Instant.EMBEDDING:
        return embedding + column.embedding * parts.residual_gradient
    together = np.ones(1) if parts.layers_again is None else parts.layers_again.group(layers_on(column))
    backward = [together * layer.recomputed + layer.backward + parts.residual_gradient for layer in layers]
    if instant is Instant.LAST_BACKWARD:
        last = [layer.saved + working for layer, working in zip(layers, backward, strict=True)]
        return embedding + over_stage_max(column, [zero, *last, zero])
    if parts.layers_again is not None:
        # The layers that run again are the first of their chunk, whose backward comes last: by then the others' are free.
        some = parts.layers_again.share(layers_on(column)) < 1.0
        kept = [
            np.where(some, layer.backward + parts.residual_gradient, each)
            for layer, each in zip(layers, backward, strict=True)
        ]
        backward = kept
    if instant is Instant.FORWARD:
        head = parts.head.saved + parts.head.forward
        return held + over_stage_max(column, [zero, *(layer.forward for layer in layers), head])
    if instant is Instant.LOSS:
        return held + column.head * (parts.head.saved + parts.head.backward)
    return held + over_stage_max(column, [zero, *backward, zero])


def fullest_host_bytes(parts: MemoryParts, columns: Sequence[StageColumn]) -> Array:
    """What the rank with most in the host's memory keeps there; 0 where nothing moves."""
    fullest: Array = np.zeros(1)
    if parts.moved is None:
        return fullest
    for column, in_flight in zip(columns, parts.in_flight, strict=True):
        saved = saved_on_stage(parts, column) * in_flight.micro_batches
        fullest = np.maximum(fullest, host_bytes(parts.moved, column, parts.whole_states, saved))
    return fullest


def uncertain_total(context: Context, communicators: float, total: float) -> tuple[float, float]:
    """The least and the most that `total` bytes at a peak may be, by what was published of what the device adds."""
    overheads = context.framework.overheads
    fixed = overheads.context_bytes + overheads.workspace_bytes + communicators * overheads.communicator_bytes
    allocated = (total - fixed) / (1.0 + overheads.fragmentation)

    def at(end: int) -> float:
        per_device = overheads.bound("context_bytes")[end] + overheads.bound("workspace_bytes")[end]
        groups = communicators * overheads.bound("communicator_bytes")[end]
        return allocated * (1.0 + overheads.bound("fragmentation")[end]) + per_device + groups

    return min(total, at(0)), max(total, at(1))


def _overheads(context: Context, parts: MemoryParts, allocated: Array) -> Array:
    """Context, workspaces, communicators, and what the caching allocator reserves beyond the `allocated` bytes."""
    overheads = context.framework.overheads
    fixed = overheads.context_bytes + overheads.workspace_bytes + parts.communicators * overheads.communicator_bytes
    return allocated * overheads.fragmentation + fixed


def instants_of(context: Context) -> tuple[Instant, ...]:
    """Those at which a stage can be fullest."""
    return WITH_PERSISTENT_GRADIENTS if context.framework.persistent_gradients else INSTANTS


def stage_instants(
    context: Context, parts: MemoryParts, columns: Sequence[StageColumn]
) -> Iterator[tuple[StageColumn, Instant, dict[str, Array], Array]]:
    """Every representative stage at every instant: components and their total."""
    for column, in_flight in zip(columns, parts.in_flight, strict=True):
        for instant in instants_of(context):
            components = components_at(context, parts, column, in_flight, instant)
            total: Array = np.zeros(1)
            for name in MEMORY_COMPONENTS:
                total = total + components[name]
            yield column, instant, components, total


def peak_bytes(context: Context, parts: MemoryParts, columns: Sequence[StageColumn]) -> Array:
    """The largest total over stages and instants.

    Rounding keeps the order of sums that differ in one summand. So where instants differ in activations alone, only the largest
    of these counts, and what the device adds is added once for all stages: the same bits, with a third of the work.
    """
    peak: Array = np.zeros(1)
    stages = [
        (column, stage_states(parts, column), _held(parts, column, in_flight))
        for column, in_flight in zip(columns, parts.in_flight, strict=True)
    ]
    for instants in _alike(context, parts):
        but_other: Array = np.zeros(1)
        for column, states, held in stages:
            activations = _activations_at(parts, column, held, instants[0])
            for instant in instants[1:]:
                activations = np.maximum(activations, _activations_at(parts, column, held, instant))
            components = allocated_at(context, parts, column, states, instants[0], activations)
            but_other = np.maximum(but_other, _but_other(components))
        other = components["other"]  # buffers are the same on every stage
        peak = np.maximum(peak, but_other + (other + _overheads(context, parts, but_other + other)))
    return peak


def _alike(context: Context, parts: MemoryParts) -> Iterable[Sequence[Instant]]:
    """The instants, together where states and buffers are the same."""
    found: dict[object, list[Instant]] = {}
    for instant in instants_of(context):
        changing = instant is Instant.OPTIMIZER or not context.framework.persistent_gradients
        alive = tuple(instant in buffer.instants for buffer in parts.buffers)
        found.setdefault((instant if changing else None, alive), []).append(instant)
    return found.values()
