"""What is typed reaches the planner's library as it was meant."""

from __future__ import annotations

import os

import pytest

from planner.api import Recipe, Search

PLAN = ("plan", "--model", "llama3-7b", "--cluster", "a100-pool")


def test_what_is_not_given_is_left_to_the_planner(planner, asked):
    planner(*PLAN)
    (((recipe,), search), named) = asked[0]
    assert recipe == Recipe(model="llama3-7b", cluster="a100-pool")
    assert search == Search()
    assert callable(named.pop("progress"))
    assert named == {"database": None, "strict_plugins": False}


def test_every_option_of_a_plan_arrives(planner, asked):
    planner(
        *PLAN, "--node", "dgx", "--seq-len", "4096", "--global-batch", "512", "--tokens", "15T", "--precision", "fp8",
        "--optimizer", "muon", "--method", "lora", "--framework", "torchtitan", "--attention", "flash", "--set", "a=1",
        "--set", "b = c=d", "--memory-headroom", "0.1", "--gpus", "8-512", "--objective", "cost", "--deadline", "30d",
        "--budget", "$1.5M", "--top", "3", "--tp", "2", "--pp", "4", "--vpp", "2", "--dp", "8", "--cp", "1", "--ep",
        "2", "--etp", "1", "--zero", "1", "--sequence-parallel", "--micro-batch", "2", "--recompute", "full",
        "--schedule", "1f1b", "--without", "context", "--without", "expert", "--why-not", "tp=4,sequence-parallel=0",
        "--jobs", "2", "--sensitivity",
    )  # fmt: skip
    (((recipe,), search), _) = asked[0]
    assert recipe == Recipe(
        model="llama3-7b", cluster="a100-pool", node="dgx", seq_len=4096, global_batch=512, tokens=15e12,
        precision="fp8", optimizer="muon", method="lora", framework="torchtitan", attention="flash",
        memory_headroom=0.1, options={"a": "1", "b": "c=d"},
    )  # fmt: skip
    pins = {
        "tp": 2, "pp": 4, "vpp": 2, "dp": 8, "cp": 1, "ep": 2, "etp": 1, "zero": 1, "sequence_parallel": 1,
        "micro_batch": 2, "recompute": "full", "schedule": "1f1b",
    }  # fmt: skip
    assert search == Search(
        min_gpus=8, max_gpus=512, objective="cost", deadline_s=30 * 86400.0, budget_usd=1.5e6, top=3, pins=pins,
        without=("context", "expert"), why_not={"tp": 4, "sequence_parallel": 0}, jobs=2, sensitivity=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "meant"), [("8", 8), ("1,2,4", (1, 2, 4)), ("1-4", (1, 2, 3, 4)), ("1,4-6,4", (1, 4, 5, 6))]
)
def test_an_axis_is_pinned_to_one_number_or_to_several(planner, asked, typed, meant):
    planner(*PLAN, "--pp", typed)
    assert asked[0][0][1].pins == {"pp": meant}


def test_a_policy_is_pinned_to_one_word_or_to_several(planner, asked):
    planner(*PLAN, "--recompute", "none, full", "--schedule", "1f1b")
    assert asked[0][0][1].pins == {"recompute": ("none", "full"), "schedule": "1f1b"}


@pytest.mark.parametrize(
    "wrong",
    [("--tp", "a"), ("--tp", "4-2"), ("--tp", "1-99999"), ("--tp", "1,,2"), ("--recompute", "none,"),
     ("--why-not", "tp"), ("--why-not", "tp=1,tp=2"), ("--jobs", "0")],
)  # fmt: skip
def test_what_is_no_list_is_refused_in_one_line(planner, asked, wrong):
    outcome = planner(*PLAN, *wrong)
    assert outcome.status == 2
    assert not asked
    assert wrong[0] in outcome.err


def test_clusters_and_frameworks_make_a_recipe_each(planner, asked):
    planner(*PLAN, "--cluster", "h100-pool", "--framework", "megatron-core", "--framework", "torchtitan", "--top", "3")
    recipes = asked[0][0][0]
    assert [(recipe.cluster, recipe.framework) for recipe in recipes] == [
        ("a100-pool", "megatron-core"), ("a100-pool", "torchtitan"),
        ("h100-pool", "megatron-core"), ("h100-pool", "torchtitan"),
    ]  # fmt: skip


@pytest.mark.parametrize(("typed", "fewest", "most"), [("64", 64, 64), ("8-512", 8, 512), ("1,024", 1024, 1024)])
def test_a_number_of_gpus_is_exact_and_a_range_has_two_ends(planner, asked, typed, fewest, most):
    planner(*PLAN, "--gpus", typed)
    search = asked[0][0][1]
    assert (search.min_gpus, search.max_gpus) == (fewest, most)


def test_no_sequence_parallel_pins_it_off(planner, asked):
    planner(*PLAN, "--no-sequence-parallel")
    assert asked[0][0][1].pins == {"sequence_parallel": 0}


def test_a_layout_by_options_arrives_with_the_number_of_gpus(planner, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").write_text("{}", encoding="utf-8")
    planner("evaluate", "--model-config", "config", "--cluster", "h100:2x8", "--tp", "2", "--gpus", "16")
    ((recipe, layout), _) = asked[0]
    assert recipe.model == os.path.join(".", "config")
    assert layout == {"tp": 2, "n_gpus": 16}


def test_the_database_of_the_option_beats_that_of_the_environment(planner, asked, monkeypatch):
    monkeypatch.setenv("PLANNER_DATABASE_URL", "sqlite:///environment.db")
    planner(*PLAN)
    planner("--database", "sqlite:///before.db", *PLAN)
    planner("--database", "sqlite:///before.db", *PLAN, "--database", "sqlite:///after.db")
    assert [named["database"] for _, named in asked] == [
        "sqlite:///environment.db", "sqlite:///before.db", "sqlite:///after.db",
    ]  # fmt: skip


def test_strict_plugins_arrives_from_either_side(planner, asked):
    planner("--strict-plugins", *PLAN)
    planner(*PLAN, "--strict-plugins")
    assert [named["strict_plugins"] for _, named in asked] == [True, True]


def test_rules_of_thumb_take_a_number_of_parameters(planner, asked):
    planner("estimate", "--params", "7B", "--gpu", "rtx-4090")
    assert asked[0][1] == {
        "model": None, "params": 7e9, "gpu": "rtx-4090", "seq_len": None, "micro_batch": 1, "tokens": None,
        "database": None,
    }  # fmt: skip


def test_runs_need_no_cluster_and_arrive_by_path(planner, asked):
    planner("evaluate", "--runs", "runs.csv")
    assert asked[0] == (("runs.csv",), {"database": None, "strict_plugins": False})
