"""`planner calibrate`: runs on machines slower than predicted, by how much being known."""

from __future__ import annotations

import csv
import os
import stat

import pytest

from planner.catalog.calibrations import CalibrationRow, forget, store
from planner.domain.hardware import CALIBRATED_ARITHMETIC, CALIBRATED_NETWORK

RUN = {"gpu_slug": "a100-sxm4-80gb", "framework_slug": "megatron-core", "seq_len": 2048, "micro_batch": 1,
       "recompute": "full", "precision": "bf16", "zero_stage_or_fsdp": "ZeRO-1"}  # fmt: skip
SHAPES = (
    {"model_name": "llama2-7b", "n_gpus": 64, "tp": 2, "pp": 1, "global_batch": 32},
    {"model_name": "llama2-13b", "n_gpus": 64, "tp": 4, "pp": 1, "global_batch": 32},
    {"model_name": "llama2-70b", "n_gpus": 128, "tp": 8, "pp": 4, "global_batch": 32},
    {"model_name": "gpt3-175b", "n_gpus": 256, "tp": 8, "pp": 8, "global_batch": 64},
    {"model_name": "llama2-7b", "n_gpus": 512, "tp": 1, "pp": 1, "global_batch": 512},
    {"model_name": "llama2-13b", "n_gpus": 256, "tp": 1, "pp": 1, "global_batch": 256},
)


