"""Data parallelism and ZeRO: replicas share the batch, and may share out the training state.

Sources: ZeRO, arXiv 1910.02054, section 5; Megatron-LM's distributed optimizer (docs/user-guide/features/dist_optimizer.md);
PyTorch FSDP, arXiv 2304.11277, section 3, hybrid sharding (HSDP) in section 3.2.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from planner.plugin import (
    EXPERT_REPLICAS,
    REPLICAS,
    SHARD_GROUP,
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
    is_multiple,
)

SOURCE = "ZeRO, arXiv:1910.02054, section 5; FSDP, arXiv:2304.11277, section 3"
LARGEST_MICRO_BATCH = 16


def zero_stages(context: Context) -> tuple[int, ...]:
    """What the framework offers."""
    return context.framework.zero_stages


def dp_candidates(context: Context) -> tuple[int, ...]:
    """Divisors of the global batch."""
    return divisors(context.job.global_batch, context.cluster.accelerators)


def micro_batch_candidates(context: Context) -> tuple[int, ...]:
    """Divisors of the global batch, up to a size beyond which nothing is gained."""
    return divisors(context.job.global_batch, LARGEST_MICRO_BATCH)


def shards_states(_context: Context, layouts: Layouts) -> Mapping[StateKind, Value]:
    """Stage 1 shares out the optimizer's states and the master copy, 2 gradients too, 3 weights too."""
    zero = layouts["zero"]
    return {
        StateKind.WEIGHT: zero >= 3,
        StateKind.GRADIENT: zero >= 2,
        StateKind.MASTER: zero >= 1,
        StateKind.OPTIMIZER: zero >= 1,
    }


def communications(context: Context, layouts: Layouts, block: Block) -> Iterator[Communication]:
    """In every micro-batch: gradients are reduce-scattered (ZeRO-2, 3: sharded gradients cannot wait), weights gathered before
    each forward and backward (3). In shard groups (HSDP) this stays inside a group, and the groups all-reduce the shards of
    the gradients."""
    if any(int(stage) >= 2 for stage in layouts.values["zero"]):
        for axis, whole, changing in _by_replicas(context, layouts, block):
            yield from _group(context, layouts, whole, changing, axis, once=False)


def synchronisations(context: Context, layouts: Layouts, block: Block) -> Iterator[Communication]:
    """Once a step: gradients are all-reduced (ZeRO-0) or reduce-scattered (1, unless the framework all-reduces them too), weights
    gathered after the step (1, 2); frozen weights have no gradients. Shard groups as in every micro-batch; ZeRO-0 knows none."""
    for axis, whole, changing in _by_replicas(context, layouts, block):
        yield from _group(context, layouts, whole, changing, axis, once=True)


def _by_replicas(context: Context, layouts: Layouts, block: Block) -> Iterator[tuple[str, Value, Value]]:
    """The parameters of experts, then all others: over which replicas they are, all that a rank holds, and those that train."""
    every = context.local_elements(block, layouts)
    trained = every
    if not all(group.trainable for group in block.parameters):
        trained = context.local_elements(block, layouts, trainable_only=True)
    for axis, is_expert in ((EXPERT_REPLICAS, True), (REPLICAS, False)):
        if not any((kind is ParameterClass.EXPERT) == is_expert for kind in every):
            continue
        whole, changing = (
            sum(value for kind, value in found.items() if (kind is ParameterClass.EXPERT) == is_expert)
            for found in (every, trained)
        )
        yield axis, whole, changing


