"""Bytes per parameter and per element, against the documentation that the recipes come from."""

import pytest

SET = ["fp32", "tf32", "fp16-mixed", "bf16-mixed", "bf16-pure", "fp8-delayed", "fp8-blockwise", "mxfp8", "nvfp4"]


def test_the_required_precisions_are_there(registry):
    assert set(SET) <= set(registry.precisions)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fp32", 16),  # Megatron-LM, dist_optimizer.md: fp32 parameters and gradients
        ("bf16-mixed", 18),  # same table: bf16 parameters, fp32 gradients
        ("bf16-pure", 8),  # 2 bytes each of weight, gradient, momentum and variance
    ],
)
def test_state_of_adam_per_parameter(registry, name, expected):
    precision = registry.precision(name)
    own = precision.weight_bytes + precision.gradient_bytes + precision.master_bytes
    assert own + 2 * precision.state_bytes == expected


def test_fp16_keeps_gradients_narrow(registry):
    """The framework adds the float32 gradient copy that makes Megatron's 20 bytes."""
    precision = registry.precision("fp16-mixed")
    assert (precision.weight_bytes, precision.gradient_bytes, precision.master_bytes) == (2, 2, 4)


@pytest.mark.parametrize(
    ("name", "inputs", "weights"),
    [
        ("fp8-delayed", 1.0, 2.0),
        ("fp8-blockwise", 1 + 4 / 128, 2 * (1 + 4 / 16384)),
        ("mxfp8", 1 + 1 / 32, 2 * (1 + 1 / 32)),  # OCP: 8 bits of scale per 32 elements
        ("nvfp4", 0.5 + 1 / 16, 2 * (0.5 + 1 / 16)),  # 8 bits of scale per 16 elements
    ],
)
def test_quantised_operands_count_their_block_scales(registry, name, inputs, weights):
    precision = registry.precision(name)
    assert precision.gemm_input_bytes == inputs
    assert precision.weight_cache_bytes == weights


def test_a_linear_layer_in_fp8_takes_what_transformer_engine_documents(registry):
    """1024 × 1024 weight and input: 2 MB bf16 weight, 1 MB fp8 weight, 1 MB fp8 input, 2 MB output after the forward.

    The transposed copy of the weight, another 1 MB on Hopper, is made for the backward.
    """
    precision, elements = registry.precision("fp8-delayed"), 1024 * 1024
    forward = precision.weight_bytes + precision.weight_cache_bytes / 2 + precision.gemm_input_bytes
    assert (forward + precision.activation_bytes) * elements == 6 * 2**20
