"""Megatron-Core with Transformer Engine operators.

Sources: NVIDIA/Megatron-LM (megatron/core/distributed, megatron/core/optimizer, megatron/core/tensor_parallel);
activations: arXiv 2205.05198, table 2, without its dropout where the model has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import (
    Attention,
    DeviceOverheads,
    Footprint,
    Framework,
    Numerics,
    Operator,
    Overlaps,
    Precision,
    Region,
    Storage,
    Stored,
    fused_norm,
    hookimpl,
    keep_inputs,
    keep_nothing,
    keep_router_scores,
    stored,
)

SOURCE = "NVIDIA/Megatron-LM, megatron/core; arXiv:2205.05198, table 2"
MIB = 1 << 20


def storage(precision: Precision) -> Storage:
    """docs/user-guide/features/dist_optimizer.md: bf16 keeps 2 + 4 + 12 bytes, fp16 2 + 2 + 16, fp32 4 + 4 + 8."""
    mixed = precision.master_bytes > 0
    half = precision.compute == "fp16"
    return Storage(
        weight_bytes=2.0 + precision.weight_cache_bytes if mixed else precision.weight_bytes,
        gradient_bytes=2.0 if half else 4.0 if mixed else precision.gradient_bytes,
        gradient_copy_bytes=4.0 if half else 0.0,
        master_bytes=precision.master_bytes,
        state_bytes=precision.state_bytes,
        unsharded_weight_bytes=precision.communication_bytes,
        reduce_bytes=2.0 if half else 4.0 if mixed else precision.gradient_bytes,
    )





def linear(operator: Operator, numerics: Numerics) -> Footprint:
    """A GEMM keeps its input (in fp8 recipes the quantised one); under sequence parallelism only its shard."""
    return Footprint(saved=tuple(stored(tensor, numerics.gemm_input_bytes) for tensor in operator.inputs))


def head(operator: Operator, numerics: Numerics) -> Footprint:
    """The output projection runs in the compute format, whatever the recipe of the layers."""
    return keep_inputs(operator, numerics)



def attention(operator: Operator, numerics: Numerics) -> Footprint:
    """Flash: Q, K, V, the output and a float32 log-sum-exp per head. Unfused: the softmax output, and with dropout its mask
    and its output, each heads × keys per token (the 5as²b of arXiv 2205.05198)."""
    assert isinstance(operator, Attention)
    kept = [stored(tensor, numerics.activation_bytes) for tensor in (*operator.inputs, *operator.outputs)]
    if numerics.attention == "flash":
        kept.append(Stored(f"{operator.name}.logsumexp", operator.heads, Region.INTERIOR, 4.0))
        return Footprint(saved=tuple(kept))
    keys = operator.window or -1
    kept.append(Stored(f"{operator.name}.probabilities", operator.heads, Region.INTERIOR, numerics.activation_bytes, keys))
    if numerics.dropout:
        kept.append(Stored(f"{operator.name}.dropout_mask", operator.heads, Region.INTERIOR, 1.0, keys))
        kept.append(Stored(f"{operator.name}.dropout_output", operator.heads, Region.INTERIOR, numerics.activation_bytes, keys))
    return Footprint(saved=tuple(kept))


def dropout(operator: Operator, _numerics: Numerics) -> Footprint:
    """One byte of mask per element."""
    source = operator.inputs[0]
    return Footprint(saved=(Stored(f"{operator.name}.mask", source.width, source.region, 1.0),))



def loss(operator: Operator, numerics: Numerics) -> Footprint:
    """Vocabulary-parallel cross-entropy: the float32 softmax stays for the backward, where it becomes the gradient in place
    and is cast to the compute format."""
    logits = operator.inputs[0]
    return Footprint(
        saved=(Stored(f"{operator.name}.softmax", logits.width, logits.region, 4.0),),
        forward=(Stored("logits", logits.width, logits.region, numerics.activation_bytes),),
        backward=(Stored("logits.gradient", logits.width, logits.region, numerics.activation_bytes),),
    )


@hookimpl
def planner_frameworks() -> Iterator[Framework]:
    yield Framework(
        name="megatron-core",
        aliases=("megatron", "megatron-lm", "nemo", "megatron-bridge", "nanotron", "internevo"),
        storage=storage,
        footprints={
            "linear": linear,
            "expert_linear": linear,
            "head": head,
            "norm": fused_norm,
            "attention": attention,
            "activation": keep_inputs,
            "gated_activation": keep_inputs,
            "router": keep_router_scores,
            "dropout": dropout,
            "loss": loss,
            "rotary": keep_nothing,
            "residual": keep_nothing,
            "embedding": keep_nothing,
            "dispatch": keep_nothing,
            "combine": keep_nothing,
        },
        overlaps=Overlaps(
            tensor=0.0, context=1.0, expert=0.0, pipeline=1.0, gradients=1.0, parameters=1.0,
            source="Megatron-LM: --overlap-grad-reduce, --overlap-param-gather, batched p2p; no tp overlap by default",
        ),
        overheads=DeviceOverheads(
            context_bytes=500 * MIB, workspace_bytes=64 * MIB, communicator_bytes=0, fragmentation=0.06,
            source="CUDA context about 0.5 GiB; cuBLAS workspaces 2 x 32 MiB on Hopper; allocator reserve: SimuMax's "
            "mem_factor of 0.94 between allocated and reserved (FORMULAS 3.8)",
        ),
        zero_stages=(0, 1),
        default_zero=0,
        zero_with_pipeline=1,
        schedules=("1f1b", "interleaved"),
        pads_vocabulary=True,
        persistent_gradients=True,
        fused=frozenset({"dropout", "rotary"}),
        launch_overhead_s=4.0e-6,
        source=SOURCE,
    )  # fmt: skip
