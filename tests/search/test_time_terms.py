"""Terms of a step's time against what their sources say: quantising, attention kernels, overlaps, racks, launches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search.meshes import RULES, context, evaluated, mesh, number

from planner.domain.hardware import Efficiency
from planner.formulas.attention import RATES
from planner.plugin import Linear, Phase
from planner.search.memory import region_divisors
from planner.search.network import Traffic, group_for, network_of
from planner.search.operators import PLAIN_LINEARS, block_costs, power_share, rates_of
from planner.search.timing import block_syncs, communications, launch_s_per_operator


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
    """megatron/core/tensor_parallel/layers.py: the all-reduce of an input gradient runs while the weight gradient is computed;
    DeepSpeed's Megatron of 2021 waits for it."""
    for framework, share in (("megatron-core", 0.0), ("deepspeed", 1.0)):
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


def test_compute_loses_to_the_collectives_beside_it():
    """Twenty of an H800's 132 processors communicate in DeepSeek-V3 (arXiv 2412.19437, section 3.2.2); TPUs have units for it."""
    of = context("torchtitan")
    free = replace(of, framework=replace(of.framework, overlaps=replace(of.framework.overlaps, slowdown=0.0)))
    tpu = replace(of, cluster=replace(of.cluster, accelerator=replace(of.cluster.accelerator, vendor="google")))
    lost, none, apart = (
        number(evaluated(each, dp=8, zero=3, micro_batch=2).blocks[1].exposed[Phase.FORWARD].by_component["dp"])
        for each in (of, free, tpu)
    )
    layouts = mesh(of, dp=8, zero=3, micro_batch=2)
    traffic = Traffic(layouts, network_of(of.cluster))
    sent = communications(of, layouts, of.program.blocks[1], RULES.strategies)
    gathered = [traffic.all_s(each) for each in sent if (each.phase, each.component) == (Phase.FORWARD, "dp")]
    took = sum(number(seconds) for seconds in gathered if seconds is not None)
    assert (none, apart) == (0.0, 0.0)
    assert lost == pytest.approx(took * 20 / 132)


def test_compiled_models_write_less_and_keep_less():
    """torch.compile fuses neighbouring pointwise kernels; a PyTorch RMSNorm before 2.9 runs one kernel a step."""
    eager, fused = context("torchtitan"), context("torchtitan-compiled")
    slow, quick = (evaluated(each, dp=8, zero=3, micro_batch=2).blocks[1] for each in (eager, fused))
    assert number(quick.forward_s) < 0.95 * number(slow.forward_s)


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
