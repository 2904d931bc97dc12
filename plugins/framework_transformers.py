"""Hugging Face transformers' eager model code: under autocast (`transformers`), or sharded by FSDP2 with a mixed-precision
policy (`accelerate`).

What each operator keeps follows from the model code (modeling_llama.py and its siblings) and from PyTorch's derivative
formulas (tools/autograd/derivatives.yaml). Norms written in Python keep float32 copies; autocast keeps the float32 input of a
norm and gives each linear a cast of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from planner.plugin import (
    Array,
    Attention,
    Buffer,
    Component,
    Context,
    Footprint,
    Framework,
    Instant,
    Layouts,
    Linear,
    Numerics,
    Operator,
    Overlaps,
    Part,
    Precision,
    Region,
    StateKind,
    Storage,
    Stored,
    Traffic,
    composite_rms_norm,
    cuda_overheads,
    dropout_mask,
    hookimpl,
    keep_inputs,
    keep_nothing,
    separate_clamped_activation,
    stored,
)

SOURCE: Final = (
    "huggingface/transformers, src/transformers/models/llama/modeling_llama.py; "
    "pytorch/pytorch, tools/autograd/derivatives.yaml"
)
FLOAT32: Final = 4.0
EAGER_HOST_S_PER_OPERATOR: Final = 93e-6
"""As of Megatron-DeepSpeed, where it was fitted (`HOST_S_PER_OPERATOR` of framework_megatron.py): an assumption."""


def storage(precision: Precision) -> Storage:
    """Mixed recipes keep float32 weights, gradients and moments; pure ones their own format throughout."""
    mixed = precision.master_bytes > 0
    width = FLOAT32 if mixed else precision.weight_bytes
    return Storage(
        weight_bytes=width,
        gradient_bytes=width,
        gradient_copy_bytes=0.0,
        master_bytes=0.0,
        state_bytes=width,
        unsharded_weight_bytes=precision.activation_bytes,
        reduce_bytes=width,
    )


def single_format_storage(precision: Precision) -> Storage:
    """LitGPT's bf16-true, torchtune's dtype=bf16, PEFT on 16-bit weights: weights, gradients and moments in one format."""
    width = precision.activation_bytes
    return Storage(
        weight_bytes=width,
        gradient_bytes=width,
        gradient_copy_bytes=0.0,
        master_bytes=0.0,
        state_bytes=width,
        unsharded_weight_bytes=width,
        reduce_bytes=width,
    )


def linear(operator: Operator, numerics: Numerics) -> Footprint:
    """A GEMM keeps its input. Under autocast a float32 input (a norm's output) is cast once per linear; tensor-parallel
    linears keep the gathered input."""
    kept = []
    for tensor in operator.inputs:
        residual = tensor.region is Region.RESIDUAL
        name = f"{operator.name}.cast" if residual and numerics.autocast else tensor.name
        region = Region.GATHERED if residual else tensor.region
        kept.append(Stored(name, tensor.width, region, numerics.activation_bytes))
    return Footprint(saved=tuple(kept))


def head(operator: Operator, numerics: Numerics) -> Footprint:
    """The output projection is a linear like the others."""
    return linear(operator, numerics)


def gemma_norm(operator: Operator, _numerics: Numerics) -> Footprint:
    """Gemma multiplies by 1 + weight in float32: the float32 input and the float32 normalised x."""
    source = operator.inputs[0]
    return Footprint(
        saved=(
            Stored(f"{operator.name}.float", source.width, source.region, FLOAT32),
            Stored(f"{operator.name}.rsqrt", 1, source.region, FLOAT32),
            Stored(f"{operator.name}.normalised", source.width, source.region, FLOAT32),
        )
    )


def layer_norm(operator: Operator, numerics: Numerics) -> Footprint:
    """aten's layer_norm: the input (the float32 residual under autocast), mean and reciprocal deviation."""
    source = operator.inputs[0]
    return Footprint(
        saved=(
            stored(source, numerics.residual_bytes),
            Stored(f"{operator.name}.statistics", 2, source.region, FLOAT32),
        )
    )


def attention(operator: Operator, numerics: Numerics) -> Footprint:
    """scaled_dot_product_attention by kernel, or eager: softmax in float32, its copy in the compute format."""
    assert isinstance(operator, Attention)
    size = numerics.activation_bytes
    heads, keys = operator.heads, operator.window or -1
    kept = [*attention_inputs(operator, numerics), stored(operator.outputs[0], size)]
    if numerics.attention in ("flash", "efficient"):
        kept.append(Stored(f"{operator.name}.logsumexp", heads, Region.INTERIOR, FLOAT32))
        return Footprint(saved=tuple(kept))
    kept.append(Stored(f"{operator.name}.probabilities", heads, Region.INTERIOR, FLOAT32, keys))
    scores = Stored(f"{operator.name}.scores", 2 * heads, Region.INTERIOR, FLOAT32, keys)
    if numerics.attention == "eager" and size < FLOAT32:
        kept.append(Stored(f"{operator.name}.probabilities_cast", heads, Region.INTERIOR, size, keys))
    if operator.softcap:
        kept.append(Stored(f"{operator.name}.softcap", heads, Region.INTERIOR, size, keys))
    return Footprint(saved=tuple(kept), forward=(scores,), backward=(scores,))


def attention_inputs(operator: Attention, numerics: Numerics) -> Iterator[Stored]:
    """Queries, keys and values. Other kernels than flash repeat grouped keys and values to all heads; values that are a slice
    keep all of the projection that they are cut from; and where queries were concatenated from parts, flash attention's
    output has their memory order, so that the output projection reads a copy."""
    size, heads = numerics.activation_bytes, operator.heads
    flash = numerics.attention == "flash"
    if flash or operator.kv_heads == heads:
        yield from (stored(tensor, size) for tensor in operator.inputs)
    else:
        yield stored(operator.inputs[0], size)
        yield Stored(f"{operator.name}.repeated_key", heads * operator.qk_dim, Region.INTERIOR, size)
        yield Stored(f"{operator.name}.repeated_value", heads * operator.v_dim, Region.INTERIOR, size)
    if operator.sliced_width:
        yield Stored(f"{operator.name}.sliced_projection", operator.sliced_width, Region.INTERIOR, size)
    if operator.concatenated and flash:
        yield Stored(f"{operator.name}.reordered_output", heads * operator.v_dim, Region.INTERIOR, size)


def gated_activation(operator: Operator, numerics: Numerics) -> Footprint:
    """``act(gate) * up`` as two operators: gate, act(gate) and up stay; the product is the down projection's input."""
    gate, up = operator.inputs
    size = numerics.activation_bytes
    activated = Stored(f"{operator.name}.activated", gate.width, gate.region, size)
    return Footprint(saved=(stored(gate, size), activated, stored(up, size)))


def gelu_new(operator: Operator, numerics: Numerics) -> Footprint:
    """The tanh approximation written in Python keeps the input of the power, the tanh, half the input and 1 + tanh. Under
    autocast the power, and all that follows from it, is float32."""
    source = operator.inputs[0]
    chain = FLOAT32 if numerics.autocast else numerics.activation_bytes
    each = Stored(f"{operator.name}.chain", source.width, source.region, 3 * chain + numerics.activation_bytes)
    return Footprint(saved=(each,))


def relu(operator: Operator, numerics: Numerics) -> Footprint:
    """relu keeps its result, which the next GEMM keeps anyway."""
    return Footprint(saved=tuple(stored(tensor, numerics.activation_bytes) for tensor in operator.outputs))


def router(operator: Operator, numerics: Numerics) -> Footprint:
    """The gate's input (a float32 copy of it where the gate runs in float32), float32 logits and probabilities."""
    assert isinstance(operator, Linear)
    scores = Stored(f"{operator.name}.scores", 2 * operator.out_features, Region.ROUTING, FLOAT32)
    kept = linear(operator, numerics).saved
    if operator.float32:
        source = operator.inputs[0]
        kept = (Stored(f"{operator.name}.float", source.width, source.region, FLOAT32),)
    return Footprint(saved=(*kept, scores))


def loss(operator: Operator, numerics: Numerics) -> Footprint:
    """ForCausalLMLoss: logits to float32, log-softmax kept; the forward holds the logits, their float32 copy and the
    log-softmax, the backward the gradient of the log-softmax in and out beside it."""
    logits = operator.inputs[0]
    return Footprint(
        saved=(Stored(f"{operator.name}.log_softmax", logits.width, logits.region, FLOAT32),),
        forward=(Stored("logits.copies", logits.width, logits.region, numerics.activation_bytes + FLOAT32),),
        backward=(Stored("logits.gradients", logits.width, logits.region, 2 * FLOAT32),),
    )


def tensor_parallel_extras(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """DTensor: the vocabulary-parallel embedding's gradient is computed whole on every rank, and the vocabulary-parallel
    loss's backward holds one more float32 copy of the rank's logits."""
    tp = layouts["tp"]
    embedding = context.program.architecture.vocab * context.program.architecture.hidden
    whole = np.where(tp > 1, embedding * (1 - 1 / tp) * context.storage.gradient_bytes, 0.0)
    yield Buffer(
        name="unsharded embedding gradient", component=Component.GRADIENTS, bytes=whole,
        instants=(Instant.EMBEDDING, Instant.OPTIMIZER),
    )  # fmt: skip
    moved = np.where(tp > 1, embedding / tp * context.storage.gradient_bytes, 0.0)
    yield Buffer(
        name="redistributed embedding gradient", component=Component.OTHER, bytes=moved, instants=(Instant.OPTIMIZER,)
    )
    logits = context.tokens(layouts) * context.program.architecture.vocab / tp * FLOAT32
    yield Buffer(
        name="vocabulary-parallel loss", component=Component.ACTIVATIONS, instants=(Instant.LOSS,),
        bytes=np.where((tp > 1) & layouts.equals("loss_parallel", 1), logits, 0.0),
    )  # fmt: skip


def extras(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """Everything beside states and saved tensors."""
    yield from weight_casts(context, layouts)
    yield from tensor_parallel_extras(context, layouts)


def weight_casts(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """Autocast caches a compute-format copy of every linear weight through the forward; without whole-layer recomputation
    autograd keeps each until its layer's backward."""
    if not context.numerics.autocast:
        return
    copies: Array = np.zeros(1)
    largest: Array = np.zeros(1)
    program = context.program
    for block, count in zip(program.blocks, (1, *program.counts(), 1), strict=True):
        cast = np.zeros(1)
        for local in context.local_groups(block, layouts):
            if not local.group.trainable:  # frozen weights are stored in the compute format: nothing is cast
                continue
            # A tied head multiplies by the embedding's weight, so that is what gets cast.
            tied = program.architecture.tied_embeddings and local.group.name == "token_embedding"
            if local.group.part in (Part.MATRIX, Part.HEAD) or tied:
                cast = cast + local.elements
        copies = copies + cast * count / layouts["pp"]
        largest = np.maximum(largest, cast)
    # Weights that are gathered layer by layer (ZeRO-3), or come so from the host, are cast, and dropped, layer by layer.
    hosted = layouts.equals("offload", "parameters") | layouts.equals("offload", "parameters+activations")
    copies = np.where((layouts["zero"] >= 3) | hosted, largest, copies)
    size = context.numerics.activation_bytes
    kept = np.where(layouts.equals("recompute", "full"), largest, copies)
    yield Buffer(
        name="autocast weight copies", component=Component.OTHER, bytes=copies * size, instants=(Instant.FORWARD,)
    )
    yield Buffer(
        name="autocast weight copies kept",
        component=Component.OTHER,
        bytes=kept * size,
        instants=(Instant.LOSS, Instant.BACKWARD),
    )
    yield Buffer(
        name="autocast weight copies of a layer", component=Component.OTHER, bytes=largest * size,
        instants=(Instant.LAST_BACKWARD,),
    )  # fmt: skip


FOOTPRINTS: Final = {
    "linear": linear,
    "expert_linear": linear,
    "head": head,
    "norm.rmsnorm": composite_rms_norm,
    "norm.rmsnorm_gemma": gemma_norm,
    "norm.layernorm": layer_norm,
    "norm": layer_norm,
    "attention": attention,
    "activation": keep_inputs,
    "activation.gelu_new": gelu_new,
    "activation.relu": relu,
    "dropout": dropout_mask,
    "gated_activation": gated_activation,
    "gated_activation.clamped_silu": separate_clamped_activation,
    "router": router,
    "combine": keep_inputs,
    "loss": loss,
    "rotary": keep_nothing,
    "residual": keep_nothing,
    "embedding": keep_nothing,
    "dispatch": keep_nothing,
}

OVERHEADS: Final = cuda_overheads(fragmentation=0.05, source="allocator reserve 5 % (FORMULAS 3.8)")


TRAFFIC: Final = {
    "norm.rmsnorm": Traffic(forward=36, backward=68),
    "norm.rmsnorm_gemma": Traffic(forward=36, backward=68),
    "norm": Traffic(forward=4, backward=8),
    "gated_activation": Traffic(forward=5, backward=9),
    "gated_activation.clamped_silu": Traffic(forward=16, backward=30),
    "activation.gelu_new": Traffic(forward=36, backward=50),
    "activation": Traffic(forward=4, backward=6),
    "residual": Traffic(forward=3, backward=3),
    "rotary": Traffic(forward=16, backward=16),
    "loss": Traffic(forward=18, backward=22),
}
"""One kernel per arithmetic step, counted from the model code: RMSNorm casts, squares, averages, scales, casts back and
multiplies; the rotation is two products, a concatenation and a sum."""


def profile(name: str, aliases: tuple[str, ...], *, autocasts: bool, zero_stages: tuple[int, ...]) -> Framework:
    """One profile of the same model code: with autocast, or with weights sharded and cast by FSDP2."""
    return Framework(
        name=name,
        aliases=aliases,
        storage=storage,
        footprints=FOOTPRINTS,
        overlaps=Overlaps(
            gradients=1.0, parameters=1.0, pipeline=1.0, context=1.0,
            source="DDP buckets (arXiv:2006.15704, section 3.2), FSDP prefetch (arXiv:2304.11277, section 3.3)",
        ),
        overheads=OVERHEADS,
        offloads_states=frozenset(StateKind),
        offloads_activations=True,
        zero_stages=zero_stages,
        default_zero=zero_stages[-1],
        zero_with_pipeline=3,
        schedules=("1f1b",),
        recomputes=("none", "full"),
        buffers=extras,
        autocasts=autocasts,
        persistent_gradients=False,
        keeps_gathered_inputs=True,
        root_stays_unsharded=True,
        traffic=TRAFFIC,
        host_s_per_operator=EAGER_HOST_S_PER_OPERATOR,
        source=SOURCE,
    )  # fmt: skip


@hookimpl
def planner_frameworks() -> Iterator[Framework]:
    """transformers, accelerate, and litgpt for fine-tuners that keep everything in one format."""
    yield profile("transformers", ("hf", "huggingface", "trl"), autocasts=True, zero_stages=(0,))
    tuner = profile("litgpt", ("torchtune", "peft"), autocasts=False, zero_stages=(0, 3))
    yield replace(tuner, storage=single_format_storage, default_zero=0)
    accelerate = profile("accelerate", ("accelerate-fsdp",), autocasts=False, zero_stages=(0, 3))
    # FullyShardedDataParallelPlugin: reshard_after_forward, and HYBRID_SHARD.
    yield replace(accelerate, finer=({"reshard_after_forward": (1, 0), "shard_group": (1, 8, 64)},))
