"""Footprints that many implementations share: building blocks for `planner.plugin.Framework.footprints`.

Each says what one operator keeps from the forward to the backward, and what else lives while it runs. PyTorch's own are by its
derivative formulas (pytorch/pytorch, tools/autograd/derivatives.yaml).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.program.operators import Attention, Operator
from planner.program.tensors import Footprint, Region, Stored, Tensor

if TYPE_CHECKING:
    from planner.records.frameworks import Numerics

FLOAT32_BYTES = 4.0
MASK_BYTES = 1.0


def stored(tensor: Tensor, element_bytes: float) -> Stored:
    """`tensor` kept with `element_bytes` per element, under its own name."""
    return Stored(tensor.name, tensor.width, tensor.region, element_bytes, -1 if tensor.per_key else 0)


def keep_inputs(operator: Operator, numerics: Numerics) -> Footprint:
    """The inputs stay in the activation format."""
    return Footprint(saved=tuple(stored(tensor, numerics.activation_bytes) for tensor in operator.inputs))


def keep_nothing(_operator: Operator, _numerics: Numerics) -> Footprint:
    """The backward needs nothing of the forward (residual additions, rotations, gathers)."""
    return Footprint()


def shard_linear(operator: Operator, numerics: Numerics) -> Footprint:
    """A GEMM keeps its input (fp8 recipes: the quantised one); under sequence parallelism only this rank's shard."""
    return Footprint(saved=tuple(stored(tensor, numerics.gemm_input_bytes) for tensor in operator.inputs))


def gathered_linear(operator: Operator, numerics: Numerics) -> Footprint:
    """A GEMM keeps its input; under sequence parallelism the gathered one, whole on every rank (DTensor)."""
    kept = []
    for tensor in operator.inputs:
        region = Region.GATHERED if tensor.region is Region.RESIDUAL else tensor.region
        kept.append(Stored(tensor.name, tensor.width, region, numerics.gemm_input_bytes))
    return Footprint(saved=tuple(kept))


def fused_norm(operator: Operator, numerics: Numerics) -> Footprint:
    """A fused norm keeps its input and its float32 statistics per token: one for RMSNorm, two for LayerNorm."""
    statistics = 2.0 if operator.kind == "norm.layernorm" else 1.0
    source = operator.inputs[0]
    kept = Stored(f"{operator.name}.statistics", statistics, source.region, FLOAT32_BYTES)
    return Footprint(saved=(stored(source, numerics.activation_bytes), kept))


def composite_rms_norm(operator: Operator, numerics: Numerics) -> Footprint:
    """RMSNorm as one kernel per arithmetic step: the float32 input, its reciprocal root mean square, and the normalised input in
    the input's own format, which the weight multiplies."""
    source = operator.inputs[0]
    width, region = source.width, source.region
    inner = region is Region.RESIDUAL and numerics.autocast
    normalised = numerics.residual_bytes if inner else numerics.activation_bytes
    return Footprint(
        saved=(
            Stored(f"{operator.name}.float", width, region, FLOAT32_BYTES),
            Stored(f"{operator.name}.rsqrt", 1, region, FLOAT32_BYTES),
            Stored(f"{operator.name}.normalised", width, region, normalised),
        )
    )


def flash_attention(operator: Operator, numerics: Numerics) -> Footprint:
    """Queries, keys, values, the output and a float32 log-sum-exp per head (arXiv 2307.08691, section 3.1)."""
    assert isinstance(operator, Attention)
    kept = [stored(tensor, numerics.activation_bytes) for tensor in (*operator.inputs, *operator.outputs)]
    logsumexp = Stored(f"{operator.name}.logsumexp", operator.heads, Region.INTERIOR, FLOAT32_BYTES)
    return Footprint(saved=(*kept, logsumexp))


def score_attention(operator: Operator, numerics: Numerics) -> Footprint:
    """Attention that writes its scores: the softmax's output stays, and with dropout its mask and its output, each heads ×
    keys per token (the 5as²b of arXiv 2205.05198, table 2)."""
    assert isinstance(operator, Attention)
    keys, size = operator.window or -1, numerics.activation_bytes
    kept = [stored(tensor, size) for tensor in (*operator.inputs, *operator.outputs)]
    kept.append(Stored(f"{operator.name}.probabilities", operator.heads, Region.INTERIOR, size, keys))
    if numerics.dropout:
        kept.append(Stored(f"{operator.name}.dropout_mask", operator.heads, Region.INTERIOR, MASK_BYTES, keys))
        kept.append(Stored(f"{operator.name}.dropout_output", operator.heads, Region.INTERIOR, size, keys))
    return Footprint(saved=tuple(kept))


