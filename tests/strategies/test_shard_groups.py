"""HSDP: ZeRO inside shard groups, all-reduce of the shards across them; and the communicators that groups need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.plugin import REPLICAS, Collective, Phase
from planner.registry import load_registry
from planner.search.evaluation import evaluate_mesh
from planner.search.network import group_for
from planner.search.overheads import communicators
from planner.search.refusing import refusals
from planner.search.rules import Rules
from planner.search.space import all_choices, derive, make_layouts
from planner.search.trace import memory_terms
from planner.synthetic import NARROW_STORAGE, synthetic_context

REGISTRY = load_registry(disable="*")
RULES = Rules(tuple(REGISTRY.strategies.values()), REGISTRY.schedules, REGISTRY.recomputes)
CONTEXT = synthetic_context()


def mesh(zero: int = 3, **given: int):
    degrees = {each.name: np.ones(1) for strategy in RULES.strategies for each in strategy.degrees}
    degrees |= {name: np.ones(1) * value for name, value in given.items()}
    wanted = {"schedule": "1f1b", "recompute": "none", "zero": zero}
    choices = all_choices(RULES.strategies, tuple(RULES.schedules), tuple(RULES.recomputes))
    chosen = {choice.name: (wanted.get(choice.name, choice.values[0]),) for choice in choices}
    return make_layouts(derive(CONTEXT, degrees), chosen)


def evaluated(**given: int):
    return evaluate_mesh(CONTEXT, mesh(**given), RULES)


def number(array) -> float:
    return float(np.asarray(array).reshape(-1)[0])


def states(evaluation) -> float:
    return sum(number(block.weights + block.gradients + block.optimizer) for block in evaluation.memory.states)


@pytest.mark.parametrize("zero", [1, 2, 3])
@pytest.mark.parametrize("degrees", [{"dp": 32}, {"dp": 8, "cp": 4}, {"dp": 16, "tp": 2, "ep": 8}])
def test_a_group_of_all_replicas_is_plain_zero_bit_for_bit(zero: int, degrees: dict[str, int]) -> None:
    plain = evaluated(zero=zero, **degrees)
    grouped = evaluated(zero=zero, shard_group=degrees["dp"] * degrees.get("cp", 1), **degrees)
    assert number(grouped.peak_bytes) == number(plain.peak_bytes)
    assert number(grouped.step.total_s) == number(plain.step.total_s)
    assert {name: number(value) for name, value in grouped.step.components.items()} == {
        name: number(value) for name, value in plain.step.components.items()
    }


def test_smaller_groups_hold_more_state() -> None:
    held = [states(evaluated(dp=64, shard_group=size)) for size in (64, 32, 16, 8, 4)]
    assert held == sorted(held)
    assert len(set(held)) == len(held)


def between_nodes(*phases: Phase, **given: int) -> float:
    """Bytes that a rank's replicas send over the network in one micro-batch; gradients are reduced in 16 bits."""
    context, layouts = replace(CONTEXT, storage=NARROW_STORAGE), mesh(**given)
    total = 0.0
    for block in CONTEXT.program.kinds:
        for sent in REGISTRY.strategies["data"].communications(context, layouts, block):
            if sent.phase not in phases:
                continue
            group = group_for(sent.axes, layouts, 8)
            passes = 2.0 if sent.collective is Collective.ALL_REDUCE else 1.0
            crossing = (group.outer - 1) / group.outer * sent.payload_bytes / group.inner
            total += number(passes * crossing * sent.events)
    return total


def test_groups_of_a_node_gather_weights_inside_it() -> None:
    assert between_nodes(Phase.FORWARD, dp=64) > 0
    assert between_nodes(Phase.FORWARD, dp=64, shard_group=8) == 0


def test_groups_of_a_node_send_two_thirds_between_nodes() -> None:
    """ZeRO-3 sends every parameter three times (arXiv 1910.02054, section 7.2.2), an all-reduce of the shards twice."""
    both = (Phase.FORWARD, Phase.BACKWARD)
    assert between_nodes(*both, dp=64, shard_group=8) == pytest.approx(between_nodes(*both, dp=64) * 2 / 3)


@pytest.mark.parametrize(("degrees", "inside", "across"), [({}, (8, 8), (4, 1)), ({"tp": 2}, (8, 4), (4, 1))])
def test_the_shard_group_is_the_innermost_part(degrees, inside, across) -> None:
    layouts = mesh(dp=32, shard_group=8, **degrees)
    within, between = group_for(("shard_group", REPLICAS), layouts, 8), group_for((REPLICAS, "shard_group"), layouts, 8)
    assert (number(within.size), number(within.inner)) == inside
    assert (number(between.size), number(between.inner)) == across


def test_experts_divide_by_their_part_of_the_group() -> None:
    """16 replicas in groups of 8, experts over 4: two ranks of a group hold the same experts, four in all."""
    layouts = mesh(dp=16, ep=4, shard_group=8)
    assert number(group_for(("shard_group", "expert_replicas"), layouts, 8).size) == 2
    assert number(group_for(("expert_replicas", "shard_group"), layouts, 8).size) == 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"dp": 16, "shard_group": 8, "zero": 0}, "a shard group without ZeRO"),
        ({"dp": 16, "shard_group": 6}, "shard_group does not divide the replicas"),
        ({"dp": 16, "shard_group": 4, "ep": 8}, "experts do not fit into one shard group"),
    ],
)
def test_groups_that_cannot_be_are_refused(given, reason: str) -> None:
    assert reason in {each.reason for each in refusals(CONTEXT, mesh(**given), RULES) if np.any(each.where)}


def test_the_default_space_has_whole_groups_only() -> None:
    degree = next(each for each in REGISTRY.strategies["data"].degrees if each.name == "shard_group")
    assert degree.candidates(CONTEXT) == (1,)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 0),
        ({"dp": 8}, 1),
        ({"dp": 8, "tp": 2}, 3),
        ({"dp": 8, "tp": 2, "pp": 2}, 4),
        ({"dp": 8, "ep": 4}, 3),
        ({"dp": 8, "shard_group": 4}, 2),
    ],
)
def test_a_rank_belongs_to_one_communicator_per_group(given, count: int) -> None:
    """The synthetic model routes: with tp or ep its experts' replicas are a group of their own."""
    assert number(communicators(CONTEXT, mesh(**given))) == count


def test_communicators_are_named_and_counted_once() -> None:
    layouts = mesh(dp=8, tp=2)
    terms = [term for term in memory_terms(CONTEXT, layouts, RULES) if term.name == "communicators"]
    assert [term.value for term in terms] == [3 * CONTEXT.framework.overheads.communicator_bytes]
