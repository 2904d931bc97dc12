"""What is sent once a step, asked for apart or together with what every micro-batch sends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search.meshes import REGISTRY, RULES, context, mesh, number

from planner.plugin import Overlaps, Phase
from planner.search.evaluation import evaluate_mesh

ONCE_A_STEP = {Phase.GRADIENT_SYNC, Phase.PARAMETER_SYNC}


def together(strategy):
    """The strategy as one that knows of no `synchronisations`: its communications yield all."""

    def both(of, layouts, block):
        for asked in (strategy.communications, strategy.synchronisations):
            yield from asked(of, layouts, block) if asked is not None else ()

    return replace(strategy, communications=both, synchronisations=None)


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_a_strategy_may_yield_all_it_sends_together(zero):
    hides = context("deepspeed", global_batch=64)
    of = replace(hides, framework=replace(hides.framework, overlaps=Overlaps()))
    layouts = mesh(of, tp=2, pp=2, dp=4, zero=zero)
    rules = replace(RULES, strategies=tuple(together(each) for each in RULES.strategies))
    apart, joined = (evaluate_mesh(of, layouts, each).step for each in (RULES, rules))
    assert number(apart.components["dp"]) > 0.0
    for name, seconds in apart.components.items():
        assert np.array_equal(seconds, joined.components[name]), name


@pytest.mark.parametrize("name", sorted(REGISTRY.strategies))
def test_communications_and_synchronisations_are_of_their_own_phases(name):
    of, strategy = context("deepspeed", global_batch=64), REGISTRY.strategies[name]
    layouts = mesh(of, tp=2, pp=2, cp=2, dp=4, ep=2, zero=(0, 1, 2, 3))
    for block in of.program.blocks:
        if strategy.communications is not None:
            assert ONCE_A_STEP.isdisjoint(each.phase for each in strategy.communications(of, layouts, block))
        if strategy.synchronisations is not None:
            assert {each.phase for each in strategy.synchronisations(of, layouts, block)} <= ONCE_A_STEP
