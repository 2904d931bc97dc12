"""The α–β model against nccl-tests' factors and hand arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.formulas.collectives import (
    Link,
    all_reduce_s,
    all_to_all_s,
    group_of,
    point_to_point_s,
    ring_s,
)
from planner.search import network

NVLINK = Link(300e9, 0.0)
NETWORK = Link(25e9, 0.0)


def array(*values: float) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def test_all_reduce_moves_two_n_minus_one_over_n_of_the_buffer() -> None:
    """nccl-tests, PERFORMANCE.md: bus bandwidth = algorithm bandwidth x 2(n-1)/n."""
    group = group_of(array(8), array(1), 8)
    seconds = all_reduce_s(group, array(1e9), NVLINK, NETWORK)
    assert seconds == pytest.approx(2 * 7 / 8 * 1e9 / 300e9)


@pytest.mark.parametrize("collective", [ring_s])
def test_all_gather_moves_n_minus_one_over_n(collective) -> None:
    group = group_of(array(4), array(1), 8)
    assert collective(group, array(1e9), NVLINK, NETWORK) == pytest.approx(3 / 4 * 1e9 / 300e9)


def test_a_group_across_nodes_uses_the_network_shares_of_all_its_ranks_in_a_node() -> None:
    """16 ranks in two nodes of 8: half of the buffer crosses, over eight cards side by side."""
    group = group_of(array(16), array(1), 8)
    seconds = ring_s(group, array(1e9), Link(1e15, 0.0), NETWORK)
    assert seconds == pytest.approx(0.5 * 1e9 / (8 * 25e9))


def test_groups_that_share_a_node_divide_its_network() -> None:
    """Data-parallel groups of tp = 8 have one rank per node each: eight groups, each with one card's share."""
    group = group_of(array(4), array(8), 8)
    assert group.inner == 1
    assert ring_s(group, array(1e9), NVLINK, NETWORK) == pytest.approx(3 / 4 * 1e9 / 25e9)


def test_all_to_all_leaves_one_nth_at_home() -> None:
    group = group_of(array(8), array(1), 8)
    assert all_to_all_s(group, array(8e9), NVLINK, NETWORK) == pytest.approx(7 / 8 * 8e9 / 300e9)


HYBRID_EP_GB200 = {
    8: (764.03, 737.13),
    16: (706.95, 666.26),
    24: (665.97, 639.80),
    32: (642.23, 605.15),
    36: (632.31, 596.99),
}
HYBRID_EP_H100 = {16: (54.47, 71.71), 32: (47.36, 57.69), 64: (41.24, 49.97)}
"""deepseek-ai/DeepEP, branch hybrid-ep, docs/README_Hybrid-EP.md: 4,096 tokens of 7,168 elements in bf16, 8 random experts each,
GB/s by ranks. GB200, 32 multiprocessors, kernels alone: dispatch, combine. H100, 16 multiprocessors: dispatch with its
preparation, the kernel alone. Counted are the bytes that the ranks' tokens take up where they arrive, the sender's own included."""
TOKEN_BYTES = 4096 * 7168 * 2


@pytest.mark.parametrize(("ranks", "published"), HYBRID_EP_GB200.items())
def test_routed_tokens_take_as_long_as_measured_in_one_rack(ranks: int, published: tuple[float, float]) -> None:
    arrives = ranks * (1 - (1 - 1 / ranks) ** 8) * TOKEN_BYTES
    link = Link(900e9 * 0.698, network.SCALE_UP_LATENCY_S)
    seconds = all_to_all_s(group_of(array(ranks), array(1), ranks), array(8 * TOKEN_BYTES), link, NETWORK, 8.0)
    assert seconds == pytest.approx(arrives / 1e9 / np.mean(published), rel=0.1)


