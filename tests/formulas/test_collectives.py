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


def test_a_message_to_another_node_takes_the_network() -> None:
    inside = point_to_point_s(group_of(array(2), array(1), 8), array(1e9), NVLINK, NETWORK)
    across = point_to_point_s(group_of(array(2), array(8), 8), array(1e9), NVLINK, NETWORK)
    assert inside == pytest.approx(1e9 / 300e9)
    assert across == pytest.approx(1e9 / 25e9)


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