def attention_by_kernel(operator: Operator, numerics: Numerics) -> Footprint:
    """Flash (or memory-efficient) attention where it runs, else attention that writes its scores."""
    fused = numerics.attention in ("flash", "efficient")
    return flash_attention(operator, numerics) if fused else score_attention(operator, numerics)


def separate_gated_activation(operator: Operator, numerics: Numerics) -> Footprint:
    """``act(gate) * up`` as two operators: gate, the activated gate and up stay."""
    gate = operator.inputs[0]
    activated = Stored(f"{operator.name}.activated", gate.width, gate.region, numerics.activation_bytes)
    return Footprint(saved=(*keep_inputs(operator, numerics).saved, activated))


def separate_clamped_activation(operator: Operator, numerics: Numerics) -> Footprint:
    """``clamp(gate) * sigmoid(a * clamp(gate)) * (clamp(up) + 1)`` one operator at a time: gate and up stay for the clamps, the
    clamped gate and the sigmoid for their product, that product and the shifted up for the last."""
    gate, up = operator.inputs
    size = numerics.activation_bytes
    steps = {"clamped_gate": gate, "sigmoid": gate, "activated": gate, "shifted_up": up}
    made = (Stored(f"{operator.name}.{name}", of.width, of.region, size) for name, of in steps.items())
    return Footprint(saved=(*keep_inputs(operator, numerics).saved, *made))


def dropout_mask(operator: Operator, numerics: Numerics) -> Footprint:
    """One byte of mask per element; nothing where dropout is switched off."""
    if not numerics.dropout:
        return Footprint()
    source = operator.inputs[0]
    return Footprint(saved=(Stored(f"{operator.name}.mask", source.width, source.region, MASK_BYTES),))


def keep_router_scores(operator: Operator, numerics: Numerics) -> Footprint:
    """A router keeps its input, and float32 logits and probabilities (FORMULAS section 3.4)."""
    width = sum(tensor.width for tensor in operator.outputs)
    scores = Stored(f"{operator.name}.scores", 2 * width, Region.ROUTING, FLOAT32_BYTES)
    return Footprint(saved=(*keep_inputs(operator, numerics).saved, scores))


def in_place_loss(operator: Operator, numerics: Numerics) -> Footprint:
    """Megatron's vocabulary-parallel cross-entropy: the float32 softmax stays, becomes the gradient in place, and is cast to
    the activation format (megatron/core/tensor_parallel/cross_entropy.py)."""
    logits = operator.inputs[0]
    cast = Stored("logits.cast", logits.width, logits.region, numerics.activation_bytes)
    kept = Stored(f"{operator.name}.softmax", logits.width, logits.region, FLOAT32_BYTES)
    return Footprint(saved=(kept,), forward=(cast,), backward=(cast,))


def cross_entropy_loss(operator: Operator, numerics: Numerics) -> Footprint:
    """torch's cross_entropy on float32 logits: the log-softmax stays; the forward also holds the logits and their float32
    copy, the backward the log-softmax's gradient in and out."""
    logits = operator.inputs[0]
    kept = Stored(f"{operator.name}.log_softmax", logits.width, logits.region, FLOAT32_BYTES)
    copies = Stored("logits.copies", logits.width, logits.region, numerics.activation_bytes + FLOAT32_BYTES)
    gradients = Stored("logits.gradients", logits.width, logits.region, 2 * FLOAT32_BYTES)
    return Footprint(saved=(kept,), forward=(copies,), backward=(gradients,))


def fused_loss(operator: Operator, numerics: Numerics) -> Footprint:
    """A fused cross-entropy keeps the logits in the activation format and a float32 statistic per token; the backward writes
    the gradient over the logits (Dao-AILab/flash-attention, flash_attn/losses/cross_entropy.py, inplace_backward)."""
    logits = operator.inputs[0]
    statistic = Stored(f"{operator.name}.logsumexp", 1, Region.GATHERED, FLOAT32_BYTES)
    return Footprint(saved=(stored(logits, numerics.activation_bytes), statistic))


LOSS_CHUNKS = 8
"""Pieces that a chunked loss cuts its tokens into (pytorch/torchtune, torchtune/modules/loss: num_output_chunks; Liger's are
smaller)."""


def fused_linear_loss(operator: Operator, numerics: Numerics) -> Footprint:
    """Output projection and cross-entropy in one, chunk by chunk: no logits stay, and one chunk of them exists at a time, in the
    activation format and in float32 (linkedin/Liger-Kernel, ops/fused_linear_cross_entropy.py; arXiv 2411.09009)."""
    logits = operator.inputs[0]
    chunk = Stored("logits.chunk", logits.width / LOSS_CHUNKS, logits.region, numerics.activation_bytes + FLOAT32_BYTES)
    return Footprint(forward=(chunk,), backward=(chunk,))