def _group(
    context: Context, layouts: Layouts, elements: Value, trained: Value, axis: str, *, once: bool
) -> Iterator[Communication]:
    zero = layouts["zero"]
    gradient_bytes = trained * context.storage.reduce_bytes
    weight_bytes = elements * context.storage.unsharded_weight_bytes
    updated_bytes = trained * context.storage.unsharded_weight_bytes
    overlaps = context.framework.overlaps
    reshards = layouts["reshard_after_forward"]
    groups = shard_groups(layouts)
    shard_bytes = gradient_bytes / np.maximum(1.0, layouts[axis] / groups)

    buckets = _buckets(context, layouts, trained)
    gathers = np.minimum(buckets, 1.0)
    if context.framework.broadcasts_weights:
        gathers = _broadcasts(context, layouts, trained, layouts[axis] / groups)

    def send(
        collective: Collective,
        payload: Value,
        phase: Phase,
        overlap: Value,
        when: Value,
        axes: tuple[str, ...] = (SHARD_GROUP, axis),
    ) -> Communication:
        pieces = {Phase.GRADIENT_SYNC: buckets, Phase.PARAMETER_SYNC: gathers}.get(phase, 1.0)
        return Communication(
            collective=collective, axes=axes, payload_bytes=payload / pieces, phase=phase, component="dp",
            events=np.where(when, pieces, 0.0), overlap=overlap, source=SOURCE,
        )  # fmt: skip

    hidden: Value = overlaps.gradients
    if once:
        all_reduces = context.framework.all_reduces_gradients
        largest = 1 if all_reduces is not None and all_reduces(context) else 0
        phase, when = Phase.GRADIENT_SYNC, (zero == 1) & (zero > largest)
        yield send(Collective.ALL_REDUCE, gradient_bytes, phase, overlaps.gradients, zero <= largest, (axis,))
    else:
        phase, when = Phase.BACKWARD, zero >= 2
        hidden = np.where(zero >= 3, overlaps.gradients, overlaps.gradients * overlaps.once_a_step)
    yield send(Collective.REDUCE_SCATTER, gradient_bytes, phase, hidden, when)
    across = when & (groups > 1)
    yield send(Collective.ALL_REDUCE, shard_bytes, phase, hidden, across, (axis, SHARD_GROUP))
    if once:
        gathered = (zero == 1) | (zero == 2)
        yield send(Collective.ALL_GATHER, updated_bytes, Phase.PARAMETER_SYNC, overlaps.parameters, gathered)
        return
    yield send(Collective.ALL_GATHER, weight_bytes, Phase.FORWARD, overlaps.parameters, zero >= 3)
    yield send(Collective.ALL_GATHER, weight_bytes, Phase.BACKWARD, overlaps.parameters, (zero >= 3) & (reshards == 1))


def _buckets(context: Context, layouts: Layouts, elements: Value) -> Value:
    """In how many collectives, on average, a block's gradients are reduced: small blocks share one, large ones need several.
    Weights are gathered in no more than one per block."""
    bucket = context.framework.sync_bucket_elements
    return 1.0 if bucket is None else np.where(np.asarray(elements) > 0, elements / bucket(context, layouts), 1.0)


def _broadcasts(context: Context, layouts: Layouts, elements: Value, ranks: Value) -> Value:
    """A block's share of one broadcast by each rank, of its part of all that a stage holds. Along a ring a broadcast takes as
    long as an all-gather of as many bytes."""
    counts = (1, *context.program.counts(), 1)
    held: Value = 0.0
    for count, block in zip(counts, context.program.blocks, strict=True):
        for each in context.local_elements(block, layouts, trainable_only=True).values():
            held = np.add(held, count * each)
    return np.where(np.asarray(elements) > 0, ranks * elements / np.maximum(1.0, held / layouts["pp"]), 1.0)


def shard_groups(layouts: Layouts) -> Value:
    """How many groups the replicas are cut into; `shard_group` counts the ranks of one, 1 stands for all replicas."""
    size = layouts.degree(SHARD_GROUP)
    return np.where(size > 1, np.maximum(1.0, layouts["replicas"] / size), 1.0)


