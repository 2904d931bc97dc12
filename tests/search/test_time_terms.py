"""Terms of a step's time against what their sources say: quantising, attention kernels, overlaps, racks, launches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search.meshes import RULES, context, evaluated, mesh, number

from planner.domain.hardware import Efficiency
from planner.formulas.attention import RATES
from planner.importers import run_cells as cells
from planner.plugin import Attention, Collective, Communication, Linear, Phase, Pointwise, Region, Tensor
from planner.records.frameworks import COMMUNICATION_SLOWDOWN
from planner.search.dividing import region_divisors
from planner.search.network import Traffic, group_for, network_of
from planner.search.operators import (
    MEMORY_EFFICIENCY,
    PLAIN_LINEARS,
    block_costs,
    operator_cost,
    power_gain,
    power_share,
    rates_of,
    sustained_matmul,
)
from planner.search.timing import block_syncs, gained_s, key_parts, launch_s_per_operator, slowdown_of


def costs(of, **given):
    """Forward and backward seconds of every operator of the layer, by name."""
    layouts = mesh(of, **given)
    divisors = region_divisors(of, layouts, RULES.strategies)
    found = block_costs(of, layouts, of.program.kinds[0], divisors, rates_of(of))
    return {cost.operator.name: cost for cost in found}


def test_operands_in_8_bits_are_read_once_and_written_twice():
    """Transformer Engine quantises along rows and along columns: 2 + 1 + 1 bytes per element. Inputs in the forward, where
    GEMMs share one once; gradients of outputs in the backward. On a device whose GEMMs take no time nothing else differs."""
    of = context(precision="fp8-delayed")
    accelerator = replace(
        of.cluster.accelerator, peak_flop_per_s=dict.fromkeys(("bf16", "fp8", "fp32"), 1e30), efficiencies=()
    )
    fast = replace(of, cluster=replace(of.cluster, accelerator=accelerator))
    plain = replace(fast, precision=replace(of.precision, matmul="bf16"))
    layouts = mesh(fast)
    eight, sixteen = costs(fast), costs(plain)
    linears = [cost.operator for cost in eight.values() if isinstance(cost.operator, Linear)]
    layers = [linear for linear in linears if linear.kind not in PLAIN_LINEARS]
    tokens = number(fast.tokens(layouts))
    inputs = {linear.inputs[0].name: linear.inputs[0].width for linear in layers}
    for phase, elements in (
        ("forward_s", sum(inputs.values())), ("backward_s", sum(linear.outputs[0].width for linear in layers)),
    ):  # fmt: skip
        more = sum(number(getattr(eight[name], phase) - getattr(sixteen[name], phase)) for name in eight)
        assert more * rates_of(fast).memory_bytes_per_s == pytest.approx(4.0 * tokens * elements)


def test_the_router_and_the_head_stay_in_16_bits():
    of = context(precision="fp8-delayed")
    plain = replace(of, precision=replace(of.precision, matmul="bf16"))
    layouts = mesh(of)
    divisors = region_divisors(of, layouts, RULES.strategies)
    both = [
        sum(number(cost.forward_s) for cost in block_costs(each, layouts, each.program.head, divisors, rates_of(each)))
        for each in (of, plain)
    ]
    assert both[0] == both[1]


def test_triton_s_flash_attention_is_as_much_slower_as_published():
    """arXiv 2307.08691, section 4.1: flash-2 is 1.3 to 1.5 times as fast in the forward and about 2 times in the backward,
    which has 2.5 times the FLOPs."""
    ratio = (1.4 + 2.5 * 2.0) / 3.5
    for generation in ("Ampere", "Hopper"):
        found = RATES["flash-2", generation].asymptote / RATES["flash-triton", generation].asymptote
        assert found == pytest.approx(ratio, rel=0.01)


def test_heads_that_are_not_aligned_miss_the_matrix_units():
    """NVIDIA's guide: 16-bit operands need rows of a multiple of 16 bytes; 108 and 150 elements are none, 112 and 128 are."""
    seconds = {}
    for width in (104, 108, 112):
        of = context()
        of = replace(of, numerics=replace(of.numerics, attention="math"))
        blocks = [
            replace(
                block,
                operators=tuple(
                    replace(operator, qk_dim=width, v_dim=width) if hasattr(operator, "qk_dim") else operator
                    for operator in block.operators
                ),
            )
            for block in of.program.kinds
        ]
        accelerator = replace(of.cluster.accelerator, peak_flop_per_s={"bf16": 312e12, "fp32": 19.5e12})
        of = replace(of, cluster=replace(of.cluster, accelerator=accelerator))
        layouts = mesh(of)
        divisors = region_divisors(of, layouts, RULES.strategies)
        found = block_costs(of, layouts, blocks[0], divisors, rates_of(of))
        seconds[width] = next(number(cost.forward_s) for cost in found if hasattr(cost.operator, "qk_dim"))
    assert seconds[104] < seconds[112] < 1.1 * seconds[104]
    assert seconds[108] > 2.0 * seconds[112]


