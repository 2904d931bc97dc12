"""Training states of a block on one rank: weights, gradients, master copy and optimizer states (FORMULAS section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import (
    EXPERT_REPLICAS,
    REPLICAS,
    Block,
    Context,
    LocalGroup,
    ParameterClass,
    Part,
    StateKind,
    Value,
    parameter_class,
)
from planner.search.network import shard_width


@dataclass(frozen=True, slots=True)
class BlockStates:
    """Bytes of one block's states on one rank, after every kind of sharding.

    `gradients` contains `gradient_copies`, what a second, wider copy takes. `fresh_gradients` is one micro-batch's gradient
    as the backward writes it, before ZeRO divides it. `updated` counts the parameters that the rank's optimizer updates.
    """

    weights: Array
    gradients: Array
    gradient_copies: Array
    fresh_gradients: Array
    optimizer: Array
    step_bytes: Array
    step_temporary: Array
    updated: Array

    def times(self, copies: Array) -> BlockStates:
        """What a device holds that keeps the block `copies` times."""
        return BlockStates(*(getattr(self, name) * copies for name in self.__slots__))


def replica_width(parameter: ParameterClass, layouts: Layouts) -> Array:
    """Over how many ranks ZeRO may divide a class: n_gpus / (pp · the degrees of the mesh that the class lives on), or those
    of one shard group."""
    return shard_width(EXPERT_REPLICAS if parameter is ParameterClass.EXPERT else REPLICAS, layouts)


def block_states(context: Context, layouts: Layouts, block: Block, shards: Mapping[StateKind, Value]) -> BlockStates:
    """Bytes of weights, gradients and optimizer (master copy and moments) of `block`, and what a step moves."""
    weights: Array = np.zeros(1)
    frozen: Array = np.zeros(1)
    gradients: Array = np.zeros(1)
    gradient_copies: Array = np.zeros(1)
    fresh: Array = np.zeros(1)
    optimizer: Array = np.zeros(1)
    temporary: Array = np.zeros(1)
    trained: Array = np.zeros(1)
    storage = context.storage
    for local in context.local_groups(block, layouts):
        width = replica_width(parameter_class(local.group, context.divides), layouts)
        divisor = {kind: np.where(shards.get(kind, False), width, 1.0) for kind in StateKind}
        if not local.group.trainable:
            # Frozen weights need no more than the format that compute reads.
            compute_bytes = min(storage.weight_bytes, storage.unsharded_weight_bytes)
            width_bytes = compute_bytes if local.group.rest_bytes is None else local.group.rest_bytes
            frozen = frozen + local.elements * width_bytes / divisor[StateKind.WEIGHT]
            continue
        cached = 0.0 if local.group.part is Part.MATRIX else storage.weight_cache_bytes
        weights = weights + local.elements * (storage.weight_bytes - cached) / divisor[StateKind.WEIGHT]
        trained = trained + local.elements / divisor[StateKind.OPTIMIZER]
        copies = storage.gradient_copy_bytes / divisor[StateKind.MASTER]
        gradient_copies = gradient_copies + local.elements * copies
        gradients = gradients + local.elements * (storage.gradient_bytes / divisor[StateKind.GRADIENT] + copies)
        written = np.where(
            shards.get(StateKind.GRADIENT, False), storage.unsharded_weight_bytes, storage.gradient_bytes
        )
        fresh = fresh + local.elements * written
        optimizer = optimizer + optimizer_bytes(context, local, divisor)
        if context.optimizer.temporary_bytes is not None:
            transient = context.optimizer.temporary_bytes(local, storage) / divisor[StateKind.OPTIMIZER]
            adds = context.optimizer.temporaries_add
            temporary = temporary + transient if adds else np.maximum(temporary, transient)
    extra = trained * context.optimizer.step_bytes_per_parameter
    # One update reads the gradients and the weights, reads and writes master copy and moments, and writes the weights.
    step_bytes = gradients + 2.0 * optimizer + 2.0 * weights + extra
    weights = weights + frozen
    return BlockStates(weights, gradients, gradient_copies, fresh, optimizer, step_bytes, temporary, trained)


def optimizer_bytes(context: Context, local: LocalGroup, divisor: Mapping[StateKind, Array]) -> Array:
    """Bytes of master copy and optimizer states of one group on one rank, each kind of state divided by its `divisor`."""
    total: Array = local.elements * context.storage.master_bytes / divisor[StateKind.MASTER]
    for state in context.optimizer.states(local, context.storage):
        shard = divisor[StateKind.OPTIMIZER] if state.sharded else 1.0
        total = total + state.elements * state.bytes_per_element / shard
    return total
