"""Names and regions of tensors give the saved activations of FORMULAS sections 3.1 to 3.4, in bf16."""

from dataclasses import replace

import pytest

from planner.domain.architecture import Architecture, LatentAttention, MixtureOfExperts
from planner.plugin import Numerics, Recompute, Region
from planner.program.assemble import assemble
from planner.search.activations import saved_tensors

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN = 512, 8, 2, 64, 1408
LLAMA = Architecture(
    slug="small", name="small", family="small", layers=2, hidden=HIDDEN, heads=HEADS, kv_heads=KV_HEADS, head_dim=HEAD_DIM,
    ffn_hidden=FFN, vocab=1024, gated=True,
)  # fmt: skip
NUMERICS = Numerics(
    activation_bytes=2,
    residual_bytes=2,
    gemm_input_bytes=2,
    attention="flash",
    dropout=False,
    autocast=False,
    seq_len=1024,
)
NOTHING_AGAIN = Recompute(name="none", source="nothing is run again")
STATISTICS = 4
"""One float32 per token and RMSNorm, which the formulas leave out."""


@pytest.fixture
def kept(sublayers, frameworks):
    """Bytes per token by region of the first layer of a kind under Megatron's fused operators, and all names."""

    def measure(architecture, recompute=NOTHING_AGAIN, numerics=NUMERICS, kind=-1):
        block = assemble(architecture, sublayers).kinds[kind]
        tensors = saved_tensors(block, recompute, frameworks["megatron-core"], numerics)
        regions = dict.fromkeys(Region, 0.0)
        for tensor in tensors:
            regions[tensor.region] += tensor.width * tensor.element_bytes
        return regions

    return measure


def test_a_gated_layer_with_grouped_queries_keeps_what_the_formula_says(kept):
    """8h in the residual stream; Q, output and log-sum-exp 4ad + 4a; K and V 4gd; gate, up and product 6f."""
    regions = kept(LLAMA)
    assert regions[Region.RESIDUAL] == 8 * HIDDEN + 2 * STATISTICS
    assert regions[Region.INTERIOR] == 4 * HEADS * HEAD_DIM + 4 * HEADS + 6 * FFN
    assert regions[Region.KEY_VALUE] == 4 * KV_HEADS * HEAD_DIM
    assert sum(regions.values()) == regions[Region.RESIDUAL] + regions[Region.INTERIOR] + regions[Region.KEY_VALUE]


def test_recomputing_the_gated_product_leaves_four_bytes_per_feed_forward_element(kept):
    again = Recompute(
        name="activation", operators=frozenset({"gated_activation"}), discards_outputs=True, source="arXiv"
    )
    assert kept(LLAMA)[Region.INTERIOR] - kept(LLAMA, again)[Region.INTERIOR] == 2 * FFN


def test_a_gpt_layer_with_dropout_and_no_flash_keeps_34_sbh_and_the_scores(kept):
    """Korthikanti et al., table 2: sbh(34 + 5as/h) for multi-head attention and a plain feed-forward of 4h."""
    gpt = replace(
        LLAMA, kv_heads=HEADS, ffn_hidden=4 * HIDDEN, gated=False, activation="gelu", norm="layernorm", dropout=True,
        position="learned", learned_positions=1024,
    )  # fmt: skip
    regions = kept(gpt, numerics=replace(NUMERICS, attention="math", dropout=True))
    scores = (2 + 2 + 1) * HEADS  # per token and key
    assert sum(regions.values()) - scores == 34 * HIDDEN + 2 * 2 * STATISTICS


def test_latent_attention_keeps_latents_twice_and_expanded_heads_once(kept):
    """4r_q + 4r_kv + 2d_r in the latents; 2a(d_n+d_r) for Q and for K, 2a·d_v for V and for the output, 4a."""
    shape = LatentAttention(q_rank=96, kv_rank=64, nope_dim=32, rope_dim=16, v_dim=24)
    regions = kept(replace(LLAMA, mixer="mla", mla=shape, kv_heads=HEADS))
    assert regions[Region.LATENT] == 4 * 96 + 4 * 64 + 2 * 16 + 2 * STATISTICS
    assert regions[Region.INTERIOR] == 2 * (2 * HEADS * 48 + 2 * HEADS * 24) + 4 * HEADS + 6 * FFN
    assert regions[Region.KEY_VALUE] == 0


def test_uncompressed_queries_keep_no_query_latent(kept):
    shape = LatentAttention(q_rank=None, kv_rank=64, nope_dim=32, rope_dim=16, v_dim=24)
    assert kept(replace(LLAMA, mixer="mla", mla=shape))[Region.LATENT] == 4 * 64 + 2 * 16 + STATISTICS


def test_a_routed_layer_keeps_dispatched_copies_and_experts_interiors(kept):
    """2h·k dispatched inputs, 6f_e·k inside the experts, 2 × 4E scores; the shared expert is a dense feed-forward."""
    moe = MixtureOfExperts(experts=16, topk=4, expert_ffn=96, shared_ffn=192)
    regions = kept(replace(LLAMA, moe=moe))
    assert regions[Region.DISPATCHED] == 2 * HIDDEN * 4
    assert regions[Region.EXPERT_INTERIOR] == 6 * 96 * 4
    assert regions[Region.ROUTING] == 2 * 4 * 16
    assert regions[Region.INTERIOR] == 4 * HEADS * HEAD_DIM + 4 * HEADS + 6 * 192
    assert regions[Region.RESIDUAL] == 8 * HIDDEN + 2 * STATISTICS


def test_branches_behind_one_norm_keep_its_output_once(kept):
    shared = kept(replace(LLAMA, parallel_residual=True, norms_per_layer=1))
    assert shared[Region.RESIDUAL] == 4 * HIDDEN + STATISTICS
    doubled = kept(replace(LLAMA, parallel_residual=True, norms_per_layer=2))
    assert doubled[Region.RESIDUAL] == 6 * HIDDEN + 2 * STATISTICS


def test_norms_behind_the_sublayers_keep_the_sublayers_outputs(kept):
    more = kept(replace(LLAMA, norms_per_layer=4))[Region.RESIDUAL] - kept(LLAMA)[Region.RESIDUAL]
    assert more == 2 * (2 * HIDDEN + STATISTICS)


def test_full_recompute_keeps_the_layers_input_alone(kept):
    whole = Recompute(name="full", whole_layer=True, source="arXiv:1604.06174")
    assert sum(kept(LLAMA, whole).values()) == 2 * HIDDEN
