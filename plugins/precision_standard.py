"""Precisions without quantisation: one format everywhere, or mixed precision with a float32 master copy."""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import Precision, hookimpl


@hookimpl
def planner_precisions() -> Iterator[Precision]:
    """fp32, tf32, fp16-mixed, bf16-mixed and bf16-pure.

    The mixed ones are Megatron-LM's: with bf16, gradients accumulate in a float32 buffer (18 bytes per parameter with
    Adam); with fp16 they stay fp16 and the optimizer makes its own float32 copy (20 bytes).
    """
    yield Precision(
        name="fp32",
        compute="fp32",
        matmul="fp32",
        weight_bytes=4,
        gradient_bytes=4,
        master_bytes=0,  # the weight is its own master copy
        activation_bytes=4,
        communication_bytes=4,
        source="NVIDIA/Megatron-LM docs/user-guide/features/dist_optimizer.md: 16 bytes per parameter with Adam",
    )
    yield Precision(
        name="tf32",
        compute="fp32",
        matmul="tf32",  # the tensor core rounds its inputs, memory still holds float32
        weight_bytes=4,
        gradient_bytes=4,
        master_bytes=0,
        activation_bytes=4,
        communication_bytes=4,
        source="NVIDIA A100 Tensor Core GPU Architecture whitepaper (2020), section on TF32: float32 in and out",
    )
    yield Precision(
        name="fp16-mixed",
        compute="fp16",
        matmul="fp16",
        weight_bytes=2,
        gradient_bytes=2,
        master_bytes=4,
        activation_bytes=2,
        communication_bytes=2,
        source="arXiv:1710.03740; NVIDIA/Megatron-LM docs/user-guide/features/dist_optimizer.md: fp16 gradients",
    )
    yield Precision(
        name="bf16-mixed",
        compute="bf16",
        matmul="bf16",
        weight_bytes=2,
        gradient_bytes=4,
        master_bytes=4,
        activation_bytes=2,
        communication_bytes=2,
        source="NVIDIA/Megatron-LM docs/user-guide/features/dist_optimizer.md: bf16 parameters, fp32 main gradients",
    )
    yield Precision(
        name="bf16-pure",
        compute="bf16",
        matmul="bf16",
        weight_bytes=2,
        gradient_bytes=2,
        master_bytes=0,
        activation_bytes=2,
        communication_bytes=2,
        state_bytes=2,  # an optimizer keeps its states in the parameter's own format
        source="PyTorch torch/optim/adam.py: exp_avg and exp_avg_sq are zeros_like(parameter)",
    )
