"""Tuples that are dropped before later reasons change no count and no mask."""

from __future__ import annotations

import numpy as np
import pytest
from search.meshes import RULES, context

from planner.search.refusing import judged, refusals, refused
from planner.search.space import all_choices, all_degrees, build_space


def mesh_of(of, **pins):
    choices = all_choices(RULES.strategies, tuple(RULES.schedules), tuple(RULES.recomputes), tuple(RULES.offloads))
    space = build_space(of, all_degrees(RULES.strategies), choices, pins, 1, 64)
    return max(space.chunks(), key=lambda chunk: chunk.shape[-1])


@pytest.mark.parametrize("framework", ["megatron-core", "deepspeed", "torchtitan"])
def test_each_layout_is_counted_under_its_first_reason(framework):
    of = context(framework, global_batch=16)
    mesh = mesh_of(of, pp=tuple(range(1, 9)), vpp=(1, 2, 3))
    allowed, expected = np.ones(mesh.shape, dtype=np.bool_), {}
    for refusal in refusals(of, mesh, RULES):
        fresh = allowed & refusal.where
        if fresh.any():
            expected[refusal.reason] = expected.get(refusal.reason, 0) + int(np.count_nonzero(fresh))
            allowed &= ~fresh
    found = judged(of, mesh, RULES)
    assert found.counts == expected
    assert np.array_equal(np.broadcast_to(~refused(of, mesh, RULES), mesh.shape), allowed)
    assert np.array_equal(found.tuples, np.flatnonzero(allowed.reshape(-1, mesh.shape[-1]).any(axis=0)))
    # Not vacuous: some reasons were asked about fewer tuples than the first.
    assert found.refused[-1][0].shape[-1] < mesh.shape[-1]


def test_where_a_reason_refuses_everything_the_others_are_not_asked():
    of = context("megatron-core", global_batch=16)
    found = judged(of, mesh_of(of, tp=5), RULES)
    assert not len(found.tuples)
    assert sum(found.counts.values()) == np.prod(mesh_of(of, tp=5).shape)
