"""The rules of thumb that a person can check by hand; `planner estimate` prints them, nothing else uses them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from planner.plugin import Estimate, EstimateInput, Estimator, hookimpl

BYTES_AT_REST = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "int4": 0.5}
BF16_BYTES = 2
OPTIMIZER_BYTES = 12
"""float32 copy, momentum and variance of mixed-precision Adam, 4 bytes each."""
BYTES_PER_PARAMETER_ON_GPUS = 18
OVERHEAD = 1.25
GIGABYTE = 10.0**9
TOKENS_PER_PARAMETER = 20
FLOPS_PER_PARAMETER_AND_TOKEN = 6

ZERO = "ZeRO, arXiv:1910.02054, section 3.1"
RECOMPUTATION = "Reducing Activation Recomputation, arXiv:2205.05198, section 4.1"
TRANSFORMER_MATH = "EleutherAI, Transformer Math 101"
FORGOTTEN = "leaves out communication buffers, the CUDA context, fragmentation and checkpoints"


def weights_at_rest(known: EstimateInput) -> Iterator[Estimate]:
    """Memory of the weights alone, by number format."""
    for name, width in BYTES_AT_REST.items():
        yield Estimate(
            name=f"weights in {name}",
            value=width * known.params,
            unit="bytes",
            formula=f"{width:g} · N",
            source=TRANSFORMER_MATH,
            note="leaves out the key-value cache and the logits that sampling sorts and scans",
        )


def training_state(known: EstimateInput) -> Iterator[Estimate]:
    """(x + y + 12) · N with x bytes per weight and y per gradient."""
    for name, weight, gradient in (("bf16", BF16_BYTES, BF16_BYTES), ("fp32 gradients", BF16_BYTES, 4)):
        yield Estimate(
            name=f"training state, {name}",
            value=(weight + gradient + OPTIMIZER_BYTES) * known.params,
            unit="bytes",
            formula=f"(x + y + 12) · N, x = {weight}, y = {gradient}",
            source=ZERO,
            note="Adam in mixed precision, on all GPUs together; activations come on top",
        )


def activation_parts(known: EstimateInput, width: int = BF16_BYTES) -> dict[str, float] | None:
    """Bytes that the layers keep for the backward, by part, or None where the shape is unknown.

    MLP 9bshp + bsh, attention 5bshp + bsh + 2abs²p + abs², norms 2bshp, times the layers. The article that states
    the total prints the attention's part without its linear inputs, 5bshp + bsh; the total needs them.
    """
    if known.layers is None or known.hidden is None or known.heads is None or known.seq_len is None:
        return None
    plane = known.layers * known.micro_batch * known.seq_len * known.hidden
    scores = known.layers * known.heads * known.micro_batch * known.seq_len**2
    return {
        "mlp": float(plane * (9 * width + 1)),
        "attention": float(plane * (5 * width + 1) + scores * (2 * width + 1)),
        "norms": float(plane * 2 * width),
    }


def activations(known: EstimateInput) -> Iterator[Estimate]:
    """L·b·s·h·p·[16 + 2/p + (a·s/h)(2 + 1/p)] and its three parts, for 2-byte elements."""
    parts = activation_parts(known)
    if parts is None:
        return
    note = "no flash attention, no parallelism, no recompute; " + FORGOTTEN
    yield Estimate(
        name="activations",
        value=sum(parts.values()),
        unit="bytes",
        formula="L·b·s·h·p·[16 + 2/p + (a·s/h)(2 + 1/p)], p = 2",
        source=RECOMPUTATION,
        note=note,
    )
    formulas = {"mlp": "9bshp + bsh", "attention": "5bshp + bsh + 2abs²p + abs²", "norms": "2bshp"}
    for part, value in parts.items():
        yield Estimate(
            name=f"activations, {part}",
            value=value,
            unit="bytes",
            formula=f"L · ({formulas[part]})",
            source=RECOMPUTATION,
        )


def gpus_for_training(known: EstimateInput) -> Iterator[Estimate]:
    """Billions of parameters · 18 · 1.25 ÷ GPU memory in GB, and an eighth to a ninth of that for inference."""
    if known.gpu_memory_bytes is None:
        return
    billions, gigabytes = known.params / GIGABYTE, known.gpu_memory_bytes / GIGABYTE
    exact = billions * BYTES_PER_PARAMETER_ON_GPUS * OVERHEAD / gigabytes
    yield Estimate(
        name="GPUs for training",
        value=float(max(1, math.ceil(exact - 1e-9))),
        unit="GPUs",
        formula=f"billions · 18 · 1.25 ÷ GB = {exact:.2f}, rounded up",
        source=TRANSFORMER_MATH,
        note=f"{FORGOTTEN}; the batch and the sequence length do not enter",
    )
    for name, share in (("at least", 9), ("at most", 8)):
        yield Estimate(
            name=f"GPUs for inference, {name}",
            value=float(max(1, math.ceil(exact / share - 1e-9))),
            unit="GPUs",
            formula=f"GPUs for training ÷ {share} = {exact / share:.2f}, rounded up",
            source=TRANSFORMER_MATH,
        )


def inference_memory(known: EstimateInput) -> Iterator[Estimate]:
    """At most a quarter of the training state."""
    yield Estimate(
        name="inference memory, at most",
        value=(2 * BF16_BYTES + OPTIMIZER_BYTES) * known.params / 4,
        unit="bytes",
        formula="training state ÷ 4",
        source=TRANSFORMER_MATH,
        note="short contexts and few requests at once: the key-value cache grows with both",
    )


def chinchilla(known: EstimateInput) -> Iterator[Estimate]:
    """Twenty tokens per parameter, six FLOPs per parameter and token."""
    optimal = TOKENS_PER_PARAMETER * known.params
    yield Estimate(
        name="compute-optimal tokens",
        value=optimal,
        unit="tokens",
        formula="20 · N",
        source="Chinchilla, arXiv:2203.15556, table 3",
    )
    tokens = optimal if known.tokens is None else known.tokens
    yield Estimate(
        name="training FLOPs",
        value=FLOPS_PER_PARAMETER_AND_TOKEN * known.params * tokens,
        unit="FLOPs",
        formula=f"6 · N · D, D = {tokens:.3g} tokens",
        source="Scaling Laws, arXiv:2001.08361, section 2.1",
        note="attention over the sequence and recompute are left out",
    )


@hookimpl
def planner_estimators() -> Iterator[Estimator]:
    """One estimator per rule."""
    yield Estimator(name="weights-at-rest", estimates=weights_at_rest, source=TRANSFORMER_MATH)
    yield Estimator(name="training-state", estimates=training_state, source=ZERO)
    yield Estimator(name="activations", estimates=activations, source=RECOMPUTATION)
    yield Estimator(name="gpus-for-training", estimates=gpus_for_training, source=TRANSFORMER_MATH)
    yield Estimator(name="inference-memory", estimates=inference_memory, source=TRANSFORMER_MATH)
    yield Estimator(name="chinchilla", estimates=chinchilla, source="arXiv:2203.15556")
