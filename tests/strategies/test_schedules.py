"""In-flight micro-batches and bubbles of the pipeline schedules, against their papers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search import meshes

from planner.plugin import StageTimes
from planner.registry import load_registry
from planner.search.space import derive, make_layouts
from planner.synthetic import synthetic_context


def layouts(context, pp: int, vpp: int, micro_batches: int):
    ones = np.ones(1)
    names = ("tp", "cp", "dp", "ep", "etp", "micro_batch")
    degrees = dict.fromkeys(names, ones) | {"pp": ones * pp, "vpp": ones * vpp}
    derived = derive(context, degrees) | {"micro_batches": ones * micro_batches}
    return make_layouts(derived, {})


def equal_stages(pp: int, forward_s: float, backward_s: float) -> StageTimes:
    one = np.ones(1)
    return StageTimes(
        slowest_forward_s=one * forward_s, slowest_backward_s=one * backward_s, total_forward_s=one * pp * forward_s,
        total_backward_s=one * pp * backward_s, weight_gradient_s=one * forward_s,
    )  # fmt: skip


@pytest.fixture(scope="module")
def schedules():
    return load_registry(disable="*").schedules


@pytest.fixture(scope="module")
def context():
    return synthetic_context()


@pytest.mark.parametrize("stage", range(8))
def test_1f1b_stage_i_holds_p_minus_i_micro_batches(schedules, context, stage: int) -> None:
    """Megatron-LM, pipeline_parallel/schedules.py: warm-up micro-batches are p - i - 1, one more is in flight."""
    mesh = layouts(context, 8, 1, 64)
    assert schedules["1f1b"].chunks_in_flight(context, mesh, np.asarray([float(stage)])) == 8 - stage


@pytest.mark.parametrize(("pp", "vpp"), [(4, 2), (8, 3), (12, 8)])
def test_interleaving_multiplies_the_first_stage_s_activations_by_one_plus_p_minus_1_over_pv(
    schedules, context, pp: int, vpp: int
) -> None:
    """arXiv 2205.05198, section 4.2.3: L/p layers x p(1 + (p-1)/(pv)) micro-batches."""
    held = schedules["interleaved"].chunks_in_flight(context, layouts(context, pp, vpp, 16 * pp), np.zeros(1))
    assert held / vpp == pytest.approx(pp * (1 + (pp - 1) / (pp * vpp)))


def most_held(pp: int, vpp: int, micro_batches: int, stage: int, layers: list[int]) -> int:
    """Layers held at the peak when the chunks of a stage hold `layers`: Megatron-LM's interleaved schedule run step by step
    (megatron/core/pipeline_parallel/schedules.py: get_pp_rank_microbatches and get_schedule_table)."""
    groups = range(micro_batches // pp)
    forward = [chunk for _ in groups for chunk in range(vpp) for _ in range(pp)]
    backward = [chunk for _ in groups for chunk in reversed(range(vpp)) for _ in range(pp)]
    warmup = min(2 * (pp - stage - 1) + (vpp - 1) * pp, len(forward))
    held = most = sum(layers[chunk] for chunk in forward[:warmup])
    for begun, ended in zip(forward[warmup:], backward, strict=False):
        held += layers[begun]
        most = max(most, held)
        held -= layers[ended]
    return most


@pytest.mark.parametrize(("pp", "vpp", "groups"), [(16, 8, 1), (16, 8, 2), (4, 2, 2), (2, 4, 4), (2, 2, 1), (8, 3, 3)])
@pytest.mark.parametrize("per_chunk", [1, 3])
def test_end_chunks_that_are_a_layer_short_are_held_as_often_as_the_schedule_runs_them(
    pp: int, vpp: int, groups: int, per_chunk: int
) -> None:
    """Layers + 2 in chunks of as many each, the embedding and the head counted as one (arXiv 2407.21783, section 3.3.2)."""
    of = meshes.context(global_batch=groups * pp)
    of = replace(of, program=replace(of.program, layers=(0,) * (pp * vpp * per_chunk - 2)))
    found = meshes.evaluated(of, pp=pp, vpp=vpp, schedule="interleaved")
    whole = [per_chunk] * vpp
    for column, in_flight in zip(found.columns, found.memory.in_flight, strict=True):
        stage = int(column.index[0])
        layers = whole.copy()
        layers[0] -= stage == 0
        layers[-1] -= stage == pp - 1
        held = meshes.number(in_flight.micro_batches) * sum(layers)
        assert held == pytest.approx(most_held(pp, vpp, groups * pp, stage, layers))


def test_the_1f1b_bubble_is_p_minus_1_of_forward_and_backward(schedules, context) -> None:
    """arXiv 2104.04473, section 2.2.1: t_pb = (p - 1)(t_f + t_b)."""
    idle = schedules["1f1b"].bubble_s(context, layouts(context, 8, 1, 32), equal_stages(8, 1.0, 2.0))
    assert idle == pytest.approx(7 * 3.0)


def test_interleaving_divides_the_bubble_by_the_chunks(schedules, context) -> None:
    """arXiv 2104.04473, section 2.2.2: t_pb / v."""
    idle = schedules["interleaved"].bubble_s(context, layouts(context, 8, 4, 32), equal_stages(8, 1.0, 2.0))
    assert idle == pytest.approx(7 * 3.0 / 4)
