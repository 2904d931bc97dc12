"""docs/cli.md says what the code does: every command, option, variable and exit status."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from cli.test_help import EVERY

from planner import errors
from planner.cli.lazy import LazyGroup

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "planner").rglob("*.py"))


def section(command: str) -> str:
    """The part of the document below the heading of a top-level command."""
    return DOCUMENT.split(f"## `planner {command}`")[1].split("\n## ")[0]


def table(heading: str) -> list[str]:
    """The first cells of the table below a heading."""
    return re.findall(r"^\| (?!---)(.+?) \|", DOCUMENT.split(f"## {heading}\n")[1].split("\n## ")[0], re.MULTILINE)[1:]


@pytest.mark.parametrize("path", [path for path, command in EVERY.items() if isinstance(command, LazyGroup)])
def test_every_group_has_a_section(path):
    assert section(path[0])


@pytest.mark.parametrize("path", [path for path in EVERY if len(path) == 2], ids=" ".join)
def test_every_command_of_a_group_has_a_row(path):
    assert f"`planner {' '.join(path)}" in section(path[0])


@pytest.mark.parametrize("path", ["plan", "estimate", "evaluate", "explain"])
def test_every_option_is_named_where_its_command_is(path):
    elsewhere = "" if path in ("plan", "estimate") else section("plan") + section("evaluate")
    documented = set(re.findall(r"`(--?[a-z-]+)`", section(path) + elsewhere + DOCUMENT.split("## Exit status")[0]))
    for parameter in EVERY[path,].params:
        if isinstance(parameter, click.Option):
            assert {*parameter.opts, *parameter.secondary_opts} <= documented


def test_no_option_is_named_that_no_command_has():
    known = {
        name
        for command in EVERY.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert set(re.findall(r"`(--?[a-z-]+)`", DOCUMENT)) <= known | {"-h", "--help", "--version", "-"}


def test_the_table_of_exit_statuses_is_that_of_the_code():
    in_code = [str(value) for name, value in vars(errors).items() if name.startswith("EXIT_")]
    assert table("Exit status") == in_code


def test_every_environment_variable_of_the_code_is_documented_and_no_other():
    in_code = set(re.findall(r"\"(PLANNER_[A-Z_]+|NO_COLOR|FORCE_COLOR|TERM)\"", SOURCES))
    assert {name.strip("`") for name in table("Environment")} == in_code
