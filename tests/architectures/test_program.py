"""Blocks, kinds of layers, ties, multi-token prediction, and FLOPs against hand formulas."""

from dataclasses import replace

import pytest

from planner.domain.architecture import Architecture, LatentAttention, MixtureOfExperts
from planner.errors import InputError, UnknownNameError
from planner.plugin import Axis, Linear, Part, Region
from planner.program.assemble import assemble

TINY = Architecture(
    slug="tiny", name="tiny", family="tiny", layers=4, hidden=64, heads=4, kv_heads=2, head_dim=16, ffn_hidden=160,
    vocab=512, gated=True,
)  # fmt: skip
EXPERTS = MixtureOfExperts(experts=8, topk=2, expert_ffn=32, shared_ffn=48, first_k_dense=1)
LATENT = LatentAttention(q_rank=24, kv_rank=16, nope_dim=12, rope_dim=4, v_dim=10)


def test_flops_of_llama_3_8b_equal_the_hand_formula(program):
    """Projections 2h·d(a+2g) + 2a·d·h, causal core 2·s·a·d, feed-forward 2·3·h·f, head 2·h·V, per token and forward."""
    layers, hidden, heads, kv_heads, width, ffn, vocab, sequence = 32, 4096, 32, 8, 128, 14336, 128256, 8192
    layer = 2 * hidden * width * (heads + 2 * kv_heads) + 2 * heads * width * hidden
    layer += 2 * sequence * heads * width + 2 * 3 * hidden * ffn
    assert program("llama-3-8b").flops_per_token(sequence) == layers * layer + 2 * hidden * vocab


def test_flops_of_deepseek_v2_lite_equal_the_hand_formula(program):
    """Latent attention: 2 × its parameters, core s·a·(d_n + d_r + d_v); experts 2·3·h·(k·f_e + f_s) + 2hE."""
    hidden, heads, sequence, vocab = 2048, 16, 4096, 102400
    attention = hidden * heads * 192 + hidden * (512 + 64) + 512 * heads * (128 + 128) + heads * 128 * hidden
    mixer = 2 * attention + sequence * heads * (192 + 128)
    routed = 2 * 3 * hidden * (6 * 1408 + 2816) + 2 * hidden * 64
    dense = 2 * 3 * hidden * 10944
    expected = 27 * mixer + 26 * routed + dense + 2 * hidden * vocab
    assert program("deepseek-v2-lite").flops_per_token(sequence) == expected


def test_forward_flops_of_the_gemms_are_twice_their_active_parameters(sublayers):
    for architecture in (TINY, replace(TINY, moe=EXPERTS), replace(TINY, mixer="mla", mla=LATENT)):
        for block in assemble(architecture, sublayers).kinds:
            flops = sum(operator.flops_per_token for operator in block.operators if isinstance(operator, Linear))
            active = sum(
                group.elements * (EXPERTS.topk / EXPERTS.experts if Axis.EXPERTS in group.axes else 1)
                for group in block.parameters
                if group.part is Part.MATRIX
            )
            assert flops == 2 * active


def test_layers_of_one_kind_share_a_block(sublayers):
    built = assemble(replace(TINY, layers=6, moe=EXPERTS, window=128, window_layers=3), sublayers)
    assert len(built.layers) == 6
    assert sum(built.counts()) == 6
    assert {block.name for block in built.kinds} == {"dense-full", "routed-full", "routed-windowed"}
    assert [built.kinds[index].name.split("-")[0] for index in built.layers] == ["dense"] + 5 * ["routed"]


def test_uniform_layers_have_short_names(sublayers):
    assert [block.name for block in assemble(TINY, sublayers).kinds] == ["dense"]
    assert [block.name for block in assemble(replace(TINY, window=64, window_layers=4), sublayers).kinds] == ["dense"]


def test_the_window_limits_the_keys_of_windowed_layers_only(sublayers):
    built = assemble(replace(TINY, window=128, window_layers=2), sublayers)
    windows = {block.name: [getattr(operator, "window", None) for operator in block.operators] for block in built.kinds}
    assert 128 in windows["dense-windowed"]
    assert 128 not in windows["dense-full"]


def test_tied_embeddings_are_counted_once(sublayers):
    untied, tied = assemble(TINY, sublayers), assemble(replace(TINY, tied_embeddings=True), sublayers)
    assert untied.total_params - tied.total_params == TINY.vocab * TINY.hidden
    assert [group.tied for group in tied.head.parameters if group.part is Part.HEAD] == [True]


