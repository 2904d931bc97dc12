"""What routed experts cost in time, against the code and the measurements that say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search.meshes import RULES, context, evaluated, mesh, number

from planner.domain.hardware import Efficiency
from planner.plugin import Linear, Pointwise, Region, Tensor
from planner.search.activations import runs_again
from planner.search.dividing import region_divisors
from planner.search.network import network_of
from planner.search.operators import EXPERT_BIAS, block_costs, operator_cost, rates_of
from planner.search.timing import launch_s_per_expert, launch_s_per_operator, local_experts

ROUTED = next(
    kind
    for kind in context().program.kinds
    if any(isinstance(operator, Linear) and operator.experts > 1 for operator in kind.operators)
)


def without_arithmetic(of):
    """On a device whose GEMMs take no time, only what they move does."""
    free = replace(
        of.cluster.accelerator, peak_flop_per_s=dict.fromkeys(("bf16", "fp8", "fp32"), 1e30), efficiencies=()
    )
    return replace(of, cluster=replace(of.cluster, accelerator=free))


def expert_costs(of, **given):
    layouts = mesh(of, **given)
    divisors = region_divisors(of, layouts, RULES.strategies)
    costs = block_costs(of, layouts, ROUTED, divisors, rates_of(of))
    return {cost.operator.name: cost for cost in costs if cost.operator.kind in ("expert_linear", "activation.gelu")}


@pytest.mark.parametrize(("framework", "bytes_each"), [("megatron-core", 4), ("megatron-bridge", 2)])
def test_experts_read_and_write_the_gradients_of_their_weights(framework, bytes_each):
    """Megatron accumulates in the GEMM (gradient_accumulation_fusion), in float32 or, with grad_reduce_in_fp32 off, in 16 bits.
    With few tokens for each of many experts that is nearly all that is moved."""
    of = without_arithmetic(context(framework, seq_len=64))
    gradients = sum(number(cost.weight_gradient_s) for cost in expert_costs(of).values())
    weights = sum(
        group.elements for group in ROUTED.parameters if group.stack and isinstance(group.elements, int | float)
    )
    moved = gradients * rates_of(of).memory_bytes_per_s
    assert moved == pytest.approx(2 * bytes_each * weights, rel=0.1)


def test_experts_with_a_bias_pay_for_seven_float32_passes_forward_and_ten_backward():
    """megatron/core/transformer/moe/experts.py, TEGroupedMLP._apply_bias: 28 and 40 bytes an element."""
    of = context()
    source, target = (Tensor(name, 1000, Region.DISPATCHED) for name in ("product", "output"))
    layouts = mesh(of)
    divisors = region_divisors(of, layouts, RULES.strategies)
    bias = Pointwise(name="bias", kind=EXPERT_BIAS, inputs=(source,), outputs=(target,))
    cost = operator_cost(of, layouts, bias, divisors, rates_of(of))
    elements = number(of.tokens(layouts)) / number(divisors[Region.DISPATCHED]) * 1000
    passes = [number(each) * rates_of(of).memory_bytes_per_s / elements for each in (cost.forward_s, cost.backward_s)]
    assert passes == pytest.approx([28, 40])


def test_fused_experts_have_neither_an_activation_nor_its_quantising():
    """Megatron-Bridge v0.5.0, cutedsl_fused_grouped_mlp for MXFP8: the activation and the quantising of its result are done as the
    first GEMM writes; in 16 bits, and in earlier releases, they are kernels of their own."""
    earlier, fused = (expert_costs(context(name, "mxfp8")) for name in ("megatron-bridge-26.04", "megatron-bridge"))
    assert number(fused["activation"].forward_s) == 0.0 < number(earlier["activation"].forward_s)
    assert number(fused["down"].forward_s) < number(earlier["down"].forward_s)
    assert number(fused["up"].forward_s) == number(earlier["up"].forward_s)
    plain = expert_costs(context("megatron-bridge", "bf16-mixed"))
    assert number(plain["activation"].forward_s) > 0.0


def test_a_plain_all_to_all_reaches_what_nccl_reached_with_one():
    """aiconfigurator's nccl_busbw of 8 H100s, 512 MiB: 315.2 of 450 GB/s; 350.2 with an all-reduce."""
    of = context()
    measured = (
        Efficiency(metric="nccl_busbw", format="alltoall", fraction=315.2 / 450, source="test"),
        Efficiency(metric="nccl_busbw", format="all_reduce", fraction=350.2 / 450, source="test"),
    )
    accelerator = replace(of.cluster.accelerator, scaleup_bytes_per_s=450e9, efficiencies=measured)
    node = replace(of.cluster.node, scaleup_domain=8, accelerators_per_node=8)
    network = network_of(replace(of.cluster, accelerator=accelerator, node=node))
    assert network.exchange.bandwidth_bytes_per_s == pytest.approx(315.2e9)
    assert network.inner.bandwidth_bytes_per_s == pytest.approx(350.2e9)


