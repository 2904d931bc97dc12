"""Helpers that plugins are given."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from planner.plugin import is_multiple

WHOLE = some.integers(1, 2**53)


@given(part=WHOLE, times=WHOLE, away=some.integers(-2, 2))
def test_a_multiple_is_told_from_its_neighbours(part, times, away):
    whole = min(part * (times % (2**53 // part) + 1) + away, 2**53)
    assert bool(is_multiple(np.float64(whole), np.float64(part))) == (whole % part == 0)
