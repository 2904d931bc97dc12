"""Errors of rows, and which rows count."""

from __future__ import annotations

import pytest

from planner.units import GIB, GIGA, MIB
from planner.validation import run_facts
from planner.validation.device_memory import bytes_per_unit, device_memory_summary, measured_as, peak_score
from planner.validation.scoring import Score, grouped, number, spread
from planner.validation.time_summary import throughput_score, time_summary

RUN = {
    "id": "a-1", "source": "owner/name:README.md@1234567", "model_name": "Llama 3 8B", "n_gpus": "8",
    "gpu_slug": "h100-sxm5-80gb", "framework_slug": "megatron-core", "seq_len": "1000", "global_batch": "8",
    "confidence": "high", "predicted_step_time_s": "2", "predicted_tokens_per_s_per_gpu": "500",
    "predicted_peak_memory_gib": "60", "error": "", "defaults": "",
}  # fmt: skip
"""8 sequences of 1,000 tokens in 2 seconds on 8 GPUs."""


def error_of(**changes: str) -> float:
    scored = throughput_score(RUN | changes)
    assert isinstance(scored, Score), scored
    return scored.error


def test_a_step_that_takes_longer_than_predicted_is_an_over_prediction():
    assert error_of(step_time_s="2.2") == pytest.approx(0.1)
    assert error_of(step_time_s="1.6") == pytest.approx(-0.2)


def test_every_way_of_stating_a_throughput_gives_the_same_error():
    assert error_of(tokens_per_s_per_gpu="400") == pytest.approx(0.25)
    assert error_of(tokens_per_s_total="3200") == pytest.approx(0.25)
    assert error_of(samples_per_s="3.2") == pytest.approx(0.25)
    assert error_of(step_time_s="2.5") == pytest.approx(0.25)


def test_the_step_time_comes_before_the_throughput():
    assert error_of(step_time_s="2", tokens_per_s_per_gpu="1") == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "neither a step time nor a throughput"),
        ({"step_time_s": "2", "confidence": "low"}, "confidence low"),
        ({"step_time_s": "2", "note": "CONFLICT with the other table"}, "note says CONFLICT"),
        ({"step_time_s": "2", "model_name": "Grok-1 proxy (8 layers)"}, "a proxy with fewer layers"),
        ({"step_time_s": "2", "global_batch": ""}, "a step time without the global batch that it belongs to"),
        ({"samples_per_s": "2", "seq_len": ""}, "samples per second without the length of one"),
        ({"step_time_s": "2", "error": "gpu: 'z9' is not known"}, "error: gpu: … is not known"),
        ({"step_time_s": "n/a"}, "neither a step time nor a throughput"),
        ({"step_time_s": "0"}, "neither a step time nor a throughput"),
    ],
)  # fmt: skip
def test_what_is_not_scored_says_why(changes, reason):
    assert throughput_score(RUN | changes) == reason


@pytest.mark.parametrize(
    ("unit", "size", "tool"),
    [
        ("GiB shown as GB (torch max allocated or reserved: not stated)", GIB, "not said"),
        ("GB 1e9 (accelerator_memory_max bytes, reserved, includes eval)", GIGA, "reserved"),
        ("GB (torch.cuda.max_memory_allocated/1e9 in LitGPT)", GIGA, "allocated"),
        ("GB allocated (77.9 GB reserved)", GIGA, "allocated"),
        ("GiB max reserved, worst rank", GIB, "reserved"),
        ("GB (nvidia-smi, first/last stage)", GIGA, "nvidia-smi"),
        ("MiB/MB as labelled", MIB, "not said"),
        ("", GIGA, "not said"),
    ],
)
def test_a_measured_peak_is_read_in_its_own_unit(unit, size, tool):
    assert bytes_per_unit(unit) == size
    assert measured_as({"peak_mem_unit": unit}) == tool


def test_a_peak_is_compared_in_bytes():
    scored = peak_score(RUN | {"peak_mem_gb": "60", "peak_mem_unit": "GiB reserved, per GPU"})
    assert isinstance(scored, Score)
    assert scored.error == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outcome": "oom"}, "outcome oom: what fits or does not, no peak"),
        ({"outcome": "max context that fits"}, "outcome max context that fits: what fits or does not, no peak"),
        ({"peak_mem_unit": "GB, TOTAL over GPUs (exceeds one card)"}, "a total over GPUs"),
        ({"confidence": "low"}, "confidence low"),
        ({"peak_mem_gb": ""}, ""),
    ],
)
def test_what_is_no_peak_is_not_scored(changes, reason):
    assert peak_score(RUN | {"peak_mem_gb": "60"} | changes) == reason


def test_the_groups_of_a_row_follow_from_its_cells():
    assert run_facts.source(RUN) == "owner/name"
    assert run_facts.source({"source": "https://docs.example.com/a/b: table"}) == "docs.example.com"
    assert run_facts.source({"source": "Our own cluster, night of the 3rd"}) == "Our own cluster"
    assert (
        run_facts.source({})
        == run_facts.accelerator({})
        == run_facts.framework({})
        == run_facts.scale({})
        == "not stated"
    )
    assert run_facts.family({"model_name": "GPT OSS 120B", "n_experts": "128"}) == "gpt-oss, experts"
    assert run_facts.scale({"n_gpus": "99"}) == "10 to 99"
    assert run_facts.stated({"defaults": "micro_batch = 1; vpp = 1"}) == "essentials filled in"
    assert run_facts.stated({"defaults": "vpp = 1"}) == "essentials stated"


def test_a_group_has_its_own_figures():
    rows = [
        Score(row={"mode": mode}, predicted=value, measured=1.0) for mode, value in (("a", 1.1), ("a", 0.9), ("b", 2.0))
    ]
    first, second = grouped(rows, mode=lambda row: row["mode"])
    assert (first["mode"], first["n"], second["mode"]) == ("a", 2, "b")
    assert first["median_error"] == pytest.approx(0.0)
    assert first["worst_under"] == pytest.approx(-0.1)
    assert second["worst_under"] == 0.0


def test_nothing_scored_has_no_figures():
    assert spread([]) == {
        "n": 0, "median_error": None, "median_abs_error": None, "p90_abs_error": None, "p95_abs_error": None,
        "max_abs_error": None, "worst_under": None,
    }  # fmt: skip
    assert time_summary([RUN])["throughput"]["n"] == 0
    assert device_memory_summary([RUN])["excluded"] == []


def test_a_number_is_finite_and_above_zero():
    assert [number(text) for text in ("2e3", None, "", "nan", "0", "x")] == [2000.0, None, None, None, None, None]
