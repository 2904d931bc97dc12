"""What lives in the host's memory: bytes that leave the device, and seconds that their way back and forth costs.

Sources: ZeRO-Offload, arXiv 2101.06840; ZeRO-Infinity, arXiv 2104.07857; FORMULAS section 2, "Offload".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from planner.domain.mesh import Array, Layouts, Mask
from planner.plugin import Buffer, Component, Context, Instant, Offload, Phase, StateKind
from planner.search.columns import StageColumn, over_stage
from planner.search.model_states import BlockStates
from planner.search.timing import BlockTimes, Exposed

HOST_LINK_FRACTION: Final = 0.78
"""Achieved over nominal bandwidth of PCIe between device and host: 25 of 32 GB/s on an A100, 12 of 16 on a V100 (BaM,
arXiv 2203.04910, and its author in ZaidQureshi/bam issue 54)."""
DEFAULT_HOST_LINK_BYTES_PER_S: Final = 32e9
"""PCIe 4.0 x16, one direction, where the catalog does not say."""
HOST_UPDATE_S_PER_PARAMETER: Final = 0.24e-9
"""The host's Adam, which all ranks of a node share. It depends on the host's memory and cores: the geometric mean of what two
sources published, either of which is three times off. 8.2 s for 11.6 billion parameters (DeepSpeedCPUAdam in 2021;
deepspeedai/DeepSpeed, pull request 735); 4 s for the 50.7 billion of a node with 8 H100s (PyTorch 2.5;
LambdaLabsML/distributed-training-guide, 05-training-llama-405b)."""
HOST_GRADIENT_BYTES: Final = 4.0
"""The host's optimizer reads float32 gradients (deepspeed/ops/adam/cpu_adam.py; 16 bytes per parameter with master copy and
moments, DeepSpeed's estimate of ZeRO-2 with offload before its buffers)."""
ADAM_BYTES: Final = 30.0
"""What Adam moves per parameter: master copy and moments read and written, the gradient read, the weight written."""
SOURCE: Final = "ZeRO-Offload, arXiv:2101.06840; ZeRO-Infinity, arXiv:2104.07857"
LAYERS_ON_THEIR_WAY: Final = 2.0
"""The layer at work and the one before or after it, whose copy is under way."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Where which part of the training state, or what layers save, is in the host's memory."""

    weights: Mask
    gradients: Mask
    optimizer: Mask
    activations: Mask

    @classmethod
    def of(cls, context: Context, layouts: Layouts, offloads: Sequence[Offload]) -> Moved | None:
        """None where nothing moves in any layout of the mesh."""
        if not any(offload.states or offload.activations for offload in offloads):
            return None

        def where(moves: Sequence[bool]) -> Mask:
            return layouts.choose("offload", [float(each) for each in moves]) > 0

        optimizer = where([StateKind.OPTIMIZER in offload.states for offload in offloads])
        gradients = where([StateKind.GRADIENT in offload.states for offload in offloads])
        return cls(
            weights=where([StateKind.WEIGHT in offload.states for offload in offloads]),
            gradients=gradients | optimizer if context.framework.gradients_follow_optimizer else gradients,
            optimizer=optimizer,
            activations=where([offload.activations for offload in offloads]),
        )

    def left_on_device(self, states: BlockStates) -> BlockStates:
        """What of a block's states the device keeps."""
        copied = np.where(self.optimizer, states.gradients - states.gradient_copies, states.gradients)
        return replace(
            states,
            weights=np.where(self.weights, 0.0, states.weights),
            gradients=np.where(self.gradients, 0.0, copied),
            gradient_copies=np.where(self.optimizer, 0.0, states.gradient_copies),
            fresh_gradients=np.where(self.gradients, 0.0, states.fresh_gradients),
            optimizer=np.where(self.optimizer, 0.0, states.optimizer),
            step_bytes=np.where(self.optimizer, 0.0, states.step_bytes),
            step_temporary=np.where(self.optimizer, 0.0, states.step_temporary),
        )

    def held(self, saved: Array, layer: Array) -> Array:
        """What the device holds of `saved` bytes: all, or the layers whose copy is under way."""
        return np.where(self.activations, np.minimum(saved, LAYERS_ON_THEIR_WAY * layer), saved)


