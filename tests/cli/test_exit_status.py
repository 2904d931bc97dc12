"""Every exit status, and the one line that comes with those above zero."""

from __future__ import annotations

import pytest
from cli.answers import CAPACITY, make_evaluation, make_plan, make_refusal

from planner.errors import CatalogError, InputError, PluginError, PluginWarning, UnknownNameError

PLAN = ("plan", "--model", "llama3-7b", "--cluster", "a100-pool")
RAISED = (
    (InputError("seq_len 0 is below 1", hint="give at least 1"), 2),
    (UnknownNameError("model", "lama-3-8b", ["llama-3-8b", "gpt3-175b"]), 2),
    (CatalogError("the database is locked"), 2),
    (PluginError("plugin 'x' of y failed"), 2),
    (NotImplementedError(), 1),
    (ZeroDivisionError("division by zero"), 1),
    (KeyboardInterrupt(), 130),
)
USAGE = (
    (),
    ("plam",),
    ("plan",),
    ("plan", "--model", "x"),
    ("plan", "--modle", "x"),
    (*PLAN, "extra"),
    (*PLAN, "--format", "xml"),
    (*PLAN, "--tp", "0"),
    (*PLAN, "--zero", "4"),
    (*PLAN, "--gpus", "8-2"),
    (*PLAN, "--gpus", "0"),
    (*PLAN, "--gpus", "many"),
    (*PLAN, "--deadline", "soon"),
    (*PLAN, "--deadline", "30y"),
    (*PLAN, "--budget", "-5"),
    (*PLAN, "--tokens", "0"),
    (*PLAN, "--set", "novalue"),
    (*PLAN, "--memory-headroom", "1"),
    (*PLAN, "--objective", "glory"),
    ("evaluate", "--cluster", "a100-pool"),
    ("evaluate", "--model", "a", "--model-config", "pyproject.toml", "--cluster", "c"),
    ("evaluate", "--model-config", "missing.json", "--cluster", "c"),
    ("catalog", "params"),
    ("evaluate", "--runs", "a.csv", "--tp", "2"),
    ("estimate",),
    ("estimate", "--params", "7e9", "--model", "a"),
    ("catalog", "lst"),
    ("plugins", "show"),
)


def raising(problem: BaseException):
    def fail(*_arguments, **_named):
        raise problem

    return fail


@pytest.mark.usefixtures("asked")
def test_an_answer_is_status_0_and_nothing_on_stderr(planner):
    outcome = planner(*PLAN)
    assert (outcome.status, outcome.err) == (0, "")


def test_what_does_not_fit_is_status_3_with_the_whole_document(planner, monkeypatch):
    monkeypatch.setattr("planner.api.plan_among", raising_nothing(make_refusal()))
    outcome = planner(*PLAN)
    assert outcome.status == 3
    assert "does not fit" in outcome.out
    assert "12.5 GiB on stage 0" in outcome.out
    assert "recompute full, or 16 GPUs" in outcome.out


def raising_nothing(answer: object):
    return lambda *_arguments, **_named: answer


@pytest.mark.parametrize("command", ["evaluate", "explain"])
@pytest.mark.parametrize(
    "answer",
    [make_evaluation(plan=make_plan(capacity=CAPACITY / 2)), make_evaluation(refusals=("tp does not divide",))],
)
def test_a_configuration_that_cannot_run_is_status_3(planner, monkeypatch, command, answer):
    monkeypatch.setattr("planner.api.evaluate", raising_nothing(answer))
    assert planner(command, "--model", "a", "--cluster", "b").status == 3


@pytest.mark.parametrize(("problem", "status"), RAISED, ids=lambda value: str(value) or "nameless")
def test_what_goes_wrong_is_one_line_with_its_status(planner, monkeypatch, problem, status):
    monkeypatch.setattr("planner.api.plan_among", raising(problem))
    outcome = planner(*PLAN)
    assert outcome.status == status
    assert outcome.out == ""
    lines = outcome.err.strip().splitlines()  # after ^C the line begins on a new one
    assert len(lines) == 1
    assert lines[0].startswith("planner: error: ")


def test_an_internal_fault_asks_to_be_reported_and_shows_its_traceback_only_when_debugging(planner, monkeypatch):
    monkeypatch.setattr("planner.api.plan_among", raising(ZeroDivisionError("division by zero")))
    assert "please report it" in planner(*PLAN).err
    monkeypatch.setenv("PLANNER_DEBUG", "1")
    assert "Traceback" in planner(*PLAN).err


@pytest.mark.parametrize("arguments", [usage for usage in USAGE if usage], ids=" ".join)
def test_bad_usage_is_status_2_and_one_line(planner, arguments):
    outcome = planner(*arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("planner: error: ")
    assert outcome.err.count("\n") == 1


def test_no_command_at_all_shows_the_help_on_stderr(planner):
    outcome = planner()
    assert (outcome.status, outcome.out) == (2, "")
    assert "planner plan --model" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (("plam",), "plan"),
        (("plan", "--modle", "x"), "--model"),
        (("catalog", "lst"), "list"),
        (("plugins", "show", "optimizer_adm"), "optimizer_adam"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest_one(planner, arguments, nearest):
    outcome = planner(*arguments)
    assert outcome.status == 2
    assert f"did you mean {nearest}" in outcome.err


def test_a_message_of_several_lines_or_with_escape_codes_is_still_one_plain_line(planner, monkeypatch):
    monkeypatch.setattr("planner.api.plan_among", raising(InputError("first\nsecond \x1b[31mred")))
    outcome = planner(*PLAN)
    assert outcome.err == "planner: error: first second ?[31mred\n"


def test_warnings_of_the_planner_are_one_line_each_and_quiet_silences_them(planner, monkeypatch):
    def warn(*_arguments, **_named):
        import warnings

        warnings.warn("plugin 'x' of y failed at import", PluginWarning, stacklevel=1)
        return make_refusal()

    monkeypatch.setattr("planner.api.plan_among", warn)
    assert planner(*PLAN).err == "planner: warning: plugin 'x' of y failed at import\n"
    assert planner("--quiet", *PLAN).err == ""


def test_a_plugin_that_breaks_a_rule_is_status_2_with_its_findings_as_the_answer(planner, monkeypatch):
    from planner.testing import Finding

    finding = Finding("adamw", "range", "states is negative somewhere")
    monkeypatch.setattr("planner.testing.check_plugin", lambda *_arguments: [finding])
    outcome = planner("plugins", "check", "optimizer_adam")
    assert outcome.status == 2
    assert "states is negative somewhere" in outcome.out


def test_a_plugin_that_was_left_out_is_named_in_a_warning_and_with_strict_plugins_in_an_error(planner, monkeypatch):
    monkeypatch.setenv("PLANNER_PLUGINS_DISABLE", "optimizer_adm")
    outcome = planner("plugins", "list")
    assert outcome.status == 0
    assert outcome.err.startswith("planner: warning: plugin 'optimizer-adm' failed at disable: no such plugin")
    assert outcome.err.count("\n") == 1
    outcome = planner("plugins", "list", "--strict-plugins")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("planner: error: plugin 'optimizer-adm'")
