"""Precisions whose GEMMs run in 8 or 4 bits: Transformer Engine's recipes on top of bf16-mixed."""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import Precision, hookimpl

DOCUMENTATION = "NVIDIA/TransformerEngine docs/features/low_precision_training/"
FP8 = 1.0
FP4 = 0.5
FP32_SCALE = 4.0
BYTE_SCALE = 1.0
"""E8M0 of mxfp8, E4M3 of nvfp4."""


def low_bit(name: str, matmul: str, gemm_input_bytes: float, weight_copy_bytes: float, source: str) -> Precision:
    """Weights, gradients, master copy and memory-bound operators as in bf16-mixed; GEMM operands quantised.

    Forward and weight gradient read an operand along different dimensions. Of an input, the copy for the weight
    gradient alone is kept until the backward; of a weight both copies live through all micro-batches of a step.
    Blackwell needs no second copy for per-tensor scales: there the weight figure is an upper bound.
    """
    return Precision(
        name=name,
        compute="bf16",
        matmul=matmul,
        weight_bytes=2,
        gradient_bytes=4,
        master_bytes=4,
        activation_bytes=2,
        communication_bytes=2,
        gemm_input_bytes=gemm_input_bytes,
        weight_cache_bytes=2 * weight_copy_bytes,
        source=source,
    )


@hookimpl
def planner_precisions() -> Iterator[Precision]:
    """fp8-delayed, fp8-blockwise, mxfp8 and nvfp4; scales per block counted, per tensor not."""
    yield low_bit(
        "fp8-delayed", "fp8", FP8, FP8,
        f"{DOCUMENTATION}performance_considerations: fp8 input and weight beside bf16 weight; pull request 1596",
    )  # fmt: skip
    yield low_bit(
        # inputs in blocks of 128 elements, weights in tiles of 128 × 128
        "fp8-blockwise", "fp8", FP8 + FP32_SCALE / 128, FP8 + FP32_SCALE / 128**2,
        f"{DOCUMENTATION}fp8_blockwise_scaling: one float32 scale per block; arXiv:2412.19437, section 3.3",
    )  # fmt: skip
    yield low_bit(
        "mxfp8", "fp8", FP8 + BYTE_SCALE / 32, FP8 + BYTE_SCALE / 32,
        f"{DOCUMENTATION}mxfp8: one E8M0 scale per 32 elements; OCP Microscaling Formats v1.0, section 5",
    )  # fmt: skip
    yield low_bit(
        # the 16 × 16 scales of weights are stored once per row of 16, as those of inputs
        "nvfp4", "fp4", FP4 + BYTE_SCALE / 16, FP4 + BYTE_SCALE / 16,
        f"{DOCUMENTATION}nvfp4: one E4M3 scale per 16 elements, scales shaped [A, B/16]; arXiv:2509.25149",
    )  # fmt: skip
