"""What attention kernels reach, against measurements that the rates were not taken from."""

from __future__ import annotations

import pytest

from planner.formulas.attention import attention_fraction

CUDNN_GB200 = {2048: 0.375, 4096: 0.485, 8192: 0.557, 16384: 0.567, 32768: 0.527}
CUDNN_GB300 = {2048: 0.422, 4096: 0.540, 8192: 0.614, 16384: 0.642, 32768: 0.639}
CUDNN_H200 = {2048: 0.401, 4096: 0.508, 8192: 0.573, 16384: 0.609, 32768: 0.614}
"""NVIDIA/cudnn-frontend at 3929da2e, benchmark/sdpa_benchmark_training/results, llama3.1: bf16, causal, 128-wide heads, forward and
backward together, of 2,500 and 989.5 TFLOP/s. The rate is FlashAttention-3's on an H100."""


@pytest.mark.parametrize("measured", [CUDNN_GB200, CUDNN_H200])
def test_another_library_and_the_next_generation_reach_about_as_much(measured: dict[int, float]) -> None:
    for seq_len, fraction in measured.items():
        assert attention_fraction("flash-3", "Blackwell", seq_len) == pytest.approx(fraction, rel=0.2)


def test_blackwell_ultra_s_own_rate_is_that_of_its_exponentials() -> None:
    """GB300 against GB200 at 4,096 and 8,192 tokens: 1.115 and 1.101 times as fast, and as fast as measured."""
    ultra, before = "Blackwell Ultra", "Blackwell GB100"
    for seq_len in (4096, 8192):
        found = [float(attention_fraction("flash-3", each, seq_len)) for each in (ultra, before)]
        assert found[0] / found[1] == pytest.approx(CUDNN_GB300[seq_len] / CUDNN_GB200[seq_len], rel=0.01)
    for seq_len, fraction in CUDNN_GB300.items():
        assert attention_fraction("flash-3", ultra, seq_len) == pytest.approx(fraction, rel=0.1)


@pytest.mark.parametrize(("window", "fraction"), [(128, 0.070), (1024, 0.304)])
def test_a_short_window_costs_much_more_than_its_arithmetic(window: int, fraction: float) -> None:
    """As above, gpt_oss at 4,096 tokens with 64-wide heads: GB200 with a window of 128, H200 with 1,024. The factor of narrow heads
    was taken from these two, the effect of the window was not."""
    found = attention_fraction("flash-3", "Blackwell", 4096, window, 64)
    assert found == pytest.approx(fraction, rel=0.1)


def test_a_window_as_long_as_the_sequence_is_none() -> None:
    whole, wide = (attention_fraction("flash-2", "Ampere", 4096, window) for window in (None, 4096))
    assert wide == whole