def tensor_s(of, phase, **given):
    """Seconds of a layer's exposed tensor-parallel communication."""
    found = evaluated(of, **given).blocks[1].exposed[phase].by_component
    return number(found["tp"])


def test_megatron_reduces_input_gradients_behind_weight_gradients():
    """megatron/core/tensor_parallel/layers.py: the all-reduce of an input gradient runs while the weight gradient is computed, and
    costs it what a hidden collective does; DeepSpeed's Megatron of 2021 waits for it."""
    for framework, share in (("megatron-core", COMMUNICATION_SLOWDOWN), ("deepspeed", 1.0)):
        of = context(framework)
        forward, backward = (tensor_s(of, phase, tp=2) for phase in (Phase.FORWARD, Phase.BACKWARD))
        assert forward > 0
        assert backward == pytest.approx(share * forward)


def test_a_lower_power_limit_leaves_a_lower_clock():
    """Dynamic power goes with the cube of the clock: the 500 W H100 has (5/7)^(1/3) of the 700 W one's. A part whose GEMMs were
    measured under its limit needs no correction, nor does one with more power for each FLOP/s."""
    plain = context().cluster.accelerator
    best = Efficiency(metric="gemm_best", format="bf16", fraction=0.9, source="a benchmark")
    unmeasured = replace(
        plain, architecture="Hopper GH100", tdp_w=700.0, peak_flop_per_s={"bf16": 989.5e12}, efficiencies=()
    )
    accelerator = replace(unmeasured, efficiencies=(best,))
    assert power_share(replace(unmeasured, tdp_w=500.0)) == pytest.approx((5 / 7) ** (1 / 3))
    assert power_share(replace(unmeasured, tdp_w=900.0)) == 1.0
    assert power_share(replace(accelerator, tdp_w=500.0)) == 1.0
    assert power_share(replace(unmeasured, architecture="CDNA3", tdp_w=500.0)) == 1.0


def test_more_power_for_the_same_peak_is_a_gain():
    """Datasheets: GB300 may draw 1,400 W where GB200 draws 1,200, B300 1,100 where B200 draws 1,000; no other part is so paired."""
    plain = context().cluster.accelerator

    def gain(watts, peak, architecture="Blackwell Ultra"):
        return power_gain(replace(plain, architecture=architecture, tdp_w=watts, peak_flop_per_s={"bf16": peak}))

    assert [gain(1400.0, 2.5e15), gain(1100.0, 2.25e15)] == pytest.approx([1400 / 1200, 1.1])
    assert gain(900.0, 2.25e15) == gain(1400.0, 2.5e15, "Blackwell GB100") == gain(None, 2.5e15) == 1.0
    hot = replace(plain, architecture="Blackwell Ultra", tdp_w=3000.0, peak_flop_per_s={"bf16": 2.5e15})
    assert sustained_matmul(hot) == 1.0


