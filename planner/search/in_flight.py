"""What a stage holds of the micro-batches whose backward it still owes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import Context, Schedule, Value
from planner.search.columns import StageColumn, layers_on


@dataclass(frozen=True, slots=True)
class ChunksHeld:
    """How many micro-batches a stage holds at its peak, in chunks over chunks per stage; and of all its layers, and of the
    embedding, where its schedule tells the chunk at the end apart (else as many)."""

    chunks: Array
    of_layers: Array
    of_embedding: Array


@dataclass(frozen=True, slots=True)
class InFlight:
    """What a stage holds of the micro-batches whose backward it still owes: how many there are (of all its layers), how many of
    the embedding, and the bytes of the outputs it sent on (0 where these are not kept)."""

    micro_batches: Array
    embeddings: Array
    outputs: Array


def chunks_held(
    context: Context, layouts: Layouts, schedules: Mapping[str, Schedule], column: StageColumn
) -> ChunksHeld:
    """The micro-batches held at the peak: chunks in flight over chunks per stage."""
    chunks, of_layers, of_embedding = np.zeros(1), np.zeros(1), np.zeros(1)
    for schedule in schedules.values():
        here = layouts.equals("schedule", schedule.name)
        own = schedule.chunks_in_flight(context, layouts, column.index) / layouts.degree("vpp")
        own_of_layers: Value = own
        own_of_embedding: Value = own
        if schedule.end_chunks_in_flight is not None:
            own_of_embedding = schedule.end_chunks_in_flight(context, layouts, column.index)
            own_of_layers = _of_layers(context, layouts, column, own, own_of_embedding)
        chunks = chunks + np.where(here, own, 0.0)
        of_layers = of_layers + np.where(here, own_of_layers, 0.0)
        of_embedding = of_embedding + np.where(here, own_of_embedding, 0.0)
    if all(schedule.end_chunks_in_flight is None for schedule in schedules.values()):
        return ChunksHeld(chunks, chunks, chunks)
    return ChunksHeld(chunks, of_layers, of_embedding)


def in_flight(context: Context, layouts: Layouts, held: ChunksHeld, column: StageColumn, output: Array) -> InFlight:
    """The same with the outputs: each chunk but the one that ends in the head sends `output` bytes on."""
    kept = context.framework.stage_outputs_kept
    outputs: Array = np.zeros(1)
    if kept is not None:
        outputs = held.chunks * (layouts.degree("vpp") - column.head) * output * kept(context, layouts)
    return InFlight(held.of_layers, held.of_embedding, outputs)


def _of_layers(context: Context, layouts: Layouts, column: StageColumn, chunks: Value, of_end: Value) -> Array:
    """How often a stage holds its layers where it holds each chunk `chunks` times on average, and the one with the embedding or
    the head, which is a layer short where these count as one, `of_end` times."""
    vpp = layouts.degree("vpp")
    short = (vpp > 1) & (np.mod(len(context.program.layers), layouts["pp"] * vpp) != 0)
    layers, ends = layers_on(column), column.embedding + column.head
    return np.where(short, (chunks * (layers + ends) - ends * of_end) / layers, chunks)
