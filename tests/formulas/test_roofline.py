"""Wave quantisation by NVIDIA's own example, and the roofline's two sides."""

from __future__ import annotations

import numpy as np
import pytest

from planner.formulas.cost import cost_usd
from planner.formulas.energy import energy_kwh
from planner.formulas.roofline import gemm_s, roofline_s, split_k_efficiency, wave_efficiency
from planner.formulas.run import duration_s


def array(*values: float) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def test_one_tile_more_than_the_device_holds_halves_the_efficiency() -> None:
    """NVIDIA's guide: 109 tiles on 108 compute units take two waves."""
    full = wave_efficiency(array(128.0 * 108), array(256.0), array(1.0), 108)
    spilled = wave_efficiency(array(128.0 * 109), array(256.0), array(1.0), 108)
    assert full == pytest.approx(1.0)
    assert spilled == pytest.approx(109 / 216)


def test_a_partial_tile_costs_a_whole_one() -> None:
    assert wave_efficiency(array(64.0), array(256.0), array(108.0), 108) == pytest.approx(0.5)


def test_splitting_the_inner_dimension_never_hurts() -> None:
    rows, columns, depth = array(128.0, 1024.0), array(256.0, 4096.0), array(16384.0, 512.0)
    plain = wave_efficiency(rows, columns, array(1.0), 132)
    assert np.all(split_k_efficiency(rows, columns, depth, array(1.0), 132) >= plain)


def test_the_slower_side_of_the_roofline_sets_the_time() -> None:
    assert roofline_s(array(1e12), array(1.0), array(1e12), 1e12) == pytest.approx(1.0)
    assert roofline_s(array(1.0), array(3e12), array(1e12), 1e12) == pytest.approx(3.0)


DEEP_GEMM = {(32768, 512): 590, (24576, 1536): 990, (7168, 2048): 1025, (4096, 7168): 1304, (7168, 16384): 1358}


@pytest.mark.parametrize(("shape", "measured"), DEEP_GEMM.items())
def test_shallow_gemms_reach_less_as_deepgemm_measured(shape: tuple[int, int], measured: float) -> None:
    """deepseek-ai/DeepGEMM, README.md at a6d97a1: FP8 on an H800, M = 4096, TFLOP/s by (N, K); outputs are bf16."""
    (columns, depth), rows = shape, 4096
    best = 1358e12 * (1 + 0.04)
    flops, written = 2.0 * rows * columns * depth, 2.0 * rows * columns
    seconds = gemm_s(array(flops), array(0.0), array(written), array(best), 3.35e12 * 0.8)
    assert flops / seconds[0] / 1e12 == pytest.approx(measured, rel=0.2)


def test_a_run_s_length_price_and_energy_by_hand() -> None:
    """1e9 tokens at 1e6 per 2-second step: 2000 s; 8 GPUs at 3.6 $/h: 16 $; at 400 W: 1.78 kWh."""
    seconds = duration_s(1e9, 1e6, array(2.0))
    assert seconds == pytest.approx(2000)
    assert cost_usd(array(8), seconds, 3.6) == pytest.approx(16.0)
    assert energy_kwh(array(8), seconds, 400.0) == pytest.approx(8 * 2000 * 400 / 3.6e6)
