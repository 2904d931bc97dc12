"""The tables that ship with the planner: unchanged, complete, and within the bars."""

from __future__ import annotations

import ast
import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest

from planner.catalog.reader import Catalog
from planner.importers.csv_table import read_table
from planner.registry import load_registry
from planner.reports.validate import report
from planner.search.timing import over_model
from planner.synthetic import synthetic_context
from planner.validation import device_memory
from planner.validation.fits import FITS
from planner.validation.memory import MEMORY_COLUMNS, REQUIRED, evaluated_step
from planner.validation.memory_summary import memory_summary, missed_bars
from planner.validation.tables import shipped
from planner.validation.validate import validate

REPOSITORY = Path(__file__).parents[2]
FROZEN = {
    "memory.csv": "96a1aee5622b8a66e46fdfd7b909df9a91e7da84156d3e088da86dc4162957a7",
    "training.csv": "c08ffa5e8b921a6f469efd8fd0d927c7088a181110c597836f7b3cc8fdcf1de7",
    "layouts.csv": "b6ba439608697d9b8d84ebf9cb2e3286cba52041254ad257386fbbf903b48c63",
    "configs/bloom-7b1.json": "50165e6c5a7e9bc2a1b4c8c5ffe8249b08564042f04f114450f2d2d2b0ba7a17",
    "configs/deepseek-v2-lite.json": "638bc22eedf19577f699f26a28cd0c3dca26249bd875cee57ae15ade0d8da4f1",
    "configs/gemma-2-2b.json": "917058dba6e76c4b7cdb9bcee7561fe2fcb6b5ae66efa36763213ebd7cec0156",
    "configs/gemma-7b.json": "b42daa2dc66d22f3bdb702cf95600d5c5aa74e5716005ebc593246d6b415354d",
    "configs/gpt2-xl.json": "f71250470de05238352ece74f4558775c61f0aaba8274551766c6887accce17b",
    "configs/llama-2-7b.json": "5e8b2928d7c55cc16cc950a979f19b75bd93b2750fa8b815fb7e89b1917f14c3",
    "configs/llama-3-70b.json": "046441287f5bbc1d623a150a9ea7157bc1895ec923133bb55238aaa17f0d4fae",
    "configs/llama-3-8b.json": "4393ef4390c1c7b9d1b5c6bfcbb3224d277aaefac53d0babc3ddff5b18bbd27b",
    "configs/llama-3.2-1b.json": "912cba2403daf377ecb7adf52de38402a9961257131606e7fd9d786c14eca130",
    "configs/opt-6.7b.json": "94678045725208c1d7437f5b17294048d4c67562d1af2c2012db510b54c90b38",
    "configs/phi-2.json": "c4946bd6b129084959cfb817befe816c093cbd0c7efcdf8a75cd7b31bd6bf516",
    "configs/pythia-6.9b.json": "e54a3d3ce0fb0716f59b89bb90d2debab8736682075b8cc12aeb7cb5828f5cfb",
    "configs/qwen2.5-7b.json": "75b8d7b6138307493608d79aa51bf95c927c6fe9ae2c0606caf8465a1b8f8f37",
    "configs/qwen3-30b-a3b.json": "1f5c33e21d6dd8f93f947a1d5ae30ad9b2edd5741401a204a9c971c0fee009c6",
    "configs/tinyllama-1.1b.json": "29703ee262e6c0512e666fe9b391066537aa705a73e19e114b5fc825bb790231",
}
FAMILIES = (
    "bloom", "deepseek", "falcon", "gemma", "gpt2", "gpt-2", "gpt_neox", "llama", "mistral", "mixtral", "opt-", "phi-",
    "pythia", "qwen",
)  # fmt: skip
OPERATORS = {"norm.rmsnorm_gemma"}
"""An operator that is named after the model that brought it (its weight is kept less one); any program may have it."""
UNDER_AN_ARCHITECTURE = 0.02
"""What the peak of any row of any model class may be off."""


@pytest.mark.parametrize("name", FROZEN)
def test_a_shipped_file_never_changes(name):
    assert hashlib.sha256(shipped(name).read_bytes()).hexdigest() == FROZEN[name], f"{name} is frozen: add another file"


def test_every_shipped_file_is_frozen():
    folder = shipped("memory.csv").parent
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found - {"README.md"} == set(FROZEN)


def test_the_shipped_files_speak_of_nothing_outside_this_repository():
    assert "facts/" not in shipped("training.csv").read_text(encoding="utf-8")


def test_tracked_memory_clears_every_bar(tracked):
    summary = tracked.summary["memory"]
    assert summary["n_rows"] == 161
    assert list(missed_bars(summary)) == []


def test_a_bar_of_published_peaks_is_named():
    at_the_bar = {"peak": {"median_abs_error": 0.08, "n": 341}}
    assert list(device_memory.missed_bars(at_the_bar)) == []
    worse = {"peak": {"median_abs_error": 0.09, "n": 341}}
    assert list(device_memory.missed_bars(worse)) == ["published peaks, median error: 9.00% of 341 rows, the bar is 8%"]