def written(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def factor(metric, fraction, accelerator="a100-sxm4-80gb", date="2026-01-02"):
    return CalibrationRow(
        accelerator=accelerator, metric=metric, fraction=fraction, condition="made by hand", date=date, note=""
    )


def step_s(plan):
    return plan["answer"]["recommended"]["step_time_s"]


@pytest.fixture
def slow_runs(tmp_path, database, predicted):
    """A file of runs measured on machines of 0.8 of the predicted arithmetic and 0.6 of the network."""
    path = written(tmp_path / "asked.csv", [RUN | shape for shape in SHAPES])
    predicted(path)
    store(database, [factor(CALIBRATED_ARITHMETIC, 0.8), factor(CALIBRATED_NETWORK, 0.6)])
    slow = [row["predicted_tokens_per_s_per_gpu"] for row in predicted(path)]
    forget(database)
    rows = [RUN | shape | {"tokens_per_s_per_gpu": rate} for shape, rate in zip(SHAPES, slow, strict=True)]
    return written(tmp_path / "my-runs.csv", rows)


def test_what_slowed_the_runs_is_found_kept_and_used(slow_runs, answered, predicted):
    found = answered("calibrate", "--from", slow_runs)
    (entry,) = found["accelerators"]
    assert (found["schema"], found["stored"], found["file"]) == ("planner.calibrate/1", True, "my-runs.csv")
    assert entry["fitted"] == {
        "arithmetic": pytest.approx(0.8, abs=0.02), "network": pytest.approx(0.6, abs=0.04)
    }  # fmt: skip
    assert entry["before"]["mean_abs_error"] > 0.2
    # The runs are without noise: what is left after the fit, and held out, is the fit's own step.
    assert entry["after"]["mean_abs_error"] <= entry["held_out"]["mean_abs_error"] + 1e-3 < 0.03
    for row in predicted(slow_runs):
        assert float(row["predicted_tokens_per_s_per_gpu"]) == pytest.approx(
            float(row["tokens_per_s_per_gpu"]), rel=0.02
        )
        assert "calibrated_arithmetic = " in row["defaults"]


def test_the_errors_after_are_those_of_the_predictions_from_then_on(slow_runs, answered):
    (entry,) = answered("calibrate", "--from", slow_runs)["accelerators"]
    validated = answered("validate", "--what", "time", "--data", slow_runs)["summary"]["time"]["throughput"]
    assert validated["median_error"] == pytest.approx(entry["after"]["median_error"], abs=2e-3)
    assert validated["max_abs_error"] == pytest.approx(entry["after"]["max_abs_error"], abs=2e-3)


def test_a_plan_says_that_it_is_calibrated(slow_runs, answered):
    answered("calibrate", "--from", slow_runs)
    question = ("plan", "--model", "llama2-7b", "--cluster", "a100-sxm4-80gb:64", "--gpus", "64")
    after = answered(*question)
    named = {each["name"]: each for each in after["assumptions"]}
    assert named["calibrated_network"]["value"] == pytest.approx(0.6, abs=0.04)
    assert "6 runs of my-runs.csv" in named["calibrated_arithmetic"]["origin"]
    answered("calibrate", "--forget")
    before = answered(*question)
    assert "calibrated_arithmetic" not in {each["name"] for each in before["assumptions"]}
    assert step_s(after) > 1.1 * step_s(before)


def test_a_second_fit_starts_from_the_planner_s_own_constants(slow_runs, answered):
    first, second = (answered("calibrate", "--from", slow_runs)["accelerators"][0] for _ in range(2))
    assert (first.pop("earlier"), len(second.pop("earlier"))) == ([], 2)
    assert first == second
    shown = answered("catalog", "show", "accelerators", "a100-sxm4-80gb")
    kept = [row for row in shown["efficiencies"] if row["metric"] in (CALIBRATED_ARITHMETIC, CALIBRATED_NETWORK)]
    assert len(kept) == 2


def test_the_newest_calibration_counts(database, predicted, slow_runs):
    store(database, [factor(CALIBRATED_ARITHMETIC, 0.7, date="2026-03-04")])
    store(database, [factor(CALIBRATED_ARITHMETIC, 0.9, date="2025-12-01")])
    assert "calibrated_arithmetic = 0.7 (" in predicted(slow_runs)[0]["defaults"]


def test_a_dry_run_keeps_nothing(slow_runs, answered, predicted):
    before = predicted(slow_runs)
    found = answered("calibrate", "--from", slow_runs, "--dry-run")
    assert (found["stored"], bool(found["accelerators"][0]["fitted"])) == (False, True)
    assert predicted(slow_runs) == before


def test_forgetting_names_what_was_there(slow_runs, answered):
    answered("calibrate", "--from", slow_runs)
    assert answered("calibrate", "--forget")["accelerators"] == ["a100-sxm4-80gb"]
    assert answered("calibrate", "--forget")["accelerators"] == []


def test_releases_come_and_go_without_touching_a_calibration(database, slow_runs, answered, called):
    answered("calibrate", "--from", slow_runs)
    for step in (("db", "downgrade", "0001"), ("db", "upgrade")):
        assert called(*step)[0] == 0
    assert answered("calibrate", "--forget")["accelerators"] == ["a100-sxm4-80gb"]


def test_the_text_shows_factors_and_errors(slow_runs, called):
    status, out, err = called("calibrate", "--from", slow_runs)
    assert (status, err) == (0, "")
    assert "a100-sxm4-80gb     6" in out
    assert "held out" in out
    assert "kept as of" in out


def test_a_file_without_a_measurement_is_refused(tmp_path, called):
    path = written(tmp_path / "runs.csv", [RUN | SHAPES[0]])
    status, out, err = called("calibrate", "--from", path)
    assert (status, out) == (2, "")
    assert "no run to fit to: neither a step time nor a throughput" in err


def test_a_slip_of_a_unit_is_not_fitted_to(slow_runs, tmp_path, answered):
    with slow_runs.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    slipped = [row | {"tokens_per_s_per_gpu": str(float(row["tokens_per_s_per_gpu"]) / 100)} for row in rows[:2]]
    found = answered("calibrate", "--from", written(tmp_path / "slipped.csv", [*slipped, *rows[2:]]), "--dry-run")
    assert found["excluded"] == [{"reason": "more than 5 times off the prediction", "n": 2}]
    third = [row | {"tokens_per_s_per_gpu": str(float(row["tokens_per_s_per_gpu"]) / 3)} for row in rows]
    (entry,) = answered("calibrate", "--from", written(tmp_path / "third.csv", third))["accelerators"]
    assert entry["fitted"] == {}
    assert "as far as a fit may go" in entry["why_not"]


def test_a_newer_calibration_replaces_the_whole_older_one(database, slow_runs, predicted, called):
    store(
        database,
        [factor(CALIBRATED_ARITHMETIC, 0.7, date="2026-01-01"), factor(CALIBRATED_NETWORK, 0.1, date="2026-01-01")],
    )
    store(database, [factor(CALIBRATED_ARITHMETIC, 0.9, date="2026-02-01")])
    defaults = predicted(slow_runs)[0]["defaults"]
    assert "calibrated_arithmetic = 0.9 (" in defaults
    assert "calibrated_network" not in defaults
    _, out, _ = called("calibrate", "--from", slow_runs, "--dry-run")
    assert "still in force: calibrated_arithmetic 0.9" in " ".join(out.split())


def test_a_validation_names_the_calibration(slow_runs, answered, called):
    answered("calibrate", "--from", slow_runs)
    _, out, _ = called("validate", "--what", "time", "--data", slow_runs)
    assert "your calibration" in out


def test_two_runs_are_too_few(tmp_path, answered):
    path = written(tmp_path / "runs.csv", [RUN | shape | {"tokens_per_s_per_gpu": 1000} for shape in SHAPES[:2]])
    (entry,) = answered("calibrate", "--from", path)["accelerators"]
    assert (entry["fitted"], entry["why_not"]) == ({}, "2 of the 3 different configurations that a fit needs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no runs to fit to"),
        (("--from", "missing.csv"), "missing.csv"),
        (("--forget", "--dry-run"), "--forget goes with neither"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(called, arguments, said):
    status, out, err = called("calibrate", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_catalog_that_cannot_be_written_says_so(tmp_path, slow_runs, called, answered):
    answered("calibrate", "--from", slow_runs, "--dry-run")
    file = tmp_path / "catalog.db"
    file.chmod(stat.S_IREAD)
    status, _, err = called("calibrate", "--from", slow_runs)
    assert status == 2
    assert "cannot be written" in err
