"""Experts that see more than an even share of the tokens: FORMULAS section 3.4 multiplies the routed terms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from search.meshes import RULES, context, evaluated, mesh, number

from planner.plugin import Region
from planner.search.dividing import region_divisors
from planner.search.measures import measures
from planner.search.operators import operator_cost, rates_of

EVEN = context("megatron-core", global_batch=8)
UNEVEN = replace(EVEN, job=replace(EVEN.job, capacity_factor=1.25))


def test_routed_regions_grow_by_the_factor_and_no_others():
    layouts = mesh(EVEN)
    even, uneven = (region_divisors(each, layouts, RULES.strategies) for each in (EVEN, UNEVEN))
    for region in Region:
        factor = 1.25 if region in (Region.DISPATCHED, Region.EXPERT_INTERIOR) else 1.0
        assert number(even[region]) == pytest.approx(factor * number(uneven[region]))


def test_experts_compute_their_padding_and_the_model_s_flops_stay():
    layouts = mesh(EVEN)
    experts = [
        operator for block in EVEN.program.kinds for operator in block.operators if getattr(operator, "experts", 1) > 1
    ]
    assert experts
    for operator in experts:
        even, uneven = (
            number(
                operator_cost(
                    each, layouts, operator, region_divisors(each, layouts, RULES.strategies), rates_of(each)
                ).forward_s
            )
            for each in (EVEN, UNEVEN)
        )
        assert even <= uneven <= 1.3 * even
    slower = evaluated(UNEVEN).step.total_s
    assert number(slower) > number(evaluated(EVEN).step.total_s)
    model = [measures(each, layouts, RULES, slower).mfu for each in (EVEN, UNEVEN)]
    assert number(model[0]) == number(model[1])


def test_dispatched_activations_take_more_memory():
    assert number(evaluated(UNEVEN).peak_bytes) > number(evaluated(EVEN).peak_bytes)