LIGER_H100 = {"megatron-core": (0.8585, 5.0830, 1), "nanotron": (1.4953, 4.5729, 2)}
"""Milliseconds of silu(gate) x up on an H100 for 8,192 tokens of 32,768 elements, and of that with a sum and the backward
(linkedin/Liger-Kernel at ead96b61, benchmark/data/all_benchmark_data.csv: megatron_swiglu, megatron and torch), and how often its
backward reads the gradient."""


@pytest.mark.parametrize("framework", LIGER_H100)
def test_gated_activations_take_what_was_measured_of_the_frameworks_kernels(framework):
    """The benchmark's sum reads the result; its gradient is one number, which a training step reads per element."""
    of = context(framework, seq_len=8192)
    memory = replace(of.cluster.accelerator, memory_bandwidth_bytes_per_s=3.35e12)
    of = replace(of, cluster=replace(of.cluster, accelerator=memory))
    elements, rate = 8192 * 32768, 3.35e12 * MEMORY_EFFICIENCY
    gate, up, product = (Tensor(name, 32768, Region.RESIDUAL) for name in ("gate", "up", "product"))
    swiglu = Pointwise(name="act", kind="gated_activation.silu", inputs=(gate, up), outputs=(product,))
    layouts = mesh(of)
    divisors = dict.fromkeys(region_divisors(of, layouts, RULES.strategies), np.ones(1))
    cost = operator_cost(of, layouts, swiglu, divisors, rates_of(of))
    forward_ms, both_ms, reads = LIGER_H100[framework]
    assert number(cost.forward_s) * 1e3 == pytest.approx(forward_ms, rel=0.02)
    sum_s, gradient_s = 2 * elements / rate, 2 * elements * reads / rate
    assert number(cost.forward_s + cost.backward_s) + sum_s - gradient_s == pytest.approx(both_ms / 1e3, rel=0.05)


@pytest.mark.parametrize(("cp", "kind", "slower"), [(2, "ring", 1.0), (4, "ring", 1.068), (4, "ulysses", 1.0)])
def test_a_ring_s_kernels_see_fewer_keys_and_reach_less(cp, kind, slower):
    """A query that sees a quarter of 8,192 keys in each of four kernels sees as many as in a causal sequence of 4,096:
    FlashAttention-2 reaches 0.567 of an A100's peak there and 0.606 at 8,192 (arXiv 2307.08691, figure 4)."""
    of = context(seq_len=8192)

    def attention_s(layouts):
        divisors, parts = region_divisors(of, layouts, RULES.strategies), key_parts(of, layouts, RULES.strategies)
        found = block_costs(of, layouts, of.program.kinds[0], divisors, rates_of(of), parts)
        return next(number(cost.forward_s) for cost in found if isinstance(cost.operator, Attention))

    assert attention_s(mesh(of, cp=cp, cp_kind=kind)) * cp / attention_s(mesh(of)) == pytest.approx(slower, rel=0.02)


def test_compiled_models_write_less_and_keep_less():
    """torch.compile fuses neighbouring pointwise kernels; a PyTorch RMSNorm before 2.9 runs one kernel a step."""
    eager, fused = context("torchtitan"), context("torchtitan-compiled")
    slow, quick = (evaluated(each, dp=8, zero=3, micro_batch=2).blocks[1] for each in (eager, fused))
    assert number(quick.forward_s) < 0.95 * number(slow.forward_s)


def test_compute_beside_communication_takes_as_much_longer_as_measured():
    """arXiv 2507.03114, abstract: 18.9 % longer in the mean. What lasts as long as that compute adds no more than this, what lasts
    longer sticks out, and TPUs, whose collectives take no compute units, lose nothing."""
    compute, beside = np.ones(1), np.full(1, 1.189)
    assert 1.0 + number(beside - gained_s(beside, compute, COMMUNICATION_SLOWDOWN)) == pytest.approx(1.189)
    assert 1.0 + number(2.0 - gained_s(np.full(1, 2.0), compute, COMMUNICATION_SLOWDOWN)) == pytest.approx(2.0)
    of = context("torchtitan")
    tpu = replace(of, cluster=replace(of.cluster, accelerator=replace(of.cluster.accelerator, vendor="google")))
    assert slowdown_of(of) == COMMUNICATION_SLOWDOWN
    assert slowdown_of(tpu) == 0.0


