"""Full recomputation by groups of layers, or of some layers only (Megatron-LM's uniform and block methods)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from search.meshes import RULES, context, evaluated, mesh, number

from planner.plugin import Instant
from planner.search.memory import stage_instants
from planner.search.refusing import refusals

OF = context("megatron-core", global_batch=8)
LAYERS = len(OF.program.layers)


def peak(**given):
    return number(evaluated(OF, **given).peak_bytes)


def step(**given):
    return number(evaluated(OF, **given).step.total_s)


def test_a_block_of_all_layers_is_full_recomputation():
    assert peak(recompute="full:block", recompute_layers=LAYERS) == peak(recompute="full")
    assert step(recompute="full:block", recompute_layers=LAYERS) == step(recompute="full")


def test_each_layer_that_runs_again_saves_memory_and_costs_time():
    counts = range(1, LAYERS + 1)
    peaks = [peak(recompute="full:block", recompute_layers=count) for count in counts]
    steps = [step(recompute="full:block", recompute_layers=count) for count in counts]
    assert peaks == sorted(peaks, reverse=True)
    assert steps == sorted(steps)
    assert peak(recompute="none") > peaks[0]
    assert step(recompute="none") < steps[0]


def activations(**given):
    evaluation = evaluated(OF, recompute="full", **given)
    found = {
        instant: number(components["activations"])
        for _, instant, components, _ in stage_instants(OF, evaluation.memory, evaluation.columns)
    }
    return found[Instant.BACKWARD]


@pytest.mark.parametrize("group", [2, 3, LAYERS])
def test_a_group_keeps_one_input_and_rebuilds_all_its_layers(group):
    """arXiv 1604.06174, section 4: L/g inputs are kept, and g layers are alive while the group runs backward."""
    layers = evaluated(OF, recompute="full").memory.activations.layers
    (saved,) = {number(layer.saved) for layer in layers}
    rebuilt = max(number(layer.recomputed) for layer in layers)
    fewer = (LAYERS - math.ceil(LAYERS / group)) * saved
    assert activations(recompute_layers=group) - activations() == pytest.approx((group - 1) * rebuilt - fewer)


@pytest.mark.parametrize("more", [LAYERS + 1, 100, 10**9])
def test_a_group_ends_with_its_chunk(more):
    assert activations(recompute_layers=more) == activations(recompute_layers=LAYERS)


def test_a_group_never_spans_model_chunks():
    of = context("megatron-core", global_batch=8)
    layout = {"pp": 2, "vpp": 2, "schedule": "interleaved", "recompute": "full"}
    two, four = (number(evaluated(of, **layout, recompute_layers=count).peak_bytes) for count in (2, 4))
    assert LAYERS // 4 == 2
    assert two == four
    found = mesh(of, **layout, recompute_layers=4)
    reasons = {each.reason for each in refusals(of, found, RULES) if bool(np.any(each.where))}
    assert "recompute_layers is more than the layers of a model chunk" in reasons


def test_more_flops_run_again_in_larger_blocks():
    again = [
        number(evaluated(OF, recompute="full:block", recompute_layers=n).step.components["recompute"]) for n in (1, 2)
    ]
    assert again[1] == pytest.approx(2 * again[0])


def test_a_number_of_layers_needs_whole_layers_that_run_again():
    found = mesh(OF, recompute="selective", recompute_layers=2)
    reasons = {each.reason for each in refusals(OF, found, RULES) if bool(np.any(each.where))}
    assert "recompute_layers without whole layers that run again" in reasons
