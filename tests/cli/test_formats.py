"""Every command answers in every format, and what it prints parses."""

from __future__ import annotations

import csv
import io
import json

import pytest
import yaml
from cli.answers import make_answer, make_plan

from planner.reports.formats import FORMATS

COMMANDS = {
    "planner.plan/1": ("plan", "--model", "llama3-7b", "--cluster", "a100-pool"),
    "planner.evaluate/1": ("evaluate", "--model", "llama3-7b", "--cluster", "a100-pool"),
    "planner.explain/1": ("explain", "--model", "llama3-7b", "--cluster", "a100-pool"),
    "planner.estimate/1": ("estimate", "--params", "7e9"),
    "planner.runs/1": ("evaluate", "--runs", "runs.csv"),
    "planner.plugins.list/1": ("plugins", "list"),
    "planner.plugins.show/1": ("plugins", "show", "optimizer_adam"),
    "planner.plugins.check/1": ("plugins", "check", "optimizer_sgd"),
    "planner.catalog.params/1": ("catalog", "params", "--model", "llama3-7b"),
}
PLAN = COMMANDS["planner.plan/1"]

pytestmark = pytest.mark.usefixtures("asked")


@pytest.mark.parametrize(("schema", "command"), COMMANDS.items(), ids=COMMANDS)
def test_json_is_one_object_that_names_its_schema_first(planner, schema, command):
    outcome = planner(*command, "--format", "json")
    document = json.loads(outcome.out, parse_constant=pytest.fail)
    assert next(iter(document.items())) == ("schema", schema)


@pytest.mark.parametrize(("schema", "command"), COMMANDS.items(), ids=COMMANDS)
def test_yaml_says_what_json_says(planner, schema, command):
    as_json = json.loads(planner(*command, "--format", "json").out)
    as_yaml = yaml.safe_load(planner(*command, "--format", "yaml").out)
    assert as_yaml == as_json
    assert list(as_yaml) == list(as_json)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_csv_has_one_header_and_as_many_cells_in_every_row(planner, command):
    rows = list(csv.reader(io.StringIO(planner(*command, "--format", "csv").out)))
    assert len(rows[0]) == len(set(rows[0]))
    assert {len(row) for row in rows} == {len(rows[0])}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_text_keeps_within_100_columns_and_without_a_terminal_has_no_colour(planner, command):
    text = planner(*command).out
    assert text.strip()
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_markdown_tables_have_as_many_cells_in_every_row(planner, command):
    blocks = planner(*command, "--format", "markdown").out.split("\n\n")
    for table in (block.strip().splitlines() for block in blocks if block.startswith("|")):
        assert set(table[1]) <= set("|:- ")
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_may_stand_before_or_after_the_command(planner, name):
    assert planner("--format", name, *PLAN).out == planner(*PLAN, "--format", name).out


def test_after_the_command_wins(planner):
    assert planner("--format", "yaml", *PLAN, "--format", "json").out.startswith("{")


def test_the_json_of_a_plan_is_the_documented_one_with_its_floats_unrounded(planner):
    document = json.loads(planner(*PLAN, "--format", "json").out)
    assert document == json.loads(json.dumps(make_answer().to_dict()))
    components = document["answer"]["recommended"]["memory"]["components"]
    assert sum(components.values()) == document["answer"]["recommended"]["memory"]["total_bytes"]


def test_a_number_that_is_not_finite_is_null(planner, monkeypatch):
    answer = make_answer(recommended=make_plan(duration_s=float("inf"), mfu=float("nan")))
    monkeypatch.setattr("planner.api.plan_among", lambda *_arguments, **_named: answer)
    document = json.loads(planner(*PLAN, "--format", "json").out, parse_constant=pytest.fail)
    assert document["answer"]["recommended"]["duration_s"] is None
    assert document["answer"]["recommended"]["mfu"] is None


def test_numpy_numbers_are_plain_numbers_in_every_format(planner, monkeypatch):
    numpy = pytest.importorskip("numpy")
    answer = make_answer(rejected={"out of memory": numpy.int64(5)}, provenance={"ok": numpy.bool_(True)})
    monkeypatch.setattr("planner.api.plan_among", lambda *_arguments, **_named: answer)
    for name in FORMATS:
        assert planner(*PLAN, "--format", name).status == 0
    assert json.loads(planner(*PLAN, "--format", "json").out)["rejected"] == {"out of memory": 5}


def test_the_csv_of_a_plan_has_the_recommended_one_first(planner):
    rows = list(csv.DictReader(io.StringIO(planner(*PLAN, "--format", "csv").out)))
    assert (rows[0]["role"], rows[0]["n_gpus"], rows[0]["dp"]) == ("recommended", "3", "3")
    assert float(rows[0]["step_time_s"]) == make_plan(3).step_time_s
    assert {row["role"] for row in rows} == {"recommended", "alternative", "scaling"}


def test_runs_come_back_as_csv_with_their_columns_in_order(planner):
    out = planner(*COMMANDS["planner.runs/1"], "--format", "csv").out
    assert out.splitlines()[0] == "run,gpu,n_gpus,predicted_step_time_s,predicted_when_peak,fits,error"
    assert out.splitlines()[2] == "b,z9,8,,,,unknown accelerator 'z9'"


def test_runs_in_json_have_numbers_where_something_was_predicted(planner):
    rows = json.loads(planner(*COMMANDS["planner.runs/1"], "--format", "json").out)["rows"]
    assert [row["predicted_step_time_s"] for row in rows] == [1.5, None]
    assert rows[0]["predicted_when_peak"] == "bwd"
    assert rows[0]["n_gpus"] == "8"


def test_runs_as_text_count_the_rows_and_the_reasons(planner):
    text = planner(*COMMANDS["planner.runs/1"]).out
    assert "2 runs, 1 evaluated, 1 not" in text
    assert "unknown accelerator 'z9'" in text
    assert "--format csv" in text
