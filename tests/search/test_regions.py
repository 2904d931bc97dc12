"""Regions of refused layouts, against every layout of a space."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from search.test_search import RULES, question, space_of

from planner import plan
from planner.api import Recipe, Search
from planner.domain.plan import Region
from planner.reports.regions import region_text
from planner.search.evaluation import evaluate_mesh
from planner.search.objectives import DOES_NOT_FIT, MISSES_DEADLINE, Limits, search
from planner.search.refusing import refusals
from planner.search.regions import MOSTLY

FEASIBLE = ""


def reasons_of(context, mesh, limits):
    """The first reason that refuses each layout of a mesh, one after the other."""
    found = np.full(mesh.shape, FEASIBLE, dtype=object)
    for refusal in refusals(context, mesh, RULES):
        found = np.where((found == FEASIBLE) & refusal.where, refusal.reason, found)
    evaluation = evaluate_mesh(context, mesh, RULES)
    capacity = context.cluster.accelerator.memory_bytes
    too_large = np.broadcast_to(evaluation.peak_bytes, mesh.shape) + limits.headroom * capacity > capacity
    found = np.where((found == FEASIBLE) & too_large, DOES_NOT_FIT, found)
    if limits.deadline_s is not None:
        steps = context.job.tokens / context.job.tokens_per_step
        late = np.broadcast_to(evaluation.step.total_s, mesh.shape) * steps > limits.deadline_s
        found = np.where((found == FEASIBLE) & late, MISSES_DEADLINE, found)
    return found


def inside(mesh, region: Region):
    mask = np.ones(mesh.shape, dtype=bool)
    for axis, values in region.where.items():
        if axis in mesh.degrees:
            own = np.isin(mesh[axis], values)
        else:
            own = np.asarray([value in values for value in mesh.values[axis]])[mesh.codes[axis]]
        mask = mask & own
    return mask


@pytest.mark.parametrize("framework", ["megatron-core", "torchtitan"])
@pytest.mark.parametrize(("bytes_share", "deadline_factor"), [(1.0, None), (0.05, None), (0.05, 1.5)])
def test_regions_hold_what_they_say(framework: str, bytes_share: float, deadline_factor: float | None) -> None:
    context = question(framework)
    chip = context.cluster.accelerator
    smaller = replace(chip, capacity_bytes=int(chip.memory_bytes * bytes_share), usable_bytes=None)
    context = replace(context, cluster=replace(context.cluster, accelerator=smaller))
    space = space_of(context, most=8)
    limits = Limits(headroom=0.05)
    if deadline_factor is not None:
        steps = context.job.tokens / context.job.tokens_per_step
        quickest = min(each[0].score for each in search(context, space, RULES, limits, keep=1).by_gpus.values())
        limits = replace(limits, deadline_s=deadline_factor * quickest * steps)
    found = search(context, space, RULES, limits, keep=1, tell_regions=True)
    (mesh,) = space.chunks()
    reasons = reasons_of(context, mesh, limits)
    regions = found.regions.found(found.rejected)
    assert Counter(found.rejected) == Counter(reasons[reasons != FEASIBLE].tolist())
    booked: Counter[str] = Counter()
    for region in regions:
        booked[region.reason] += region.layouts
        here = inside(mesh, region)
        refused = np.count_nonzero(here & (reasons == region.reason))
        kept = np.count_nonzero(here & (reasons == FEASIBLE))
        if region.where:
            assert refused == region.layouts
        if region.where and region.extent == "all":
            assert kept == 0
        if region.extent == "most":
            assert refused >= MOSTLY * (refused + kept)
    assert booked == Counter(found.rejected)


def test_several_processes_find_the_same_regions() -> None:
    recipe = Recipe(model="llama-3-8b", cluster="h100-sxm5-80gb:2x8", seq_len=4096, global_batch=64, tokens=1e9)
    one, two = (plan(recipe, Search(jobs=jobs)).regions for jobs in (1, 2))
    assert one
    assert one == two


def test_a_region_is_named_by_its_values() -> None:
    recipe = Recipe(model="gpt3-175b", cluster="h100-sxm5-80gb:8x8", tokens=1e9)
    answer = plan(recipe)
    told = {region.reason: dict(region.where) for region in answer.regions}
    assert told["sequence parallelism without tensor parallelism"] == {"tp": (1,), "sequence_parallel": (1,)}
    assert told["the interleaved schedule needs vpp above 1"] == {"vpp": (1,), "schedule": ("interleaved",)}
    # 18 bytes for each of 175 billion parameters are more than 36 GPUs of 80 GB hold.
    memory = [region for region in answer.regions if region.reason == DOES_NOT_FIT]
    assert memory[0].extent == "all"
    assert {region_text(region) for region in memory[:-1]} >= {region_text(memory[0])}
    assert [each["layouts"] for each in answer.to_dict()["regions"]] == [region.layouts for region in answer.regions]


def test_an_offload_that_helps_is_told_apart() -> None:
    answer = plan(Recipe(model="llama-3-8b", cluster="rtx-4090:4", seq_len=4096, global_batch=64, tokens=1e9))
    counted = Counter()
    for region in answer.regions:
        counted[region.reason] += region.layouts
        assert region.where["offload"] in {("none",), ("optimizer",)}
    assert counted == Counter(answer.rejected)
