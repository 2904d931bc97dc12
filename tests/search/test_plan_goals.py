"""Questions about a whole space: what is left out, why not, several clusters, the front."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner import Catalog, plan
from planner.api import Operation, Recipe, Search, plan_among
from planner.errors import InputError, UnknownNameError
from planner.search.processes import shared_out

RECIPE = Recipe(model="llama-3-8b", cluster="h100-sxm5-80gb:2x8", seq_len=4096, global_batch=64, tokens=1e9)


def answered(**search):
    return plan(RECIPE, Search(**search))


def test_what_is_left_out_is_in_no_layout():
    answer = answered(without=("pipeline", "tensor"))
    layouts = [each.layout for each in (answer.recommended, *answer.alternatives, *answer.scaling)]
    assert all(layout["pp"] == layout["vpp"] == layout["tp"] == 1 for layout in layouts)
    assert any(layout["cp"] > 1 or layout["dp"] > 1 for layout in layouts)


def test_an_unknown_strategy_and_a_contradiction_are_refused():
    with pytest.raises(UnknownNameError, match="pipelin"):
        answered(without=("pipelin",))
    with pytest.raises(InputError, match="pinned"):
        answered(without=("pipeline",), pins={"pp": 2})


def test_several_values_of_a_pin_give_the_best_of_them():
    both = answered(pins={"tp": (2, 4)}, objective="time").recommended
    one_by_one = [answered(pins={"tp": tp}, objective="time").recommended for tp in (2, 4)]
    assert both.step_time_s == min(each.step_time_s for each in one_by_one)


def test_why_not_names_what_a_layout_lacks_or_loses():
    fastest = answered(objective="time")
    chosen = fastest.recommended
    asked = answered(objective="time", why_not={"tp": chosen.layout["tp"]})
    assert asked.why_not.reason == "such a layout is what is recommended"
    forbidden = answered(why_not={"tp": 3})
    assert forbidden.why_not.feasible == 0
    assert "attention heads are not a multiple of tp" in forbidden.why_not.reason
    lean = answered(why_not={"dp": 1, "pp": 1, "tp": 1, "cp": 1})
    assert lean.why_not.best is None
    assert "does not fit" in lean.why_not.reason
    slower = answered(objective="time", why_not={"recompute": "full"}).why_not
    assert slower.best.n_gpus == chosen.n_gpus
    assert slower.best.step_time_s > chosen.step_time_s
    assert "recompute +" in slower.reason
    assert slower.layouts == slower.feasible + sum(slower.rejected.values())


def test_the_front_is_ordered_and_nothing_in_it_is_beaten():
    answer = answered()
    front = [each for each in answer.scaling if each.n_gpus in answer.front]
    assert [each.n_gpus for each in front] == list(answer.front)
    for one in front:
        for other in answer.scaling:
            assert not (
                other.n_gpus < one.n_gpus and other.cost_usd <= one.cost_usd and other.duration_s <= one.duration_s
            )
    # Fewest GPUs and fastest are always on it.
    assert answer.min_gpus in answer.front
    assert min(answer.scaling, key=lambda each: each.duration_s).n_gpus in answer.front


def test_clusters_are_compared_and_the_cheapest_wins():
    recipes = [replace(RECIPE, cluster=cluster) for cluster in ("h100-pool", "a100-pool", "h200-pool")]
    answer = plan_among(recipes, Search(objective="cost", max_gpus=16))
    costs = [entry.recommended.cost_usd for entry in answer.compared]
    assert costs == sorted(costs)
    assert answer.recommended.cost_usd == costs[0]
    alone = {recipe.cluster: plan(recipe, Search(objective="cost", max_gpus=16)) for recipe in recipes}
    assert {entry.cluster: entry.recommended.cost_usd for entry in answer.compared} == {
        cluster: found.recommended.cost_usd for cluster, found in alone.items()
    }
    fastest = plan_among(recipes, Search(objective="time", max_gpus=16))
    assert fastest.recommended.duration_s == min(entry.recommended.duration_s for entry in fastest.compared)
    assert all(entry.price["date"] and entry.price["source"] for entry in answer.compared)


def test_a_cluster_without_an_answer_is_listed_with_its_reason_after_those_with_one():
    recipes = [replace(RECIPE, cluster=cluster) for cluster in ("rtx-4090:2", "h100-pool")]
    answer = plan_among(recipes, Search(objective="cost", max_gpus=16))
    assert [entry.cluster for entry in answer.compared] == ["h100-pool", "rtx-4090:2"]
    assert "no price" in answer.compared[1].error


def test_a_cluster_that_nothing_is_called_is_an_error_not_an_entry():
    with pytest.raises(UnknownNameError, match="nonsense"):
        plan_among([RECIPE, replace(RECIPE, cluster="nonsense")])


def test_any_cluster_is_every_named_one():
    with Catalog.open(None) as catalog:
        names = set(catalog.names("clusters"))
    answer = plan_among([replace(RECIPE, cluster="any")], Search(max_gpus=8))
    assert {entry.cluster for entry in answer.compared} == names


def test_the_number_of_threads_changes_nothing():
    one, two = answered(jobs=1).to_dict(), answered(jobs=2).to_dict()
    for document in (one, two):
        del document["search"]["elapsed_s"]
    assert one == two


def test_progress_ends_at_one_after_all_that_is_searched():
    """The whole space, finer values, each of several clusters, and each change of a factor."""
    clusters = [RECIPE, replace(RECIPE, cluster="a100-sxm4-80gb:2x8")]
    for recipes, wanted, parts in (
        ([RECIPE], Search(), 3),
        (clusters, Search(), 6),
        ([RECIPE], Search(sensitivity=True), 27),
    ):
        seen = []
        plan_among(recipes, wanted, progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == 1.0
        assert {round(step / parts, 6) for step in range(1, parts + 1)} <= {round(each, 6) for each in seen}


def test_where_every_layout_is_refused_the_nearest_has_the_fewest_pins_moved():
    answer = answered(pins={"tp": 3})
    assert not answer.answered
    assert "attention heads are not a multiple of tp" in answer.why
    assert answer.nearest_miss.moved == {"tp": 4}
    assert answer.nearest_miss.layout["tp"] == 4
    assert "with tp 4 instead of 3 it fits on" in answer.nearest_miss.fix
    assert answer.to_dict()["answer"]["nearest_miss"]["moved"] == {"tp": 4}
    both = answered(pins={"tp": 5, "cp": 3, "micro_batch": 1}).nearest_miss
    assert set(both.moved) == {"tp", "cp"}
    assert both.layout["micro_batch"] == 1


def test_a_number_of_gpus_that_no_layout_has_is_moved_to_the_nearest():
    recipe = replace(RECIPE, cluster="a100-pool")
    miss = plan(recipe, Search(min_gpus=100, max_gpus=103)).nearest_miss
    assert miss.moved == {"gpus": 104}
    assert miss.n_gpus == 104
    pinned = plan(recipe, Search(min_gpus=16, max_gpus=16, pins={"tp": 8, "pp": 3})).nearest_miss
    assert pinned.moved == {"gpus": 24}


def test_pins_that_contradict_each_other_are_told_apart_from_memory():
    miss = answered(pins={"tp": 1, "sequence_parallel": 1}).nearest_miss
    assert miss.moved == {"tp": 2}
    assert miss.missing_bytes is None
    fitting = answered(pins={"dp": 1, "pp": 1, "tp": 1, "cp": 1, "offload": "none"}).nearest_miss
    assert not fitting.moved
    assert fitting.missing_bytes > 0


def test_a_missed_limit_says_by_how_much():
    recipe = replace(RECIPE, cluster="h100-pool", tokens=1e11)
    fastest = min(plan(recipe, Search(objective="time")).scaling, key=lambda each: each.due_s)
    late = plan(recipe, Search(deadline_s=fastest.due_s / 2)).nearest_miss
    # With a deadline finer values are tried on every number of GPUs: they may come a little nearer.
    assert late.late_s == pytest.approx(fastest.due_s / 2, rel=0.02)
    assert late.over_usd is None
    cheapest = min(plan(recipe, Search(objective="cost")).scaling, key=lambda each: each.due_usd)
    dear = plan(recipe, Search(budget_usd=cheapest.due_usd / 2)).nearest_miss
    assert dear.over_usd == pytest.approx(cheapest.due_usd / 2, rel=0.01)
    assert dear.late_s is None


def test_failures_count_between_numbers_of_gpus():
    """With a failure per GPU and day a small pool finishes before a large one, which never gets going."""
    calm, rough = (
        plan(replace(RECIPE, cluster="h100-pool", tokens=1e11, operation=Operation(failures_per_gpu_day=rate)),
             Search(objective="time"))
        for rate in (1e-6, 2.0)
    )  # fmt: skip
    assert rough.recommended.n_gpus < calm.recommended.n_gpus
    assert rough.recommended.due_s == min(each.due_s for each in rough.scaling if each.due_s is not None)


def test_a_better_layout_that_a_search_does_not_try_is_owned_up_to():
    answer = answered(objective="min-gpus", why_not={"offload": "optimizer"})
    assert answer.why_not.best.n_gpus < answer.recommended.n_gpus
    assert "a search tries offload optimizer only where nothing fits without" in answer.why_not.reason


def test_what_is_pinned_is_in_the_layout():
    offloaded = answered(pins={"offload": "optimizer"}).recommended
    assert offloaded.layout["offload"] == "optimizer"
    assert "offload" not in answered().recommended.layout
    ulysses = plan(replace(RECIPE, options={"cp_kind": "ulysses"}), Search(pins={"cp": 2})).recommended
    assert ulysses.layout["cp_kind"] == "ulysses"


SMALL = Recipe(model="llama-3-8b", cluster="a100-pool", seq_len=8192, global_batch=512, tokens=1e10)


def test_finer_values_are_tried_on_the_recommended_gpus():
    """Layers that run again are counted only there: on the fewest GPUs that saves a part of the second forward."""
    answer = plan(SMALL, Search())
    chosen = answer.recommended
    assert chosen.layout["recompute"] == "full:block"
    everything = {"recompute": ("none", "selective", "selective:norm", "full", "full:block"),
                  "recompute_layers": (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)}  # fmt: skip
    every = plan(SMALL, Search(pins=everything, max_gpus=chosen.n_gpus)).recommended
    assert chosen.step_time_s == every.step_time_s
    assert chosen.step_time_s < plan(SMALL, Search(pins={"recompute": "full"})).recommended.step_time_s
    assert next(each for each in answer.scaling if each.n_gpus == chosen.n_gpus) == replace(
        chosen, step_time_range_s=None, stages=()
    )
    assert len({tuple(each.layout.items()) for each in (chosen, *answer.alternatives)}) == 1 + len(answer.alternatives)


def test_what_is_tried_with_finer_values_is_counted():
    """As many layouts as a search of these values alone sees: by the time on all numbers of GPUs, by the fewest on no more than
    do without."""
    recipe = replace(SMALL, framework="accelerate")
    answer = plan(recipe, Search(objective="time", max_gpus=64))
    finer = {"reshard_after_forward": (1, 0), "shard_group": (1, 8, 64)}
    alone = plan(recipe, Search(objective="time", max_gpus=64, pins=finer))
    assert answer.to_dict()["search"]["finer_layouts"] == alone.search.layouts > 0
    assert alone.search.finer_layouts == 0
    fewest = plan(recipe, Search(max_gpus=64))
    few = plan(recipe, Search(max_gpus=fewest.min_gpus, pins=finer))
    assert fewest.search.finer_layouts == few.search.layouts > 0
    assert answer.search.layouts == answer.search.feasible + sum(answer.rejected.values())


def test_what_is_recommended_meets_the_deadline_that_it_takes():
    """Finer values count where a deadline decides which numbers of GPUs are enough."""
    for objective in ("min-gpus", "time"):
        chosen = plan(SMALL, Search(objective=objective, max_gpus=64)).recommended
        again = plan(SMALL, Search(objective=objective, max_gpus=64, deadline_s=chosen.due_s * 1.0001)).recommended
        assert again.n_gpus == chosen.n_gpus
        assert again.step_time_s == chosen.step_time_s


def test_the_hosts_memory_is_the_last_resort_and_said():
    recipe = replace(RECIPE, cluster="rtx-4090:4")
    answer = plan(recipe)
    assert answer.recommended.layout["offload"] == "optimizer"
    assert "only with part of it in the hosts' memory" in answer.why
    assert {each.name: each.value for each in answer.assumptions}["offload"] == "optimizer"
    assert answer.search.layouts == answer.search.feasible + sum(answer.rejected.values())
    assert not plan(recipe, Search(pins={"offload": "none"})).answered


def test_why_not_knows_what_is_recommended_with_finer_values():
    answer = plan(SMALL, Search(why_not={"recompute": "full:block"}))
    assert answer.why_not.reason == "such a layout is what is recommended"


def test_deepspeed_s_context_parallelism_is_ulysses():
    """deepspeed/sequence has no ring."""
    recipe = replace(RECIPE, framework="deepspeed")
    assert plan(recipe, Search(pins={"cp": 2})).recommended.layout["cp_kind"] == "ulysses"
    assert "cp_kind" not in plan(recipe, Search(pins={"cp": 1})).recommended.layout


def test_what_is_tried_is_said():
    tried = {each.name: each.value for each in answered().assumptions}["choices tried"]
    assert "recompute none, selective, selective:norm, full" in tried
    assert "offload none" in tried


def test_of_several_misses_the_nearest_is_shown_whatever_the_order():
    recipes = [replace(RECIPE, model="llama3-70b", cluster=cluster) for cluster in ("rtx-4090:8", "a100-sxm4-80gb:16")]
    for order in (recipes, recipes[::-1]):
        answer = plan_among(order, Search(pins={"offload": "none"}))
        assert not answer.answered
        assert [entry.cluster for entry in answer.compared] == ["a100-sxm4-80gb:16", "rtx-4090:8"]
        assert answer.question["cluster"] == "a100-sxm4-80gb:16"


def test_a_budget_is_missed_by_the_cheapest_that_meets_the_deadline():
    recipe = replace(RECIPE, cluster="h100-pool", tokens=1e11)
    every = plan(recipe, Search(deadline_s=20 * 86400.0))
    cheapest = min(every.scaling, key=lambda each: each.due_usd)
    miss = plan(recipe, Search(deadline_s=20 * 86400.0, budget_usd=10.0)).nearest_miss
    assert miss.n_gpus == cheapest.n_gpus
    assert "raise the budget" in miss.fix


@pytest.mark.parametrize(
    "wrong", [{"jobs": 0}, {"min_gpus": 8, "max_gpus": 4}, {"deadline_s": -1.0}, {"budget_usd": 0.0}]
)
def test_a_search_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError):
        answered(**wrong)


def test_a_cluster_that_cannot_be_read_is_an_error_beside_others():
    with pytest.raises(InputError, match="h100-sxm5-80gb:abc"):
        plan_among([RECIPE, replace(RECIPE, cluster="h100-sxm5-80gb:abc")])


def test_why_not_may_ask_for_what_is_left_out():
    assert answered(without=("tensor",), why_not={"tp": 2}).why_not.feasible > 0


def test_a_process_that_fails_fails_the_search():
    with pytest.raises(ZeroDivisionError):
        shared_out(lambda number, _tell: 1 // (number - 1), 2, lambda _fraction: None)


def test_groups_of_recomputed_layers_may_do_with_fewer_gpus():
    """Groups keep one input for several layers (Megatron's --recompute-num-layers): a pin of them finds no fewer GPUs than the
    question without it."""
    recipe = Recipe(model="llama3-7b", cluster="a100-pool", memory_headroom=0.045)
    wanted = {"recompute": "full"}
    asked = plan(recipe, Search(pins=wanted, max_gpus=3))
    pinned = plan(recipe, Search(pins=wanted | {"recompute_layers": 4}, max_gpus=3))
    assert asked.min_gpus == pinned.min_gpus == 2
    assert asked.recommended.layout["recompute_layers"] > 1


def test_where_nothing_fits_without_finer_values_they_are_tried_on_every_number_of_gpus():
    recipe = Recipe(model="llama3-7b", cluster="a100-pool", memory_headroom=0.045)
    answer = plan(recipe, Search(max_gpus=2, pins={"offload": "none"}))
    assert answer.recommended.layout["recompute_layers"] > 1
    assert answer.recommended.memory.fits
    assert answer.min_gpus == 2
    # The host's memory is for what fits in no other way.
    assert "offload" not in plan(recipe, Search(min_gpus=2, max_gpus=2)).recommended.layout


def test_one_number_of_gpus_that_finer_values_alone_bring_is_in_the_curve():
    recipe = Recipe(model="llama3-7b", cluster="a100-pool")
    usual = plan(recipe, Search(min_gpus=512, pins={"shard_group": 1, "cp_kind": "ring"})).recommended
    finer = plan(recipe, Search(min_gpus=512)).recommended
    assert finer.due_s < usual.due_s
    answer = plan(recipe, Search(min_gpus=512, deadline_s=(finer.due_s + usual.due_s) / 2))
    assert answer.recommended.due_s == finer.due_s
    assert answer.min_gpus == 512
    assert [each.due_s for each in answer.scaling] == [finer.due_s]
    assert answer.front == (512,)


def test_the_nearest_miss_may_have_finer_values():
    recipe = Recipe(model="llama3-7b", cluster="a100-pool")
    fastest = plan(recipe, Search(objective="time", deadline_s=1e12)).recommended
    miss = plan(recipe, Search(deadline_s=fastest.due_s * 0.9985)).nearest_miss
    assert miss.late_s == pytest.approx(fastest.due_s * 0.0015)
    assert "train on 99.8 % of the tokens" in miss.fix
    lean = plan(recipe, Search(max_gpus=2, pins={"offload": "none"})).nearest_miss
    assert lean.layout["recompute_layers"] > 1
    # A few mebibytes are not nothing.
    assert 0 < lean.missing_bytes < 2**24
    assert "MiB per GPU are missing" in lean.fix


def test_why_no_fewer_gpus_knows_what_was_asked():
    assert answered(min_gpus=16).why == "no fewer than 16 GPUs were asked for"
    assert answered(min_gpus=9).why == "no allowed layout has from 9 to 15 GPUs"
    assert answered(pins={"tp": 8}).why == "no allowed layout has fewer than 8 GPUs"


def test_more_gpus_than_there_are_say_how_many_may_be_asked_for():
    with pytest.raises(InputError) as caught:
        answered(min_gpus=17)
    assert "at most 16" in str(caught.value.hint)


@pytest.mark.parametrize("objective", ["time", "cost", "energy"])
def test_the_fewest_gpus_do_not_depend_on_the_goal(objective):
    recipe = Recipe(model="llama3-7b", cluster="a100-pool", memory_headroom=0.045)
    answer = plan(recipe, Search(objective=objective, max_gpus=64))
    assert answer.min_gpus == plan(recipe, Search(max_gpus=64)).min_gpus == 2
    assert answer.scaling[0].n_gpus == 2


@pytest.mark.parametrize("objective", ["time", "cost", "energy"])
def test_a_deadline_that_all_meet_changes_nothing(objective):
    recipe = Recipe(model="llama3-7b", cluster="a100-pool", framework="llm-foundry")
    plain = plan(recipe, Search(objective=objective))
    asked = plan(recipe, Search(objective=objective, deadline_s=1e12))
    assert asked.recommended == plain.recommended
    assert asked.scaling == plain.scaling
