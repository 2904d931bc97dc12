"""Terms on their own axes: the same bits, however few values are computed, and however the space is cut."""

from __future__ import annotations

import numpy as np
import pytest
from search.meshes import REGISTRY, RULES, context

from planner.search import boxes, factoring, objectives, space
from planner.search.evaluation import evaluate_factored, evaluate_mesh
from planner.search.factoring import Factoring
from planner.search.memory import stage_instants
from planner.search.objectives import Limits, search
from planner.search.space import all_choices, all_degrees, build_space, make_layouts


def space_of(of, most=64, **pins):
    choices = all_choices(RULES.strategies, tuple(RULES.schedules), tuple(RULES.recomputes), tuple(RULES.offloads))
    return build_space(of, all_degrees(RULES.strategies), choices, pins, 1, most)


@pytest.mark.parametrize("framework", sorted(REGISTRY.frameworks))
def test_terms_of_few_values_equal_terms_of_all_bit_for_bit(framework, monkeypatch):
    of = context(framework, global_batch=16)
    mesh = max(space_of(of).chunks(), key=lambda chunk: chunk.shape[-1])
    plain = evaluate_mesh(of, mesh, RULES)
    monkeypatch.setattr(factoring, "FEW_TUPLES", 1)
    monkeypatch.setattr(factoring, "WORTH", 1)
    known = {}
    few = evaluate_factored(of, Factoring(mesh, known), RULES)
    for name in ("peak_bytes", "host_bytes"):
        assert np.array_equal(getattr(plain, name), getattr(few, name), equal_nan=True), name
    for name, seconds in plain.step.components.items():
        both = np.broadcast_arrays(seconds, few.step.components[name])
        assert np.array_equal(*both, equal_nan=True), name
    # Not vacuous: compute reads few degrees, and the pipeline's schedule none of the batch's.
    assert {"tp", "micro_batch"} <= known["activations"] < set(mesh.degrees)
    assert known["stages"] <= {"pp", "vpp"}


@pytest.mark.parametrize("framework", sorted(REGISTRY.frameworks))
def test_the_peak_is_the_largest_total_of_all_stages_and_instants_bit_for_bit(framework):
    of = context(framework, global_batch=16)
    found = evaluate_mesh(of, max(space_of(of).chunks(), key=lambda chunk: chunk.shape[-1]), RULES)
    largest = np.zeros(1)
    with np.errstate(all="ignore"):
        for *_, total in stage_instants(of, found.memory, found.columns):
            largest = np.maximum(largest, total)
    assert np.array_equal(*np.broadcast_arrays(found.peak_bytes, largest), equal_nan=True)


def test_a_term_is_computed_once_for_each_value_of_what_it_reads():
    degrees = {"tp": np.repeat([1.0, 2.0, 4.0], 1000), "dp": np.tile(np.arange(1000.0), 3)}
    mesh = make_layouts(degrees, {})
    sizes = []

    def squared(inner):
        sizes.append(len(inner.layouts["tp"]))
        return {"squared": (inner.layouts["tp"] ** 2,)}

    found = Factoring(mesh).term("squared", squared)
    assert np.array_equal(found["squared"][0], degrees["tp"] ** 2)
    assert sizes[-1] == 3


def test_what_a_function_reads_only_for_some_values_is_noticed():
    degrees = {"tp": np.repeat([1.0, 2.0, 4.0], 1000), "dp": np.tile(np.arange(1.0, 5.0), 750)}
    mesh = make_layouts(degrees, {})

    def term(inner):
        tp = inner.layouts["tp"]
        return tp * inner.layouts["dp"] if (tp > 2).any() else tp

    assert np.array_equal(Factoring(mesh).term("product", term), degrees["tp"] * degrees["dp"])


def answers(of, **pins):
    found = search(of, space_of(of, **pins), RULES, Limits(headroom=0.05), keep=3)
    kept = {
        count: [(each.score, each.place, each.layouts.labels()) for each in candidates]
        for count, candidates in found.by_gpus.items()
    }
    return kept, dict(sorted(found.rejected.items())), found.layouts, found.leanest, found.closest.layouts.labels()


def test_how_the_space_is_cut_changes_nothing(monkeypatch):
    of = context("deepspeed", global_batch=32)
    whole = answers(of)
    monkeypatch.setattr(space, "CHUNK_LAYOUTS", 3000)
    monkeypatch.setattr(objectives, "PIECE_LAYOUTS", 700)
    assert answers(of) == whole


def test_boxes_and_what_they_share_change_nothing(monkeypatch):
    of = context("deepspeed", global_batch=32)
    whole = answers(of)
    monkeypatch.setattr(boxes, "WORTH_A_BOX", 1)
    monkeypatch.setattr(factoring, "FEW_TUPLES", 8)
    monkeypatch.setattr(objectives, "PIECE_LAYOUTS", 3000)
    assert answers(of) == whole


def test_a_term_inside_a_term_tells_what_it_reads():
    degrees = {"tp": np.repeat([1.0, 2.0, 4.0], 1000), "dp": np.tile(np.arange(1.0, 5.0), 750)}
    mesh = make_layouts(degrees, {})

    def product(inner):
        return inner.term("tp", lambda each: each.layouts["tp"]) * inner.layouts["dp"]

    assert np.array_equal(Factoring(mesh).term("product", product), degrees["tp"] * degrees["dp"])


def test_a_term_inside_terms_is_computed_once():
    degrees = {"tp": np.repeat([1.0, 2.0, 4.0], 4000), "dp": np.tile(np.arange(1.0, 5.0), 3000)}
    sizes = []

    def squared(inner):
        sizes.append(len(inner.layouts["tp"]))
        return inner.layouts["tp"] ** 2

    factoring = Factoring(make_layouts(degrees, {}), {"squared": frozenset({"tp"})})
    product = factoring.term("product", lambda each: each.term("squared", squared) * each.layouts["dp"])
    total = factoring.term("sum", lambda each: each.term("squared", squared) + each.layouts["dp"])
    assert np.array_equal(product, degrees["tp"] ** 2 * degrees["dp"])
    assert np.array_equal(total, degrees["tp"] ** 2 + degrees["dp"])
    assert [size for size in sizes if size > 1] == [3]
