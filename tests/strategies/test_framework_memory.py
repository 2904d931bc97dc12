"""Memory that a framework's own code adds: buckets, outputs of pipeline stages, what its policies run again."""

from __future__ import annotations

import pytest
from search.meshes import REGISTRY, RULES, context, evaluated, mesh, number

from planner.domain.architecture import Architecture
from planner.program.assemble import assemble
from planner.search.activations import saved_tensors
from planner.search.memory import stage_instants

HALF_BYTES = 2


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


@pytest.mark.parametrize(("framework", "share"), [("torchtitan", 1.0), ("deepspeed", 0.25), ("megatron-core", 0.0)])
def test_a_stage_keeps_what_it_sent_until_its_backward(framework, share):
    """p outputs on the first of p stages under 1F1B: whole, a part per tensor-parallel rank, or freed once sent."""
    of = context(framework, global_batch=8)
    parts = evaluated(of, pp=4, tp=4).memory
    first = parts.in_flight[0]
    assert number(first.micro_batches) == 4
    assert number(first.outputs) == pytest.approx(4 * share * number(parts.residual_gradient))


def test_the_last_stage_sends_nothing_on():
    of = context("torchtitan", global_batch=8)
    evaluation = evaluated(of, pp=4)
    (held,) = [
        in_flight
        for column, in_flight in zip(evaluation.columns, evaluation.memory.in_flight, strict=True)
        if number(column.head)
    ]
    assert number(held.outputs) == 0.0


def test_torchtitan_s_policy_saves_every_second_gemm_s_output():
    """torchtitan counts a layer's GEMMs wq, wk, wv, wo, w1, w3, w2 and runs those of even number again."""
    of = context("torchtitan")
    llama = Architecture(
        slug="llama", name="llama", family="llama", layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, ffn_hidden=128,
        vocab=256, gated=True,
    )  # fmt: skip
    (layer,) = assemble(llama, REGISTRY.sublayers).kinds
    kept = {tensor.name for tensor in saved_tensors(layer, RULES.recomputes["selective:op"], of.framework, of.numerics)}
    assert {"attention.query", "attention.value", "attention.mixed", "mlp.gate", "mlp.output"} <= kept
    assert not kept & {"attention.key", "attention.output", "mlp.up", "mlp.product"}
