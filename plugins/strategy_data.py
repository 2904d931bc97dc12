"""Data parallelism and ZeRO: replicas share the batch, and may share out the training state.

Sources: ZeRO, arXiv 1910.02054, section 5; Megatron-LM's distributed optimizer (docs/user-guide/features/dist_optimizer.md);
PyTorch FSDP, arXiv 2304.11277, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from planner.plugin import (
    EXPERT_REPLICAS,
    REPLICAS,
    Block,
    Buffer,
    Choice,
    Collective,
    Communication,
    Component,
    Context,
    Degree,
    Instant,
    Layouts,
    ParameterClass,
    Phase,
    Refusal,
    StateKind,
    Strategy,
    Value,
    divisors,
    hookimpl,
)

SOURCE = "ZeRO, arXiv:1910.02054, section 5; FSDP, arXiv:2304.11277, section 3"
LARGEST_MICRO_BATCH = 16


def zero_stages(context: Context) -> tuple[int, ...]:
    return context.framework.zero_stages


def dp_candidates(context: Context) -> tuple[int, ...]:
    return divisors(context.job.global_batch, context.cluster.accelerators)


def micro_batch_candidates(context: Context) -> tuple[int, ...]:
    return divisors(context.job.global_batch, LARGEST_MICRO_BATCH)


def shards_states(_context: Context, layouts: Layouts) -> Mapping[StateKind, Value]:
    zero = layouts["zero"]
    return {
        StateKind.WEIGHT: zero >= 3,
        StateKind.GRADIENT: zero >= 2,
        StateKind.MASTER: zero >= 1,
        StateKind.OPTIMIZER: zero >= 1,
    }


def communications(context: Context, layouts: Layouts, block: Block) -> Iterator[Communication]:
    """Gradients: all-reduced once (ZeRO-0), reduce-scattered once (1) or in every micro-batch (2, 3: sharded gradients
    cannot wait). Weights: gathered once after the step (1, 2), or before each forward and backward (3)."""
    zero = layouts["zero"]
    dense = 0.0
    for kind, elements in context.local_elements(block, layouts).items():
        if kind is ParameterClass.EXPERT:
            yield from _group(context, layouts, elements, zero, EXPERT_REPLICAS)
        else:
            dense = dense + elements
    yield from _group(context, layouts, dense, zero, REPLICAS)


def _group(context: Context, layouts: Layouts, elements: Value, zero: Value, axis: str) -> Iterator[Communication]:
    gradient_bytes = elements * context.storage.reduce_bytes
    weight_bytes = elements * context.storage.unsharded_weight_bytes
    overlaps = context.framework.overlaps
    reshards = layouts["reshard_after_forward"]

    def send(collective: Collective, payload: Value, phase: Phase, overlap: float, when: Value) -> Communication:
        return Communication(
            collective=collective, axes=(axis,), payload_bytes=payload, phase=phase, component="dp",
            events=np.where(when, 1.0, 0.0), overlap=overlap, source=SOURCE,
        )  # fmt: skip

    yield send(Collective.ALL_REDUCE, gradient_bytes, Phase.GRADIENT_SYNC, overlaps.gradients, zero == 0)
    yield send(Collective.REDUCE_SCATTER, gradient_bytes, Phase.GRADIENT_SYNC, overlaps.gradients, zero == 1)
    yield send(Collective.REDUCE_SCATTER, gradient_bytes, Phase.BACKWARD, overlaps.gradients, zero >= 2)
    yield send(Collective.ALL_GATHER, weight_bytes, Phase.PARAMETER_SYNC, overlaps.parameters, (zero == 1) | (zero == 2))
    yield send(Collective.ALL_GATHER, weight_bytes, Phase.FORWARD, overlaps.parameters, zero >= 3)
    yield send(Collective.ALL_GATHER, weight_bytes, Phase.BACKWARD, overlaps.parameters, (zero >= 3) & (reshards == 1))


def buffers(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """With ZeRO-3: the unsharded copy of the layer at work and of the one prefetched, the layer's unsharded gradient and
    its reduce-scatter input in the backward, and the root unit (embedding, final norm, head) where it stays gathered.

    Without resharding every layer's copy stays from its forward to its backward.
    """
    sharded = layouts["zero"] >= 3
    storage = context.storage
    layer: Value = 0.0
    whole: Value = 0.0
    layers_per_stage = np.ceil(len(context.program.layers) / layouts["pp"])
    for block in context.program.kinds:
        elements = sum(context.local_elements(block, layouts).values())
        layer = np.maximum(layer, elements)
    whole = layer * layers_per_stage
    resharded = layouts["reshard_after_forward"] == 1
    gathered = np.where(resharded, np.minimum(2.0, layers_per_stage) * layer, whole)
    yield Buffer(
        name="unsharded weights", component=Component.OTHER,
        bytes=np.where(sharded, gathered * storage.unsharded_weight_bytes, 0.0),
        instants=(Instant.FORWARD, Instant.BACKWARD),
    )  # fmt: skip
    yield Buffer(
        name="unsharded weights of the last layers", component=Component.OTHER,
        bytes=np.where(sharded, np.minimum(2.0, layers_per_stage) * layer * storage.unsharded_weight_bytes, 0.0),
        instants=(Instant.BACKWARD_END,),
    )  # fmt: skip
    yield Buffer(
        name="unsharded gradient and reduce-scatter input", component=Component.OTHER,
        bytes=np.where(sharded, layer * (storage.unsharded_weight_bytes + storage.reduce_bytes), 0.0),
        instants=(Instant.BACKWARD, Instant.BACKWARD_END),
    )  # fmt: skip
    if context.framework.root_stays_unsharded:
        program = context.program
        ends = [sum(context.local_elements(block, layouts).values()) for block in (program.embedding, program.head)]
        yield Buffer(
            name="unsharded root unit", component=Component.OTHER,
            bytes=np.where(sharded, np.where(layouts["pp"] > 1, np.maximum(*ends), ends[0] + ends[1]), 0.0)
            * storage.unsharded_weight_bytes,
        )  # fmt: skip


def refusals(context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Batches that do not divide, and ZeRO stages with nothing to divide or that the framework does not combine."""
    replicas, zero = layouts["replicas"], layouts["zero"]
    batch = layouts["dp"] * layouts["micro_batch"]
    yield Refusal(
        reason="global batch is not a multiple of dp x micro batch", where=np.mod(context.job.global_batch, batch) != 0
    )
    yield Refusal(reason="ZeRO without replicas to shard over", where=(zero > 0) & (replicas == 1))
    yield Refusal(
        reason=f"{context.framework.name} does not combine this ZeRO stage with pipeline parallelism",
        where=(layouts["pp"] > 1) & (zero > context.framework.zero_with_pipeline),
    )
    yield Refusal(
        reason="keeping weights gathered after the forward applies to ZeRO-3 only",
        where=(layouts["reshard_after_forward"] == 0) & (zero < 3),
    )


@hookimpl
def planner_strategies() -> Iterator[Strategy]:
    yield Strategy(
        name="data",
        degrees=(
            Degree(name="dp", candidates=dp_candidates, multiplies_gpus=True, help="data-parallel replicas"),
            Degree(name="micro_batch", candidates=micro_batch_candidates, help="sequences in one forward pass"),
        ),
        choices=(
            Choice(name="zero", values=(0, 1, 2, 3), candidates=zero_stages, help="ZeRO stage (3: FSDP)"),
            Choice(
                name="reshard_after_forward", values=(1, 0), candidates=lambda _context: (1,),
                help="ZeRO-3: free a layer's gathered weights after its forward",
            ),
        ),
        shards_states=shards_states,
        communications=communications,
        buffers=buffers,
        refusals=refusals,
        source=SOURCE,
    )  # fmt: skip
