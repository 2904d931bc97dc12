"""Which numbers of GPUs are worth a thought, and where more of them buy less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.search.growth import knee, pareto_front


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_a_front_is_what_nothing_beats(points):
    front = set(pareto_front(points))
    for position, point in enumerate(points):
        beaten = any(
            all(theirs <= mine for theirs, mine in zip(other, point, strict=True)) and other != point
            for other in points
        )
        assert (position not in front) == beaten


def test_amdahl_s_law_has_its_knee_where_the_serial_part_begins_to_count():
    """Amdahl 1967: the speed of n processors is 1 / (f + (1 - f) / n); for the curve from 1 to N the gain is furthest ahead of
    the cost at n = sqrt(N) for f = 1/2 (the derivative of the normalised difference is zero there)."""
    counts = list(range(1, 101))
    serial = 0.5
    rates = [1 / (serial + (1 - serial) / count) for count in counts]
    # d/dn of (S(n) - S(1)) / (S(N) - S(1)) - (n - 1) / (N - 1) with S(n) = 2n / (n + 1): n + 1 = sqrt(2 (N + 1)).
    expected = (2 * (100 + 1)) ** 0.5 - 1
    assert counts[knee(counts, rates)] == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("rates", [[1, 2, 3, 4], [5, 5, 5, 5], [1, 1.9, 2.9, 4]])
def test_a_straight_or_flat_curve_has_no_knee(rates):
    assert knee([1, 2, 3, 4], rates) is None


def test_two_points_have_no_knee():
    assert knee([1, 2], [1, 1.1]) is None


def test_a_curve_that_only_begins_steeply_has_no_knee():
    """One GPU that recomputes everything does half of what each of four does: no reason to stop at four."""
    assert knee([1, 2, 4, 6, 8], [1, 4, 8, 12, 16]) is None
