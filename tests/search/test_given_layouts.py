"""Layouts that are given through the whole command: what may be said of them, and what the answer then holds."""

import json

import pytest

from planner.catalog.upgrade import upgrade
from planner.cli.main import main

GIB = 1 << 30


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('layouts') / 'catalog.db'}"
    upgrade(url)
    return url


@pytest.fixture
def evaluated(database, capsys):
    """Evaluates a layout: the exit status and the document."""

    def call(*arguments):
        status = main(["--database", database, "evaluate", *arguments, "--format", "json"])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else err

    return call


def exposed_tp_s(document):
    return document["plan"]["step_time_components_s"]["tp"]


def test_tensor_parallel_traffic_hides_behind_tiles_only_within_a_scale_up_domain(evaluated):
    """Tiles travel through peers' memory: 8 H100s share it, 16 in two nodes do not (the same GPUs in one domain: GB200 NVL72)."""
    layout = ("--model", "gpt3-175b", "--sequence-parallel", "--micro-batch", "1", "--dp", "1", "--pp", "8")
    inside = exposed_tp_s(evaluated(*layout, "--cluster", "h100-sxm5-80gb:64x8", "--tp", "8")[1])
    across = exposed_tp_s(evaluated(*layout, "--cluster", "h100-sxm5-80gb:64x8", "--tp", "16")[1])
    assert across > 4 * inside


def test_all_reduces_of_tensor_parallelism_are_not_tiled(evaluated):
    """An all-reduce is a reduce-scatter and an all-gather: the same bytes, but of the forward's nothing hides (Transformer
    Engine's overlap asks for sequence parallelism)."""
    layout = ("--model", "gpt3-175b", "--micro-batch", "1", "--dp", "1", "--pp", "8", "--tp", "8")
    cluster = ("--cluster", "h100-sxm5-80gb:64x8")
    hidden = exposed_tp_s(evaluated(*layout, *cluster, "--sequence-parallel")[1])
    assert exposed_tp_s(evaluated(*layout, *cluster)[1]) > 1.9 * hidden


@pytest.mark.parametrize("framework", ["transformers", "accelerate"])
def test_zero_3_never_holds_the_whole_model(evaluated, framework):
    """Llama 2 70B in 16 bits is 128 GiB; 64 GPUs that share it out hold a layer or two whole."""
    _, document = evaluated(
        "--model", "llama-2-70b", "--cluster", "a100-pool", "--dp", "64", "--zero", "3", "--recompute", "full",
        "--framework", framework,
    )  # fmt: skip
    assert document["plan"]["memory"]["total_bytes"] < 64 * GIB


def test_what_is_refused_does_not_fit(evaluated):
    status, document = evaluated(
        "--model", "llama-3-70b", "--cluster", "a100-pool", "--tp", "8", "--pp", "8", "--dp", "2", "--zero", "1",
        "--sequence-parallel", "--schedule", "zbv",
    )  # fmt: skip
    assert (status, document["fits"]) == (3, False)
    assert document["refusals"]


def test_an_axis_without_an_option_of_its_own_is_set(evaluated):
    layout = (
        "--model",
        "llama3-7b",
        "--cluster",
        "a100-pool",
        "--dp",
        "64",
        "--zero",
        "3",
        "--framework",
        "torchtitan",
    )
    kept, dropped = (evaluated(*layout, *more)[1] for more in (("--set", "reshard_after_forward=0"), ()))
    assert kept["plan"]["memory"]["total_bytes"] > dropped["plan"]["memory"]["total_bytes"]
    status, message = evaluated(*layout, "--set", "reshard=0")
    assert status == 2
    assert "unknown option 'reshard' (did you mean " in message


@pytest.mark.parametrize("name", ["strategy_tensor", "strategy_data", "strategy_context", "strategy_pipeline"])
def test_a_plugin_that_the_planner_cannot_do_without_is_missed_by_its_axes(evaluated, monkeypatch, name):
    monkeypatch.setenv("PLANNER_PLUGINS_DISABLE", name)
    status, message = evaluated("--model", "llama3-7b", "--cluster", "a100-pool")
    assert status == 2
    assert message.startswith("planner: error: no plugin brings the axes ")


@pytest.mark.parametrize(
    "options",
    [
        ("--framework", "deepspeed", "--offload", "activations"),
        ("--framework", "deepspeed", "--offload", "parameters"),
        ("--framework", "megatron-core", "--recompute", "full:block", "--recompute-layers", "4"),
        ("--framework", "megatron-core", "--recompute", "full", "--recompute-layers", "4"),
        ("--framework", "nanotron"),
        ("--framework", "transformers", "--offload", "parameters"),
        ("--framework", "torchtitan", "--method", "lora", "--recompute", "selective:op"),
    ],
)
def test_the_terms_of_an_explanation_are_what_is_there(database, capsys, options):
    """No term makes up for another one: none is negative, and those of the peak sum to its components."""
    arguments = (
        "--model",
        "llama3-7b",
        "--cluster",
        "h100-sxm5-80gb:8",
        "--gpus",
        "1",
        "--global-batch",
        "4",
        "--seq-len",
        "2048",
    )
    main(["--database", database, "explain", *arguments, *options, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    terms = [term for term in document["memory_terms"] if not term["name"].startswith("all ")]
    assert min(term["value"] for term in terms) >= 0.0
    for component, size in document["plan"]["memory"]["components"].items():
        assert sum(term["value"] for term in terms if term["component"] == component) == pytest.approx(size, abs=16.0)


def test_a_fused_loss_keeps_fewer_logits_and_a_chunked_one_none(evaluated):
    """Llama 3.2 1B, 32,768 tokens of 128,256 logits: transformers keeps 12 bytes of each at the loss, a fused kernel 2 bytes,
    a chunked projection at most 6 bytes of an eighth."""
    layout = (
        "--model", "llama-3.2-1b", "--cluster", "h100-sxm5-80gb:1", "--framework", "transformers", "--global-batch", "8",
        "--micro-batch", "8", "--seq-len", "4096", "--recompute", "full",
    )  # fmt: skip
    logits = 8 * 4096 * 128256

    def activations(loss):
        return evaluated(*layout, "--loss", loss)[1]["plan"]["memory"]["components"]["activations"]

    own, fused, chunked = map(activations, ("framework", "fused", "fused-linear"))
    assert own - fused == pytest.approx(10 * logits, rel=0.02)
    # The peak is then no longer at the loss: the difference is less than 12 bytes less 6 of an eighth.
    assert 10 * logits < own - chunked <= (12 - 6 / 8) * logits
    assert "unknown loss" in evaluated(*layout, "--loss", "nope")[1]
