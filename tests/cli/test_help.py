"""Help: complete, with examples first, and quick."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from planner import __version__
from planner.cli.lazy import LazyGroup
from planner.cli.root import root

HEAVY = ("numpy", "sqlalchemy", "alembic", "pluggy", "yaml")


def commands(group: LazyGroup = root, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    for name, lazy in group.lazy.items():
        command = lazy.load()
        yield (*path, name), command
        if isinstance(command, LazyGroup):
            yield from commands(command, (*path, name))


EVERY = dict(commands())


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_with_examples_before_its_options(planner, path, flag):
    outcome = planner(*path, flag)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"planner {' '.join(path)}" in outcome.out
    assert outcome.out.index("Examples:") < outcome.out.index("-f, --format")


@pytest.mark.parametrize(("path", "command"), EVERY.items(), ids=map(" ".join, EVERY))
def test_every_option_says_what_it_is(path, command):
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path}: {parameter.opts}"


@pytest.mark.parametrize(("path", "command"), EVERY.items(), ids=map(" ".join, EVERY))
def test_every_example_parses(path, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    for example in command.examples:
        words = example.split()
        assert words[0] == "planner"
        name, found, rest = root, root, words[1:]
        while isinstance(found, LazyGroup):
            name, found, rest = rest[0], found.get_command(click.Context(found), rest[0]), rest[1:]
        assert found is not None, name
        found.make_context(str(name), list(rest))


def test_the_version_is_the_package_s(planner):
    assert planner("--version").out == f"planner {__version__}\n"
    assert planner("--quiet", "--version").out == f"planner {__version__}\n"


def test_help_and_version_import_nothing_heavy_and_the_version_not_even_click():
    # One process for both: the version first, then what the help adds to it.
    code = f"""
import sys
from planner.cli.main import main
main(["--version"])
assert "click" not in sys.modules
main(["--help"])
main(["plan", "--help"])
main(["evaluate", "--help"])
loaded = sorted(set({HEAVY!r}) & set(sys.modules))
sys.exit(f"imported for help: {{loaded}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_root_s_help_imports_no_command():
    code = """
import sys
from planner.cli.main import main
main(["--help"])
sys.exit(1 if "planner.cli.plan" in sys.modules else 0)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
