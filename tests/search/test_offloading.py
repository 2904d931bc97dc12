"""What lives on the host: bytes per parameter that the literature gives, what the way there costs, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search.meshes import RULES, context, evaluated, mesh, number

from planner.search.evaluation import evaluate_mesh
from planner.search.memory import stage_instants
from planner.search.objectives import FILLS_THE_HOST, Limits, search
from planner.search.refusing import refusals
from planner.search.space import Space

OFFLOADS = tuple(RULES.offloads)
FRAMEWORKS = ("megatron-core", "deepspeed", "torchtitan", "transformers")


def parameters(of) -> float:
    per_block = [sum(map(number, of.local_elements(block, mesh(of)).values())) for block in of.program.blocks]
    return sum(count * each for count, each in zip((1, *of.program.counts(), 1), per_block, strict=True))


def states(evaluation) -> float:
    column = evaluation.columns[0]
    counts = [number(column.embedding), *(number(count) for count in column.layers), number(column.head)]
    return sum(
        count * number(block.weights + block.gradients + block.optimizer)
        for count, block in zip(counts, evaluation.memory.states, strict=True)
    )


def test_megatron_keeps_weights_and_float32_gradients_on_the_device_and_16_bytes_on_the_host():
    """docs/user-guide/features/dist_optimizer.md: 18 bytes per parameter, 12 of them master copy and moments; the host's
    optimizer reads float32 gradients besides."""
    of = context("megatron-core")
    found = evaluated(of, offload="optimizer")
    assert states(found) == pytest.approx(6 * parameters(of))
    assert number(found.host_bytes) == pytest.approx(16 * parameters(of))


def test_deepspeed_keeps_2_bytes_per_parameter():
    """ZeRO-Offload (arXiv 2101.06840, section 4): fp16 parameters stay; gradients, master copy and moments go."""
    of = context("deepspeed", "fp16-mixed")
    assert states(evaluated(of, offload="optimizer")) == pytest.approx(2 * parameters(of))


def test_all_states_leave_with_the_parameters():
    of = context("deepspeed", "fp16-mixed")
    found = evaluated(of, offload="parameters")
    assert states(found) == 0.0
    # DeepSpeed's estimate: 18 bytes per parameter, before the buffers that it adds half as much for.
    assert number(found.host_bytes) == pytest.approx(18 * parameters(of))


def saved_bytes(of) -> float:
    evaluation = evaluated(of)
    return sum(
        number(count * layer.saved)
        for count, layer in zip(evaluation.columns[0].layers, evaluation.memory.activations.layers, strict=True)
    )


def test_saved_activations_leave_but_for_two_layers():
    of = context("megatron-core", global_batch=1)
    largest = max(number(layer.saved) for layer in evaluated(of).memory.activations.layers)
    here = number(evaluated(of).peak_bytes) - number(evaluated(of, offload="activations").peak_bytes)
    reserve = 1.0 + of.framework.overheads.fragmentation
    assert here / reserve == pytest.approx(saved_bytes(of) - 2 * largest, rel=0.05)
    assert number(evaluated(of, offload="activations").host_bytes) == pytest.approx(saved_bytes(of))


def test_layers_that_save_everything_travel_whole_beside_layers_that_run_again():
    """With one layer of eight run again, seven eighths of the bytes still cross the link, and two whole layers stay."""
    of = context("megatron-core", global_batch=8)
    accelerator = replace(of.cluster.accelerator, pcie_bytes_per_s=1e6)
    slow = replace(of, cluster=replace(of.cluster, accelerator=accelerator))
    every, most = (evaluated(slow, offload="activations", recompute=recompute) for recompute in ("none", "full:block"))
    layers = len(of.program.layers)
    ratio = number(most.step.components["other"]) / number(every.step.components["other"])
    assert ratio == pytest.approx((layers - 1) / layers, rel=0.05)
    assert number(most.peak_bytes) == pytest.approx(number(every.peak_bytes), rel=0.01)


def test_gradients_travel_as_they_are_reduced_whatever_the_stage():
    of = context("deepspeed", global_batch=8)
    peaks = [
        max(number(components["gradients"]) for _, _, components, _ in stage_instants(of, found.memory, found.columns))
        for found in (evaluated(of, offload="optimizer", dp=8, zero=zero) for zero in (0, 1, 2))
    ]
    assert peaks[0] == peaks[1] == peaks[2]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("recompute", ["none", "full"])
def test_offloading_never_costs_device_memory_and_never_saves_time(framework, recompute):
    of = context(framework, global_batch=8)
    plain = evaluated(of, recompute=recompute)
    for name in OFFLOADS:
        found = evaluated(of, recompute=recompute, offload=name)
        assert number(found.peak_bytes) <= number(plain.peak_bytes)
        assert number(found.step.total_s) >= number(plain.step.total_s)
        assert number(found.host_bytes) >= 0.0


def test_a_slow_link_shows_and_a_fast_one_hides():
    of = context("megatron-core", global_batch=8)

    def other_s(bytes_per_s: float) -> float:
        accelerator = replace(of.cluster.accelerator, pcie_bytes_per_s=bytes_per_s)
        linked = replace(of, cluster=replace(of.cluster, accelerator=accelerator))
        return number(evaluated(linked, offload="activations").step.components["other"])

    assert other_s(1e15) == 0.0
    slow = other_s(1e6)
    assert slow == pytest.approx(2 * 8 * saved_bytes(of) / (1e6 * 0.78), rel=0.05)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_layout_alone_equals_the_layout_beside_every_offload_bit_for_bit(framework):
    of = context(framework, global_batch=8)
    together = mesh(of, offload=OFFLOADS, recompute=tuple(RULES.recomputes), zero=(0, 1, 2, 3), dp=4)
    whole = evaluate_mesh(of, together, RULES)
    peaks = np.broadcast_to(whole.peak_bytes, together.shape).reshape(-1)
    steps = np.broadcast_to(whole.step.total_s, together.shape).reshape(-1)
    for index in range(peaks.size):
        labels = together.at(np.asarray([index])).labels()
        alone = evaluated(of, **{name: labels[name] for name in ("offload", "recompute", "zero", "dp")})
        assert number(alone.peak_bytes) == peaks[index]
        assert number(alone.step.total_s) == steps[index]


def reasons(of, **given):
    found = mesh(of, **given)
    return {each.reason for each in refusals(of, found, RULES) if bool(np.any(each.where))}


def test_what_a_framework_cannot_move_is_refused():
    assert "megatron-core does not offload parameters" in reasons(context("megatron-core"), offload="parameters")
    assert "nanotron does not offload optimizer" in reasons(context("nanotron"), offload="optimizer")
    assert not reasons(context("megatron-core", global_batch=8), offload="optimizer", dp=8, zero=1)


def test_parameters_are_offloaded_as_shards_or_by_one_replica():
    of = context("deepspeed", global_batch=8)
    assert "offloading parameters of several replicas needs ZeRO-3" in reasons(of, offload="parameters", dp=8, zero=2)
    assert not reasons(of, offload="parameters", dp=8, zero=3)
    assert not reasons(of, offload="parameters")


def test_a_host_that_is_too_small_is_a_reason_of_its_own():
    of = context("megatron-core", global_batch=8)
    small = replace(of.cluster, node=replace(of.cluster.node, host_memory_bytes=1 << 20))
    layouts = mesh(of, offload="optimizer")
    space = Space(of, layouts.degrees, (), {name: tuple(values) for name, values in layouts.values.items()})
    found = search(replace(of, cluster=small), space, RULES, Limits(headroom=0.0), keep=1)
    assert found.rejected == {FILLS_THE_HOST: 1}
