"""What one micro-batch leaves on a rank, block by block: saved from forward to backward, and alive while a block runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import Block, Context, Recompute, Region, Strategy
from planner.search.activations import (
    Coefficients,
    bytes_on_rank,
    chosen_bytes,
    difference,
    largest_transient,
    saved_tensors,
    transient_tensors,
)
from planner.search.dividing import region_divisors
from planner.search.recomputing import LayersAgain


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
class Activations:
    """Bytes on a rank of one micro-batch: of each kind of layer, what the embedding saves, the head, and the gradient of the
    residual stream; and how many layers run again (None: by the choice of recomputation alone)."""

    layers: tuple[LayerActivations, ...]
    embedding: Array
    head: HeadActivations
    residual: Array
    again: LayersAgain | None


def activations_of(
    context: Context, layouts: Layouts, strategies: Sequence[Strategy], recomputes: Sequence[Recompute]
) -> Activations:
    """The activations of every layout of a mesh, whose choice of recomputation offers `recomputes`."""
    program = context.program
    divisors = region_divisors(context, layouts, strategies)
    none = Recompute(name="none", source="")
    embedding = Coefficients.of(saved_tensors(program.embedding, none, context.framework, context.numerics))
    width = program.architecture.hidden * context.numerics.residual_bytes
    return Activations(
        layers=tuple(_layer_activations(context, layouts, kind, recomputes, divisors) for kind in program.kinds),
        embedding=bytes_on_rank(context, layouts, embedding, divisors),
        head=_head_activations(context, layouts, program.head, divisors),
        residual=context.tokens(layouts) / divisors[Region.RESIDUAL] * width,
        again=LayersAgain.of(layouts, recomputes),
    )


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