def streams(
    context: Context, layouts: Layouts, moved: Moved, states: Sequence[BlockStates], sharded: Mask
) -> Iterator[Buffer]:
    """Room on the device for weights that come from the host layer by layer and gradients that leave it, where no ZeRO-3
    gathers them into buffers of its own. `states` are the blocks' before anything moved."""
    size = context.storage.unsharded_weight_bytes
    whole, reduced = [], []
    for block, state in zip(context.program.blocks, states, strict=True):
        elements = sum(context.local_elements(block, layouts).values(), np.zeros(1))
        trained = sum(context.local_elements(block, layouts, trainable_only=True).values(), np.zeros(1))
        # Quantised and frozen weights travel as they are kept.
        whole.append(np.minimum(elements * size, state.weights))
        reduced.append(trained * context.storage.reduce_bytes)
    layer, gradient = _largest(whole[1:-1]), _largest(reduced[1:-1])
    leaves = moved.gradients & ~sharded
    yield Buffer(
        name="weights on their way from the host", component=Component.WEIGHTS, plugin="core", source=SOURCE,
        bytes=np.where(moved.weights & ~sharded, LAYERS_ON_THEIR_WAY * layer + np.maximum(whole[0], whole[-1]), 0.0),
    )  # fmt: skip
    yield Buffer(
        name="gradients on their way to the host", component=Component.GRADIENTS, plugin="core", source=SOURCE,
        bytes=np.where(leaves, gradient, 0.0), instants=(Instant.BACKWARD, Instant.LAST_BACKWARD),
    )  # fmt: skip
    # In a pipeline the fullest stage is rarely the one with the head: its gradient is left out there.
    ends = np.where(leaves & (layouts["pp"] == 1), np.maximum(reduced[0], reduced[-1]), 0.0)
    yield Buffer(
        name="gradients of embedding and head on their way to the host", component=Component.GRADIENTS, plugin="core",
        source=SOURCE, bytes=ends, instants=(Instant.LOSS, Instant.EMBEDDING),
    )  # fmt: skip


def _largest(sizes: Sequence[Array]) -> Array:
    largest: Array = np.zeros(1)
    for size in sizes:
        largest = np.maximum(largest, size)
    return largest


def host_link_bytes_per_s(context: Context) -> float:
    """What a device and its host reach in one direction."""
    nominal = context.cluster.accelerator.pcie_bytes_per_s or DEFAULT_HOST_LINK_BYTES_PER_S
    return nominal * HOST_LINK_FRACTION


def with_host_traffic(
    context: Context, times: BlockTimes, moved: Moved, states: BlockStates, saved: Array
) -> BlockTimes:
    """A block's times with what it cannot hide of sending weights and saved activations there and back, and reduced gradients
    to the host: both directions of the link at once, behind the block's own compute.

    `states` are the block's before anything moved, `saved` its bytes.
    """
    link = host_link_bytes_per_s(context)
    weights = np.where(moved.weights, states.weights, 0.0)
    gradients = np.where(moved.gradients, states.updated * context.storage.reduce_bytes, 0.0)
    activations = np.where(moved.activations, saved, 0.0)
    forward_s = np.maximum(weights, activations) / link
    backward_s = np.maximum(weights + activations, gradients) / link
    exposed = dict(times.exposed)
    for phase, took, window in (
        (Phase.FORWARD, forward_s, times.forward_s),
        (Phase.BACKWARD, backward_s, times.backward_s + times.recompute_s),
    ):
        sticks_out = {"other": np.maximum(0.0, took - window)}
        exposed[phase] = Exposed(dict(exposed[phase].by_component) | sticks_out)
    return replace(times, exposed=exposed)


def host_step_s(
    context: Context, layouts: Layouts, moved: Moved, columns: Sequence[StageColumn], states: Sequence[BlockStates]
) -> Array:
    """The host's optimizer step: gradients down, the update by all ranks of a node at once, weights up; nothing overlaps."""
    link = host_link_bytes_per_s(context)
    storage = context.storage
    down = np.where(moved.gradients, 0.0, storage.reduce_bytes)
    up = np.where(moved.weights, 0.0, storage.unsharded_weight_bytes)
    ranks = np.minimum(layouts["n_gpus"], context.cluster.node.accelerators_per_node)
    longest: Array = np.zeros(1)
    for column in columns:
        updated = over_stage(column, [block.updated for block in states])
        touched = over_stage(column, [2.0 * block.optimizer for block in states]) + 6.0 * updated
        host_s = ranks * HOST_UPDATE_S_PER_PARAMETER / ADAM_BYTES * touched
        longest = np.maximum(longest, updated * (down + up) / link + host_s)
    return longest


def host_bytes(moved: Moved, column: StageColumn, whole: Sequence[BlockStates], saved: Array) -> Array:
    """What a rank of one stage keeps in the host's memory: the weights that compute reads, float32 gradients, master copy and
    moments of the parameters it updates, and `saved`, what its layers save for the backward."""
    weights = over_stage(column, [block.weights for block in whole])
    states = over_stage(column, [block.optimizer + block.updated * HOST_GRADIENT_BYTES for block in whole])
    kept = np.where(moved.weights, weights, 0.0) + np.where(moved.optimizer, states, 0.0)
    return kept + np.where(moved.activations, saved, 0.0)
