"""Memory that a framework's own code adds: buckets, outputs of pipeline stages, what its policies run again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from search.meshes import REGISTRY, RULES, context, evaluated, mesh, number

from planner.domain.architecture import Architecture
from planner.plugin import Instant, Region
from planner.program.assemble import assemble
from planner.search.activations import saved_tensors
from planner.search.memory import stage_instants

HALF_BYTES = 2

LLAMA = Architecture(
    slug="llama", name="llama", family="llama", layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, ffn_hidden=128,
    vocab=256, gated=True,
)  # fmt: skip


def gradients(of, **given):
    evaluation = evaluated(of, **given)
    return max(
        number(components["gradients"])
        for _, _, components, _ in stage_instants(of, evaluation.memory, evaluation.columns)
    )


def parameters(of):
    per_block = [sum(map(number, of.local_elements(block, mesh(of)).values())) for block in of.program.blocks]
    return sum(count * each for count, each in zip((1, *of.program.counts(), 1), per_block, strict=True))


def test_ddp_s_buckets_hold_a_second_gradient_where_there_are_replicas():
    of = context("nanotron", global_batch=8)
    alone, replicated = gradients(of), gradients(of, dp=8)
    assert replicated - alone == pytest.approx(HALF_BYTES * parameters(of))


@pytest.mark.parametrize(("framework", "again"), [("nanotron", True), ("internevo", False)])
def test_nanotron_holds_whole_tensors_and_yet_gathers_again(framework, again):
    """src/nanotron/config/parallelism_config.py at 9055c664: tp_recompute_allgather is on; what its reduce-scatters read is
    freed late, one for each of the first GEMMs of attention and feed-forward, and for the head."""
    of = context(framework)
    program = assemble(LLAMA, REGISTRY.sublayers)
    blocks = (*program.kinds, program.head)
    kept = {
        tensor.name
        for block in blocks
        for tensor in saved_tensors(block, RULES.recomputes["none"], of.framework, of.numerics)
        if tensor.region is Region.GATHERED
    }
    assert len(kept) == 3
    assert of.framework.keeps_gathered_inputs != again


@pytest.mark.parametrize(
    ("framework", "plain", "clamped"),
    [("megatron-core", 2, 4), ("torchtitan", 3, 6), ("torchtitan-compiled", 3, 3), ("transformers", 3, 6)],
)
def test_clamped_activations_keep_what_their_steps_read(framework, plain, clamped):
    """clamp(g) * sigmoid(a * clamp(g)) * (clamp(u) + 1): Megatron's fused activation reads the clamps' copies (megatron/core/
    fusions/fused_bias_geglu.py); steps one by one read g, u, clamp(g), the sigmoid, their product and the shifted u; a compiler
    keeps no more than for a plain SwiGLU."""

    def kept(activation):
        of = context(framework)
        program = assemble(replace(LLAMA, activation=activation), REGISTRY.sublayers)
        saved = saved_tensors(program.kinds[0], RULES.recomputes["none"], of.framework, of.numerics)
        widths = [tensor.width for tensor in saved if tensor.width == LLAMA.ffn_hidden]
        return len(widths)

    # The down projection's input has that width, too.
    assert kept("silu") == plain + 1
    assert kept("clamped_silu") == clamped + 1


@pytest.mark.parametrize(("framework", "share"), [("torchtitan", 1.0), ("deepspeed", 0.25), ("megatron-core", 0.0)])
def test_a_stage_keeps_what_it_sent_until_its_backward(framework, share):
    """p outputs on the first of p stages under 1F1B: whole, a part per tensor-parallel rank, or freed once sent."""
    of = context(framework, global_batch=8)
    parts = evaluated(of, pp=4, tp=4).memory
    first = parts.in_flight[0]
    assert number(first.micro_batches) == 4
    assert number(first.outputs) == pytest.approx(4 * share * number(parts.activations.residual))


def test_the_last_stage_sends_nothing_on():
    of = context("torchtitan", global_batch=8)
    evaluation = evaluated(of, pp=4)
    (held,) = [
        in_flight
        for column, in_flight in zip(evaluation.columns, evaluation.memory.in_flight, strict=True)
        if number(column.head)
    ]
    assert number(held.outputs) == 0.0


def test_deepspeed_s_zero_3_gathers_the_head_for_the_loss():
    """DeepSpeed's estimate of ZeRO-3 counts the largest layer whole, weights and gradients: 4 bytes per parameter in fp16."""
    of = context("deepspeed", "fp16-mixed", global_batch=8)
    found = evaluated(of, dp=8, zero=3)
    head = sum(map(number, of.local_elements(of.program.head, mesh(of)).values()))
    buffers = sum(number(buffer.bytes) for buffer in found.memory.buffers if buffer.instants == (Instant.LOSS,))
    assert buffers >= 4 * head


def test_frozen_weights_are_not_cast_by_autocast():
    of = context("transformers", global_batch=8)
    lora = REGISTRY.method("lora")
    frozen = replace(of, program=lora.apply(of.program, {"rank": 8.0}), numerics=replace(of.numerics, autocast=True))
    trained = replace(of, numerics=replace(of.numerics, autocast=True))
    casts = [
        sum(number(buffer.bytes) for buffer in evaluated(each).memory.buffers if "autocast" in buffer.name)
        for each in (trained, frozen)
    ]
    assert casts[1] < 0.05 * casts[0]


def test_the_optimizer_step_of_adapters_leaves_frozen_weights_alone():
    of = context("megatron-core", global_batch=8)
    lora = REGISTRY.method("lora").apply(of.program, {"rank": 8.0})
    full_s, lora_s = (
        number(evaluated(replace(of, program=program)).step.components["optimizer"]) for program in (of.program, lora)
    )
    trained = sum(group.elements * count for group, count in lora.groups() if group.trainable)
    assert lora_s / full_s == pytest.approx(trained / of.program.total_params, rel=0.1)


def test_fp8_copies_are_of_the_layers_matrices_alone():
    plain, cached = context("megatron-core"), context("megatron-core", "fp8-delayed")
    grown = [
        number(after.weights) / number(before.weights)
        for before, after in zip(evaluated(plain).memory.states, evaluated(cached).memory.states, strict=True)
    ]
    assert grown[0] == grown[-1] == 1.0
    assert all(each > 1.2 for each in grown[1:-1])


def test_torchtitan_s_policy_saves_every_second_gemm_s_output():
    """torchtitan counts a layer's GEMMs wq, wk, wv, wo, w1, w3, w2 and runs those of even number again."""
    of = context("torchtitan")
    (layer,) = assemble(LLAMA, REGISTRY.sublayers).kinds
    kept = {tensor.name for tensor in saved_tensors(layer, RULES.recomputes["selective:op"], of.framework, of.numerics)}
    assert {"attention.query", "attention.value", "attention.mixed", "mlp.gate", "mlp.output"} <= kept
    assert not kept & {"attention.key", "attention.output", "mlp.up", "mlp.product"}