def test_a_bar_that_is_missed_is_named(tracked):
    rows = [
        {**row, "predicted_peak_bytes": str(float(row["predicted_peak_bytes"]) * 0.9), "predicted_optstate_bytes": "1"}
        for row in tracked.tables["memory"].rows
    ]
    missed = " ".join(missed_bars(memory_summary(rows)))
    for name in ("optimizer states", "median error", "95th percentile", "under-prediction"):
        assert name in missed


def test_every_architecture_is_as_good_as_the_others(tracked):
    """Nothing is fitted, so each class is a test of a planner that never saw it."""
    for group in tracked.summary["memory"]["by_class_and_mode"]:
        assert group["max_abs_error"] < UNDER_AN_ARCHITECTURE, group


@pytest.mark.parametrize(
    "path", ["plugins/framework_transformers.py", "planner/search/memory.py", "planner/search/activations.py"]
)
def test_no_architecture_has_a_constant_of_its_own(path):
    """What a layer keeps follows from its operators: the code neither names a model nor asks for its name."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    cited = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]  # docstrings
    cited += [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "SOURCE"
    ]
    known = {id(part) for value in cited if value is not None for part in ast.walk(value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("slug", "family"), f"{path}:{node.lineno}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in known:
            if node.value in OPERATORS:
                continue
            assert not any(family in node.value.casefold() for family in FAMILIES), f"{path}:{node.lineno}"


def test_every_tracked_row_comes_back_with_the_contract_s_columns(tracked):
    table = tracked.tables["memory"]
    assert table.columns[-len(MEMORY_COLUMNS) :] == MEMORY_COLUMNS
    assert table.columns[:3] == ("id", "model", "layers")
    for row in table.rows:
        assert set(row) == set(table.columns)
        assert row["error"] == ""
        assert int(row["predicted_peak_bytes"]) > int(row["predicted_saved_after_forward_bytes"]) > 0
        assert row["predicted_when_peak"] in ("fwd", "bwd", "opt")


def test_without_a_file_steps_and_runs_are_both_validated(database, predict_runs):
    """In one test, because the runs take seconds."""
    answer = validate("all", predict_runs, database=database)
    assert answer.summary["memory"]["n_rows"] == 161
    time, device = answer.summary["time"], answer.summary["device_memory"]
    assert time["n_rows"] == 2141
    assert time["throughput"]["n"] + sum(row["n"] for row in time["excluded"]) == time["n_rows"]
    assert time["range"]["n_bounded"] == time["throughput"]["n"]
    assert time["range"]["covered"] >= 0.8
    assert time["range"]["median_width"] < 1.6
    assert time["held_out"]["held_out_range"]["covered"] >= 0.8
    assert time["throughput"]["median_abs_error"] < 0.08
    assert time["held_out"]["held_out"]["median_abs_error"] < 0.08
    for table in ("by_source", "by_framework", "by_accelerator", "by_family", "by_scale", "by_statement"):
        assert sum(group["n"] for group in time[table]) == time["throughput"]["n"] > 1000
    assert len(time["worst"]) == 15
    held_out = time["held_out"]
    assert held_out["held_out"]["n"] + held_out["fitted"]["n"] == time["throughput"]["n"]
    assert device["peak"]["n"] > 300
    assert list(device_memory.missed_bars(device)) == []
    assert device["peak"]["n"] + sum(row["n"] for row in device["excluded"]) == 456  # rows with a measured peak
    assert answer.columns[0] == "what"
    assert [row["what"] for row in answer.rows].count("memory") == 161
    document = report(answer).document
    assert json.loads(json.dumps(document["summary"])) == document["summary"]
    assert isinstance(document["rows"][0]["predicted_peak_bytes"], int)


def fitted_constants(path):
    """The constants of a module whose text says that they are fitted."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for constant, text in pairwise(body):
        if isinstance(constant, ast.AnnAssign) and isinstance(text, ast.Expr) and "Fitted" in ast.unparse(text):
            yield ast.unparse(constant.target), ast.literal_eval(text.value)


def test_every_constant_that_is_fitted_to_shipped_rows_is_named_with_them():
    sources = [*(REPOSITORY / "planner").rglob("*.py"), *(REPOSITORY / "plugins").rglob("*.py")]
    said = {name: text for path in sources for name, text in fitted_constants(path)}
    assert set(said) == {fit.constant for fit in FITS}
    for fit in FITS:
        assert all(group in said[fit.constant] for group in fit.rows), fit.constant


def test_weights_and_gradients_of_tracked_steps_are_exact(database):
    """Every row: parameters alive at the peak, and all gradients after the backward, within 0.1 %. Under DTensor's tensor
    parallelism one gradient, the embedding's, is whole on every rank; that is a buffer of its own, which the peaks test."""
    registry = load_registry(disable="*")
    table = read_table(str(shipped("memory.csv")), REQUIRED)
    with Catalog.open(database) as catalog:
        for row in table.rows:
            found = evaluated_step(row, str(shipped("configs")), catalog, registry, synthetic_context().cluster)
            counts = found.context.program.counts()
            for column, name in (("params_bytes", "weights"), ("grads_after_backward_bytes", "gradients")):
                whole = name == "gradients" and (row["tp"] or "1") != "1"
                if row[column] and not whole:
                    ours = float(over_model(counts, [getattr(block, name) for block in found.memory.states])[0])
                    assert ours == pytest.approx(float(row[column]), rel=1e-3), (row["id"], column)