@pytest.mark.parametrize(("ranks", "published"), HYBRID_EP_H100.items())
def test_routed_tokens_take_as_long_as_measured_between_nodes(ranks: int, published: tuple[float, float]) -> None:
    nodes = ranks / 8
    arrives = nodes * (1 - (1 - 1 / nodes) ** 8) * TOKEN_BYTES
    across = Link(50e9 * network.NETWORK_EFFICIENCY, network.NETWORK_LATENCY_S)
    seconds = all_to_all_s(
        group_of(array(ranks), array(1), 8), array(8 * TOKEN_BYTES), Link(450e9 * 0.8, 0.0), across, 8.0
    )
    assert arrives / 1e9 / max(published) * 0.95 < seconds[0] < arrives / 1e9 / min(published) * 1.05


def test_a_message_to_another_node_takes_the_network() -> None:
    inside = point_to_point_s(group_of(array(2), array(1), 8), array(1e9), NVLINK, NETWORK)
    across = point_to_point_s(group_of(array(2), array(8), 8), array(1e9), NVLINK, NETWORK)
    assert inside == pytest.approx(1e9 / 300e9)
    assert across == pytest.approx(1e9 / 25e9)


NCCL_A100 = {8: 109.93, 16: 106.16, 64: 171.54, 128: 176.92, 256: 194.07, 512: 222.72, 1024: 229.04, 4096: 233.88}
NCCL_B200_NODES = {1024: 361.99, 4096: 377.34, 16384: 381.8}
"""Below a GiB this network (EFA) reaches less than any ring or tree of ours: 229 GB/s at 256 MiB, where we say 310."""


@pytest.mark.parametrize(("mib", "measured"), NCCL_A100.items())
def test_bus_bandwidth_by_message_size_is_nccl_s_on_eight_a100s(mib: int, measured: float) -> None:
    """nccl-tests all_reduce_perf, stas00/ml-engineering, network/benchmarks/results at 744d01e1 (GB/s by MiB)."""
    link = Link(300e9 * 0.783, network.SCALE_UP_LATENCY_S, network.CHUNK_BYTES)
    seconds = all_reduce_s(group_of(array(8), array(1), 8), array(mib * 2.0**20), link, NETWORK)
    assert 2 * 7 / 8 * mib * 2**20 / seconds[0] / 1e9 == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(("mib", "measured"), NCCL_B200_NODES.items())
def test_bus_bandwidth_by_message_size_is_nccl_s_between_four_nodes(mib: int, measured: float) -> None:
    """nccl-tests all_reduce_perf on 4 p6-b200, stas00/ml-engineering, network/README.md at 744d01e1 (GB/s by MiB)."""
    inside = Link(900e9 * 0.8, network.SCALE_UP_LATENCY_S, network.CHUNK_BYTES)
    across = Link(50e9 * network.NETWORK_EFFICIENCY, network.NETWORK_LATENCY_S, network.CHUNK_BYTES)
    seconds = all_reduce_s(group_of(array(32), array(1), 8), array(mib * 2.0**20), inside, across)
    assert 2 * 31 / 32 * mib * 2**20 / seconds[0] / 1e9 == pytest.approx(measured, rel=0.1)


def test_a_group_of_one_sends_nothing() -> None:
    alone = group_of(array(1), array(1), 8)
    for collective in (ring_s, all_reduce_s, all_to_all_s, point_to_point_s):
        assert collective(alone, array(1e9), Link(1e9, 1e-6), Link(1e9, 1e-6)) == 0


@given(
    size=st.integers(1, 12).map(lambda exponent: 2.0**exponent),
    stride=st.integers(0, 6).map(lambda exponent: 2.0**exponent),
    payload=st.floats(1.0, 1e12),
)
def test_more_bytes_never_take_less_time(size: float, stride: float, payload: float) -> None:
    group = group_of(array(size), array(stride), 8)
    links = (Link(300e9, 3e-6), Link(25e9, 1e-5))
    for collective in (ring_s, all_reduce_s, all_to_all_s, point_to_point_s):
        assert collective(group, array(2 * payload), *links) >= collective(group, array(payload), *links) >= 0
