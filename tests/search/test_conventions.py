"""FLOPs per token by the formulas that papers print for their conventions."""

from __future__ import annotations

import pytest
from search.meshes import REGISTRY

from planner.domain.architecture import Architecture
from planner.program.assemble import assemble
from planner.search.conventions import model_flops_per_token

L, H, A, V, S = 96, 12288, 96, 51200, 2048


@pytest.fixture(scope="module")
def gpt3():
    return assemble(
        Architecture(
            slug="gpt3", name="gpt3", family="gpt", layers=L, hidden=H, heads=A, kv_heads=A, head_dim=H // A, ffn_hidden=4 * H,
            vocab=V, gated=False, activation="gelu", norm="layernorm", position="learned", learned_positions=S,
            tied_embeddings=True,
        ),
        REGISTRY.sublayers,
    )  # fmt: skip


def test_full_is_korthikanti_s_model_flops(gpt3):
    """arXiv 2205.05198, equation 7: 72 B L s h² (1 + s/6h + V/12hL)."""
    expected = 72 * L * H**2 * (1 + S / (6 * H) + V / (12 * H * L))
    assert model_flops_per_token(gpt3, S, "full") == pytest.approx(expected)


def test_causal_counts_half_of_the_attention(gpt3):
    """Megatron-LM, num_floating_point_operations: the core's 12·h·s per layer and token become 6·h·s."""
    expected = 72 * L * H**2 * (1 + S / (12 * H) + V / (12 * H * L))
    assert model_flops_per_token(gpt3, S, "causal") == pytest.approx(expected)


def test_palm_adds_attention_to_six_per_parameter(gpt3):
    """arXiv 2204.02311, appendix B: 6N + 12·L·H·Q·T."""
    expected = 6 * gpt3.active_params + 12 * L * A * (H // A) * S
    assert model_flops_per_token(gpt3, S, "palm") == pytest.approx(expected)


def test_6n_counts_parameters_alone(gpt3):
    assert model_flops_per_token(gpt3, S, "6n") == 6 * gpt3.active_params