@pytest.mark.parametrize(
    ("layout", "hides"),
    [
        ({}, True),
        ({"pp": 2, "dp": 8}, False),
        ({"pp": 2, "vpp": 2, "dp": 8}, True),
        ({"recompute": "full"}, False),
        ({"recompute": "full:block"}, False),
        ({"micro_batch": 32}, False),
    ],
)
def test_the_all_to_all_hides_only_where_another_micro_batch_has_its_turn(layout, hides):
    """megatron/bridge/training/comm_overlap.py: with a pipeline it needs several chunks per stage, and no full recomputation."""
    given = {"ep": 4, "dp": 16, "zero": 1, "schedule": "interleaved" if "vpp" in layout else "1f1b"} | layout
    bridge = context("megatron-bridge", global_batch=512)
    none = replace(bridge.framework.overlaps, expert=0.0, expert_inside=0.0)
    off = replace(bridge, framework=replace(bridge.framework, overlaps=none))
    exposed = [number(np.asarray(evaluated(each, **given).step.components["ep"])) for each in (off, bridge)]
    assert exposed[1] == pytest.approx(exposed[0] * (0.55 if hides else 1.0), rel=0.01)


def test_the_gemms_of_experts_are_launched_one_by_one():
    """NVIDIA/TransformerEngine, pull request 3134: eight experts' GEMMs of 128 tokens by 2,048 x 2,048, which a Blackwell does in
    microseconds, take 0.267 ms; there are two of them in a forward and four in a backward."""
    of = context(seq_len=64)
    eight = launch_s_per_expert(of)
    assert [8 * each for each in eight] == pytest.approx([2 * 0.267e-3, 4 * 0.267e-3])
    few, many = (number(local_experts(mesh(of, ep=ep, dp=16), ROUTED)) for ep in (8, 1))
    assert many == 8 * few > 0
    assert number(local_experts(mesh(of), of.program.head)) == 0


def test_a_rank_with_more_experts_cannot_be_faster_than_its_host():
    """Whatever the device does, a layer takes no less than its operators' and its experts' launches."""
    of = without_arithmetic(context(seq_len=64))
    block = next(
        block
        for block, kind in zip(evaluated(of).blocks, of.program.blocks, strict=True)
        if kind is ROUTED or kind.name == ROUTED.name
    )
    experts = number(local_experts(mesh(of), ROUTED))
    least = launch_s_per_operator(of) * len(ROUTED.operators)
    forward, backward = launch_s_per_expert(of)
    assert number(block.forward_s) == pytest.approx(least + experts * forward)
    assert number(block.backward_s) == pytest.approx(least + experts * backward)


@pytest.mark.parametrize(("recompute", "share"), [("full", 1.0), ("selective:activation", 0.0), ("none", 0.0)])
def test_experts_that_run_again_are_launched_again(recompute, share):
    """A whole layer's forward costs the host as much the second time; an activation's has no GEMM of an expert."""
    of = without_arithmetic(context(seq_len=64))
    block = next(
        block
        for block, kind in zip(evaluated(of, recompute=recompute).blocks, of.program.blocks, strict=True)
        if kind.name == ROUTED.name
    )
    launches = number(local_experts(mesh(of), ROUTED)) * launch_s_per_expert(of)[0]
    operators = sum(runs_again(operator, RULES.recomputes[recompute]) for operator in ROUTED.operators)
    assert number(block.recompute_s) == pytest.approx(operators * launch_s_per_operator(of) + share * launches)


@pytest.mark.parametrize(
    ("framework", "precision", "forward_ms", "backward_ms"),
    [("megatron-bridge", "mxfp8", 1.05, 1.95), ("torchtitan", "bf16-mixed", 0.0, 0.0)],
)
def test_fused_experts_cost_the_host_their_tensors_alone(framework, precision, forward_ms, backward_ms):
    """NVIDIA/TransformerEngine, issue 2897: 1.2 and 2.1 ms for 64 experts, of which about 0.15 are the GEMMs; PyTorch's grouped
    GEMM is one kernel."""
    found = launch_s_per_expert(context(framework, precision))
    assert [64e3 * each for each in found] == pytest.approx([forward_ms, backward_ms])