def test_deepspeed_synchronises_after_the_last_backward_pass():
    """runtime/zero/config.py: overlap_comm is off below ZeRO-3; runtime/pipe/engine.py reduces after the schedule. All of it shows,
    however little it is, where Megatron hides it."""
    exposed = {}
    for framework in ("deepspeed", "megatron-core"):
        of = context(framework, global_batch=64)
        layouts = mesh(of, dp=8, zero=1)
        traffic = Traffic(layouts, network_of(of.cluster))
        syncs = [block_syncs(of, layouts, block, RULES.strategies, traffic) for block in of.program.blocks]
        counts = (1, *of.program.counts(), 1)
        took = sum(count * number(s) for count, each in zip(counts, syncs, strict=True) for s in each.values())
        exposed[framework] = number(evaluated(of, dp=8, zero=1).step.components["dp"]) / took
    assert exposed["deepspeed"] == pytest.approx(1.0)
    assert exposed["megatron-core"] < 0.7


def test_the_first_block_s_gradients_have_nothing_to_hide_behind():
    """They are the last to be ready: on a fast network what sticks out is the embedding's share, and what hiding costs."""
    of = context(global_batch=64)
    layouts = mesh(of, dp=64, zero=0)
    traffic = Traffic(layouts, network_of(of.cluster))
    first = number(block_syncs(of, layouts, of.program.blocks[0], RULES.strategies, traffic)[Phase.GRADIENT_SYNC])
    free = replace(of, framework=replace(of.framework, overlaps=replace(of.framework.overlaps, slowdown=0.0)))
    assert number(evaluated(free, dp=64, zero=0).step.components["dp"]) == pytest.approx(first)


def test_tensor_parallel_ranks_share_out_what_a_stage_sends_where_the_next_gathers_it():
    """arXiv 2104.04473, section 4.1: each of t ranks sends 1/t over the network, and the next stage gathers it inside its node."""
    strategy = next(strategy for strategy in RULES.strategies if strategy.name == "pipeline")
    of = context("deepspeed")
    layouts = mesh(of, pp=2, tp=8)
    forward, gathered = list(strategy.boundary_communications(of, layouts))[:2]
    whole = number(of.tokens(layouts)) * of.architecture.hidden * of.precision.communication_bytes
    assert number(forward.payload_bytes) == pytest.approx(whole / 8)
    assert number(gathered.payload_bytes) == pytest.approx(whole)
    assert (forward.axes, gathered.axes, number(gathered.events)) == (("pp",), ("tp",), 1.0)


def test_internevo_all_reduces_in_16_bits_and_broadcasts_each_rank_s_weights():
    """internlm/solver/optimizer/hybrid_zero_optim.py: reduce_rank is None, so every rank gets all gradients, in shard groups too;
    broadcast_params sends the part of one rank after the other, each around the whole ring."""
    strategy = next(strategy for strategy in RULES.strategies if strategy.name == "data")
    of = context("internevo")
    layouts = mesh(of, dp=64, zero=1, shard_group=8)
    sent = strategy.synchronisations(of, layouts, of.program.kinds[0])
    sent = [each for each in sent if np.any(each.events) and np.any(each.payload_bytes)]
    reduced = [each for each in sent if each.phase is Phase.GRADIENT_SYNC]
    assert [(each.collective, each.axes) for each in reduced] == [(Collective.ALL_REDUCE, ("replicas",))]
    layer = sum(map(number, of.local_elements(of.program.kinds[0], layouts).values()))
    assert number(reduced[0].payload_bytes * reduced[0].events) == pytest.approx(2.0 * layer)
    broadcasts = 0.0
    for count, block in zip((1, *of.program.counts(), 1), of.program.blocks, strict=True):
        sent = strategy.synchronisations(of, layouts, block)
        weights = [each for each in sent if each.phase is Phase.PARAMETER_SYNC and np.any(each.payload_bytes)]
        broadcasts += count * sum(number(each.events) for each in weights)
    assert broadcasts == pytest.approx(8.0)


