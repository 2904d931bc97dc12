"""In-flight micro-batches and bubbles of the pipeline schedules, against their papers."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_the_1f1b_bubble_is_p_minus_1_of_forward_and_backward(schedules, context) -> None:
    """arXiv 2104.04473, section 2.2.1: t_pb = (p - 1)(t_f + t_b)."""
    idle = schedules["1f1b"].bubble_s(context, layouts(context, 8, 1, 32), equal_stages(8, 1.0, 2.0))
    assert idle == pytest.approx(7 * 3.0)


def test_interleaving_divides_the_bubble_by_the_chunks(schedules, context) -> None:
    """arXiv 2104.04473, section 2.2.2: t_pb / v."""
    idle = schedules["interleaved"].bubble_s(context, layouts(context, 8, 4, 32), equal_stages(8, 1.0, 2.0))
    assert idle == pytest.approx(7 * 3.0 / 4)
