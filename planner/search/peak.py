"""The peak of every layout: the largest total over stages and instants, in few passes over the mesh.

Rounding keeps the order of sums that differ in one summand. So where instants differ in activations alone only the largest of
these counts, of what is added to the micro-batches in flight only the largest, and what the device adds is added once for all
stages: the same bits as the largest of `memory.stage_instants`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from planner.domain.mesh import Array
from planner.plugin import Buffer, Context, Instant
from planner.search.in_flight import in_flight
from planner.search.memory import allocated, but_other, instants_of
from planner.search.memory_terms import MemoryTerms
from planner.search.on_stage import HOLDING_ALL
from planner.search.overheads import overhead_bytes


def peak_bytes(terms: MemoryTerms) -> Array:
    """Bytes on the fullest rank of every layout."""
    held, buffers, communicators = tuple(_held(terms)), terms.buffers(), terms.communicators()
    peak: Array = np.zeros(1)
    for instants in _alike(terms.context, buffers):
        activations = terms.working(instants)
        if instants[0] in HOLDING_ALL:
            activations = tuple(kept + working for kept, working in zip(held, activations, strict=True))
        largest: Array | None = None
        for states, own in zip(terms.stage_states(instants[0]), activations, strict=True):
            components = allocated(states, own, buffers, instants[0])
            total = but_other(components)
            largest = total if largest is None else np.maximum(largest, total)
        assert largest is not None  # every program has a stage
        other = components["other"]  # buffers are the same on every stage
        peak = np.maximum(peak, largest + (other + overhead_bytes(terms.context, communicators, largest + other)))
    return peak


def _held(terms: MemoryTerms) -> Iterator[Array]:
    """What each stage holds of the micro-batches in flight, before the first backward frees any of it."""
    moved, columns = terms.moved, terms.columns()
    largest = [None] * len(columns) if moved is None else terms.largest_saved()
    residual = None if terms.context.framework.stage_outputs_kept is None else terms.activations().residual
    for saved, chunks, column, layer in zip(terms.saved(), terms.chunks_held(), columns, largest, strict=True):
        held = saved.layers * chunks.of_layers + saved.embedding * chunks.of_embedding
        if residual is not None:
            held = held + in_flight(terms.context, terms.layouts, chunks, column, residual).outputs
        yield held if moved is None or layer is None else moved.held(held, layer)


def _alike(context: Context, buffers: Sequence[Buffer]) -> Iterable[Sequence[Instant]]:
    """The instants, together where states and buffers are the same."""
    found: dict[object, list[Instant]] = {}
    for instant in instants_of(context):
        changing = instant not in HOLDING_ALL or not context.framework.persistent_gradients
        alive = tuple(instant in buffer.instants for buffer in buffers)
        found.setdefault((instant if changing else None, alive), []).append(instant)
    return found.values()
