"""What the ranks of one stage hold: states, saved activations, and what lives while its layers run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from planner.domain.mesh import Array, Layouts, Mask
from planner.plugin import Context, Instant
from planner.search.columns import StageColumn, layers_on, over_stage, over_stage_max
from planner.search.layer_activations import Activations
from planner.search.model_states import BlockStates

HOLDING_ALL: Final = frozenset({Instant.FORWARD, Instant.LOSS, Instant.BACKWARD})
"""Instants before the first backward frees any of the micro-batches in flight."""


@dataclass(frozen=True, slots=True)
class StageStates:
    """Bytes of the training states of a stage at an instant."""

    weights: Array
    gradients: Array
    optimizer: Array


def stage_states(
    context: Context, states: Sequence[BlockStates], column: StageColumn, accumulates: Mask, instant: Instant
) -> StageStates:
    """The states of all that a stage holds, with the optimizer's temporaries while it steps. `accumulates`: where a step has
    several micro-batches."""
    optimizer = over_stage(column, [block.optimizer for block in states])
    if instant is Instant.OPTIMIZER:
        combine = over_stage if context.optimizer.temporaries_add else over_stage_max
        optimizer = optimizer + combine(column, [block.step_temporary for block in states])
    return StageStates(
        weights=over_stage(column, [block.weights for block in states]),
        gradients=_gradients(context, states, column, accumulates, instant),
        optimizer=optimizer,
    )


def _gradients(
    context: Context, states: Sequence[BlockStates], column: StageColumn, accumulates: Mask, instant: Instant
) -> Array:
    """All of them where the buffer persists or an earlier micro-batch left them; else those that this backward has written
    by now: the head's first, the embedding's last. A tied embedding adds up two fresh gradients into a third."""
    every = over_stage(column, [block.gradients for block in states])
    if context.framework.persistent_gradients or instant is Instant.OPTIMIZER:
        return every
    embedding, head = states[0], states[-1]
    written: Array = np.zeros(1)
    tied = context.architecture.tied_embeddings
    if instant in (Instant.BACKWARD, Instant.LAST_BACKWARD):
        written = column.head * np.where(tied, embedding.fresh_gradients * column.embedding, head.gradients)
    if instant is Instant.LAST_BACKWARD:
        written = written + over_stage(column, [np.zeros(1), *(block.gradients for block in states[1:-1]), np.zeros(1)])
    if instant is Instant.EMBEDDING:
        copies = np.where(tied, 2.0 * embedding.fresh_gradients, 0.0) * column.embedding * column.head
        written = every + copies
    return np.where(accumulates, np.maximum(every, written), written)


def saved_on_stage(activations: Activations, column: StageColumn) -> Array:
    """What the layers of a stage keep of one micro-batch: those that run again what their group keeps, the others all."""
    saved: Array = np.zeros(1)
    for count, layer in zip(column.layers, activations.layers, strict=True):
        saved = saved + count * layer.saved
    if activations.again is None:
        return saved
    everything: Array = np.zeros(1)
    for count, layer in zip(column.layers, activations.layers, strict=True):
        everything = everything + count * layer.everything
    layers = layers_on(column)
    share = activations.again.share(layers)
    return share * activations.again.inputs(layers) * saved + (1.0 - share) * everything


def largest_saved(activations: Activations, column: StageColumn) -> Array:
    """The most that one layer of a stage saves: everything where some of its layers do not run again."""
    saved = [layer.saved for layer in activations.layers]
    if activations.again is not None:
        some = activations.again.share(layers_on(column)) < 1.0
        saved = [np.where(some, layer.everything, layer.saved) for layer in activations.layers]
    zero = np.zeros(1)
    return over_stage_max(column, [zero, *saved, zero])


def mean_saved(context: Context, layouts: Layouts, activations: Activations) -> tuple[Array, ...]:
    """Per kind of layer, what it saves on average over the stages, were these even."""
    again = activations.again
    if again is None:
        return tuple(layer.saved for layer in activations.layers)
    layers = len(context.program.layers) / layouts.degree("pp")
    share, inputs = again.share(layers), again.inputs(layers)
    return tuple(share * inputs * layer.saved + (1.0 - share) * layer.everything for layer in activations.layers)


def working_on_stage(activations: Activations, column: StageColumn, instant: Instant) -> Array:
    """What lives on a stage at an instant beside the micro-batches in flight (`HOLDING_ALL`), or all its activations at the other
    instants, by when these are freed but for the last one's."""
    zero, head = np.zeros(1), activations.head
    embedding = column.embedding * activations.embedding
    match instant:
        case Instant.FORWARD:
            forward = [layer.forward for layer in activations.layers]
            return over_stage_max(column, [zero, *forward, head.saved + head.forward])
        case Instant.LOSS:
            return column.head * (head.saved + head.backward)
        case Instant.BACKWARD:
            return over_stage_max(column, [zero, *_first_backward(activations, column), zero])
        case Instant.LAST_BACKWARD:
            working = _backward(activations, column)
            last = [layer.saved + own for layer, own in zip(activations.layers, working, strict=True)]
            return embedding + over_stage_max(column, [zero, *last, zero])
        case Instant.EMBEDDING:
            return embedding + column.embedding * activations.residual
        case Instant.OPTIMIZER:
            return zero


def _backward(activations: Activations, column: StageColumn) -> list[Array]:
    """Per kind of layer, what its backward works on: of a group that runs again all layers at once."""
    again = activations.again
    together = np.ones(1) if again is None else again.group(layers_on(column))
    return [together * layer.recomputed + layer.backward + activations.residual for layer in activations.layers]


def _first_backward(activations: Activations, column: StageColumn) -> list[Array]:
    """The same of the layers whose backward comes first. Where not all layers run again those that do are the first of their
    chunk, whose backward comes last: by then the others' are free."""
    working = _backward(activations, column)
    if activations.again is None:
        return working
    some = activations.again.share(layers_on(column)) < 1.0
    return [
        np.where(some, layer.backward + activations.residual, own)
        for layer, own in zip(activations.layers, working, strict=True)
    ]