PLAYBOOK = cells.bus_bandwidths("vinjn/nanotron-ultrascale-playbook:assets")


@pytest.mark.parametrize(("nodes", "ranks_per_node", "measured"), [(4, 8, 160.1e9), (64, 8, 32.9e9), (64, 2, 32.9e9)])
def test_groups_reach_no_more_than_was_measured_over_as_many_nodes(nodes, ranks_per_node, measured):
    """The playbook's all-reduces of 256 MB; groups beside each other reach as much each, over cards that carry more."""
    of = context()
    cluster = replace(of.cluster, node=replace(of.cluster.node, network_bytes_per_s=400e9), measured=PLAYBOOK)
    layouts = mesh(of, tp=8 // ranks_per_node, dp=ranks_per_node * nodes)
    sent = Communication(
        collective=Collective.ALL_REDUCE, axes=("dp",), payload_bytes=np.full(1, 256e6), phase=Phase.GRADIENT_SYNC,
        component="dp", source="",
    )  # fmt: skip
    n = ranks_per_node * nodes
    seconds = number(Traffic(layouts, network_of(cluster)).seconds(sent))
    assert 2 * (n - 1) / n * 256e6 / seconds == pytest.approx(measured)


def test_groups_of_64_and_32_lie_inside_the_racks_of_a_larger_job():
    """MLPerf's jobs of 2,496 GPUs on NVL72 are 39 racks of 64."""
    of = context()
    for dp in (256, 2496):
        for ep in (64, 32):
            group = group_for(("ep",), mesh(of, dp=dp, ep=ep), 72)
            assert number(group.inner) == ep
    assert number(group_for(("ep",), mesh(of, dp=144, ep=72), 72).inner) == 72


def test_gradients_hide_behind_the_chunks_that_follow():
    """With v chunks all but the last have p micro-batches' backward after them (FORMULAS section 8): (1 + (v − 1)·p)/v
    micro-batches of the stage in all, for gradients and for weights, on a network too slow for all to hide."""
    of = context(global_batch=64)
    slow = replace(of.cluster.node, network_bytes_per_s=1e8)
    even = replace(of.program, layers=(0,) * len(of.program.layers))
    of = replace(of, cluster=replace(of.cluster, node=slow), program=even)
    alone, interleaved = (
        evaluated(of, schedule=schedule, vpp=vpp, pp=4, dp=16, zero=1).step.components
        for schedule, vpp in (("1f1b", 1), ("interleaved", 2))
    )
    window = (number(interleaved["forward"]) + number(interleaved["backward"])) / 4  # m = 4
    saved = number(alone["dp"]) - number(interleaved["dp"])
    assert saved == pytest.approx(((1 + 1 * 4) / 2 - 1) * window, rel=0.2)


def test_buckets_pay_their_latency_each():
    """DistributedDataParallel's 25 MiB hold 13 million gradients in 16 bits: small ones for many ranks cost more."""
    of = context("nanotron")
    whole = replace(of, framework=replace(of.framework, sync_bucket_elements=None))
    small = replace(of, framework=replace(of.framework, sync_bucket_elements=lambda _context, _layouts: 1e5))
    synced = []
    for each in (whole, of, small):
        layouts = mesh(each, dp=64, zero=0)
        traffic = Traffic(layouts, network_of(each.cluster))
        took = [block_syncs(each, layouts, block, RULES.strategies, traffic) for block in each.program.blocks]
        synced.append(sum(number(syncs[Phase.GRADIENT_SYNC]) for syncs in took))
    assert synced[2] > 2.0 * synced[0]
    assert np.isfinite(synced).all()


def test_a_compiler_that_makes_one_program_of_the_step_launches_nothing():
    of = context("torchtitan")
    assert launch_s_per_operator(of) > 0
    tpu = replace(of, cluster=replace(of.cluster, accelerator=replace(of.cluster.accelerator, vendor="google")))
    assert launch_s_per_operator(tpu) == 0.0