def buffers(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """What ZeRO-3 keeps gathered. In the forward and the backward: the layer at work and the one prefetched; at the loss the
    last layer alone; without resharding every layer, until its backward. In the backward also the layer's unsharded gradient
    and the reduce-scatter input of the layer before it. The root unit (embedding, final norm, head) stays gathered from the
    first forward to the last layer's backward where the framework keeps it so; then it is freed and its gradient reduced."""
    sharded = layouts["zero"] >= 3
    size, reduced = context.storage.unsharded_weight_bytes, context.storage.reduce_bytes
    layers = np.ceil(len(context.program.layers) / layouts["pp"])
    layer: Value = 0.0
    for block in context.program.kinds:
        layer = np.maximum(layer, sum(context.local_elements(block, layouts).values()))
    two, whole = np.minimum(2.0, layers) * layer, layer * layers
    resharded = layouts["reshard_after_forward"] == 1

    def hold(name: str, elements: Value, width: float, *instants: Instant) -> Buffer:
        held = np.where(sharded, elements * width, 0.0)
        return Buffer(name=name, component=Component.OTHER, bytes=held, instants=instants)

    yield hold("gathered layers", np.where(resharded, two, whole), size, Instant.FORWARD, Instant.BACKWARD)
    yield hold("gathered layers at the loss", np.where(resharded, layer, whole), size, Instant.LOSS)
    yield hold("gathered last layers", two, size, Instant.LAST_BACKWARD)
    yield hold("unsharded gradient of a layer", layer, size, Instant.BACKWARD, Instant.LAST_BACKWARD)
    yield hold("reduce-scatter input", layer, reduced, Instant.LAST_BACKWARD)
    embedding, head = (
        sum(context.local_elements(block, layouts).values())
        for block in (context.program.embedding, context.program.head)
    )
    if not context.framework.root_stays_unsharded:
        output = head + embedding if context.architecture.tied_embeddings else head
        yield hold("gathered head", output, size, Instant.LOSS)
        yield hold("unsharded gradient of the head", output, size, Instant.LOSS)
        yield hold("unsharded gradient of the embedding", embedding, size, Instant.EMBEDDING)
    else:
        alone = layouts["pp"] > 1
        root = np.where(alone, np.maximum(embedding, head), embedding + head)
        yield hold(
            "gathered root unit", root, size,
            Instant.FORWARD, Instant.LOSS, Instant.BACKWARD, Instant.LAST_BACKWARD,
        )  # fmt: skip
        yield hold("unsharded gradient of the head", head, size, Instant.BACKWARD, Instant.LAST_BACKWARD)
        yield hold("unsharded gradient of the root unit", root, size, Instant.EMBEDDING)
        yield hold("reduce-scatter input of the root unit", root, reduced, Instant.EMBEDDING)


def refusals(context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Batches that do not divide, and ZeRO stages with nothing to divide or that the framework does not combine."""
    replicas, zero = layouts["replicas"], layouts["zero"]
    batch = layouts["dp"] * layouts["micro_batch"]
    yield Refusal(
        reason="global batch is not a multiple of dp x micro batch", where=~is_multiple(context.job.global_batch, batch)
    )
    shardable = context.framework.sharded_optimizers
    if shardable and context.optimizer.name not in shardable:
        yield Refusal(
            reason=f"{context.framework.name} does not share out the states of {context.optimizer.name}", where=zero > 0
        )
    yield Refusal(reason="ZeRO without replicas to shard over", where=(zero > 0) & (replicas == 1))
    size = layouts.degree(SHARD_GROUP)
    yield Refusal(reason="a shard group without ZeRO", where=(size > 1) & (zero == 0))
    yield Refusal(reason="shard_group does not divide the replicas", where=~is_multiple(replicas, size))
    if context.architecture.moe is not None:
        uneven = ~is_multiple(layouts["expert_replicas"], shard_groups(layouts))
        yield Refusal(reason="experts do not fit into one shard group", where=uneven)
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
    """Data parallelism with its ZeRO stages."""
    yield Strategy(
        name="data",
        degrees=(
            Degree(name="dp", candidates=dp_candidates, multiplies_gpus=True, help="data-parallel replicas"),
            Degree(name="micro_batch", candidates=micro_batch_candidates, help="sequences in one forward pass"),
            Degree(
                name=SHARD_GROUP, candidates=lambda _context: (1,),
                help="replicas that share states out among themselves (HSDP; 1: all)",
            ),
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
        synchronisations=synchronisations,
        buffers=buffers,
        refusals=refusals,
        source=SOURCE,
    )  # fmt: skip