def test_multi_token_prediction_adds_a_layer_a_projection_and_three_norms_beside_the_model(sublayers):
    plain = assemble(replace(TINY, moe=EXPERTS), sublayers)
    more = assemble(replace(TINY, moe=EXPERTS, mtp_layers=2), sublayers)
    assert more.total_params == plain.total_params
    assert more.active_params == plain.active_params
    layer = sum(group.elements for group in plain.kinds[plain.layers[-1]].parameters)
    auxiliary = sum(group.elements for group in more.head.parameters if group.auxiliary)
    assert auxiliary == 2 * (layer + 2 * TINY.hidden**2 + 3 * TINY.hidden)


def test_each_prediction_layer_costs_a_layer_a_projection_and_a_head(sublayers):
    plain, more = assemble(TINY, sublayers), assemble(replace(TINY, mtp_layers=1), sublayers)
    layer = plain.kinds[0].flops_per_token(64)
    projection, head = 2 * 2 * TINY.hidden**2, 2 * TINY.hidden * TINY.vocab
    assert more.flops_per_token(64) - plain.flops_per_token(64) == layer + projection + head


def test_prediction_layers_keep_tensors_of_their_own(sublayers):
    built = assemble(replace(TINY, mtp_layers=2), sublayers)
    names = [tensor.name for operator in built.head.operators for tensor in operator.outputs]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("moe", [None, EXPERTS])
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("mla", [None, LATENT, replace(LATENT, q_rank=None)])
@pytest.mark.parametrize("dropout", [True, False])
def test_every_tensor_is_written_before_it_is_read(sublayers, moe, parallel, mla, dropout):
    mixer = "gqa" if mla is None else "mla"
    built = assemble(
        replace(TINY, moe=moe, parallel_residual=parallel, mla=mla, mixer=mixer, dropout=dropout, mtp_layers=1),
        sublayers,
    )
    for block in built.kinds:
        written = {block.input.name}
        for operator in block.operators:
            assert {tensor.name for tensor in operator.inputs} <= written
            assert written.isdisjoint(tensor.name for tensor in operator.outputs)
            written |= {tensor.name for tensor in operator.outputs}
        assert "layer.output" in written
        assert len({operator.name for operator in block.operators}) == len(block.operators)
        assert len({group.name for group in block.parameters}) == len(block.parameters)


@pytest.mark.parametrize(("norms", "parallel", "expected"), [(1, True, 1), (2, True, 2), (2, False, 2), (4, False, 4)])
def test_norms_per_layer_counts_the_norms_of_a_layer(sublayers, norms, parallel, expected):
    built = assemble(replace(TINY, norms_per_layer=norms, parallel_residual=parallel), sublayers)
    weights = [group for group in built.kinds[0].parameters if group.part is Part.NORM]
    operators = [operator for operator in built.kinds[0].operators if operator.kind.startswith("norm")]
    assert len(weights) == len(operators) == expected


def test_norms_that_do_not_fit_the_layer_are_refused(sublayers):
    with pytest.raises(InputError, match="norms_per_layer is 3"):
        assemble(replace(TINY, norms_per_layer=3), sublayers)


def test_an_unknown_sublayer_is_named_with_its_nearest(sublayers):
    with pytest.raises(UnknownNameError, match=r"unknown sublayer 'gqaa' \(did you mean gqa\?\)"):
        assemble(replace(TINY, mixer="gqaa"), sublayers)


def test_latent_attention_without_ranks_is_refused(sublayers):
    with pytest.raises(InputError, match="no latent ranks"):
        assemble(replace(TINY, mixer="mla"), sublayers)


def test_narrow_embeddings_are_projected_at_both_ends(sublayers):
    built = assemble(replace(TINY, embedding_width=32, tied_embeddings=True), sublayers)
    widths = {operator.name: operator for block in (built.embedding, built.head) for operator in block.operators}
    assert (
        widths["embedding.widen"].in_features == widths["head.narrow"].out_features == widths["head"].in_features == 32
    )


def test_full_recompute_keeps_the_residual_stream(sublayers):
    built = assemble(TINY, sublayers)
    for block in built.blocks:
        assert (block.input.region, block.input.width) == (Region.RESIDUAL, TINY.hidden)


def test_routers_are_whole_on_every_rank_and_experts_stacked(sublayers):
    built = assemble(replace(TINY, moe=EXPERTS), sublayers)
    groups = {group.name: group for group in built.kinds[1].parameters}
    assert Axis.EXPERTS not in groups["router"].axes
    assert all(groups[f"experts.{name}"].stack == ((Axis.EXPERTS, 8),) for name in ("gate", "up", "down"))
    assert all(Axis.MLP in groups[f"shared_experts.{name}"].axes for name in ("gate", "up", "down"))
