"""Where the answer goes, and in which colours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from planner.cli.output import uses_color

PLAN = ("plan", "--model", "llama3-7b", "--cluster", "a100-pool")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("before", [True, False])
def test_the_answer_goes_to_the_file_and_nothing_to_stdout(planner, tmp_path, before):
    target = tmp_path / "answer.json"
    to_file = ("-o", str(target), "--format", "json")
    outcome = planner(*to_file, *PLAN) if before else planner(*PLAN, *to_file)
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert target.read_text(encoding="utf-8") == planner(*PLAN, "--format", "json").out


@pytest.mark.usefixtures("asked")
def test_a_dash_is_standard_output(planner):
    assert planner(*PLAN, "-o", "-").out == planner(*PLAN).out


@pytest.mark.usefixtures("asked")
def test_a_file_that_cannot_be_written_is_bad_input(planner, tmp_path):
    outcome = planner(*PLAN, "-o", str(tmp_path / "missing" / "answer.txt"))
    assert outcome.status == 2
    assert "cannot write" in outcome.err
    assert outcome.err.count("\n") == 1


EARLY = """
import sys
from planner.cli.main import main
sys.stdin.readline()  # until nobody reads what follows
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("catalog", "list", "models", "--format", "json"),
        ("catalog", "list", "vendors"),
        ("plan", "--help"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_a_reader_that_leaves_early_is_no_failure(tmp_path, arguments):
    """Over a real pipe whose reading end is closed before anything is written."""
    process = subprocess.Popen(
        [sys.executable, "-c", EARLY, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PLANNER_DATABASE_URL": str(tmp_path / "catalog.db")},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), said) == (0, b"")


def test_an_error_that_nobody_reads_keeps_its_status():
    process = subprocess.Popen(
        [sys.executable, "-c", EARLY, "plam"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(timeout=60) == 2


@pytest.mark.parametrize(
    ("wish", "terminal", "environment", "expected"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_follows_the_option_then_the_environment_then_the_terminal(wish, terminal, environment, expected):
    assert uses_color(wish, terminal, environment) is expected


@pytest.mark.usefixtures("asked")
def test_colour_is_in_the_text_when_asked_for_and_never_in_data(planner):
    assert "\x1b[" in planner(*PLAN, "--color", "always").out
    for name in ("json", "yaml", "csv", "markdown"):
        assert "\x1b" not in planner(*PLAN, "--color", "always", "--format", name).out


@pytest.mark.usefixtures("asked")
def test_colour_changes_nothing_but_colour(planner):
    import re

    coloured = planner(*PLAN, "--color", "always").out
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == planner(*PLAN).out


@pytest.mark.usefixtures("asked")
def test_no_color_is_heard(planner, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in planner(*PLAN).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in planner(*PLAN).out


def test_a_reader_that_leaves_early_is_no_error():
    code = "import sys; from planner.cli.main import run; sys.exit(run())"
    script = f'set -o pipefail; "{sys.executable}" -c "{code}" plugins list --format json | head -c 1'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_a_terminal_without_unicode_still_gets_a_readable_answer():
    code = "import sys; from planner.cli.main import run; sys.exit(run())"
    done = subprocess.run(
        [sys.executable, "-c", code, "plugins", "show", "strategy_data"],
        capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")
