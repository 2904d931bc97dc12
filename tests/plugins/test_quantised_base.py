"""QLoRA's bytes per weight, from its paper, and what it leaves in float32."""

from __future__ import annotations

import pytest

from planner.plugin import Part
from planner.registry import load_registry
from planner.synthetic import synthetic_program

REGISTRY = load_registry(disable="*")


def groups(method: str, options: dict[str, float]):
    program = REGISTRY.method(method).apply(synthetic_program(), options)
    return [group for block in program.blocks for group in block.parameters]


@pytest.mark.parametrize(("double_quant", "scale_bits"), [(0.0, 0.5), (1.0, 0.127)])
def test_a_weight_takes_four_bits_and_its_share_of_a_scale(double_quant: float, scale_bits: float) -> None:
    """arXiv 2305.14314, section 3: a float32 scale per 64 weights is 0.5 bits, quantised 0.127 bits."""
    matrices = [
        group for group in groups("qlora", {"double_quant": double_quant})
        if group.part is Part.MATRIX and group.rows and not group.trainable
    ]  # fmt: skip
    assert matrices
    for group in matrices:
        assert group.rest_bytes == pytest.approx((4 + scale_bits) / 8, rel=1e-3)


def test_embeddings_head_and_norms_stay_in_float32() -> None:
    kept = [group for group in groups("qlora", {}) if not group.trainable and group.part is not Part.MATRIX]
    assert kept
    assert {group.rest_bytes for group in kept} == {4.0}


def test_the_adapters_are_lora_s() -> None:
    def trained(method: str) -> list[str]:
        return [group.name for group in groups(method, {"rank": 8}) if group.trainable]

    assert trained("qlora") == trained("lora") != []
