"""Every console block of README and docs runs, and prints what the document says it prints.

A block is fenced as ``console``; lines that begin with ``$`` are commands, the lines after one are its output. A line of dots
stands for any lines. Elapsed times differ from machine to machine and are compared as words.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.root import root

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
ELAPSED = re.compile(r"\b\d+(\.\d+)? ?m?s\b")


def commands(document: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for block in BLOCK.findall(document.read_text(encoding="utf-8")):
        command, output = "", []
        for line in block.splitlines():
            if line.startswith("$ "):
                if command:
                    found.append((command, "\n".join(output)))
                command, output = line[2:], []
            else:
                output.append(line)
        found.append((command, "\n".join(output)))
    return found


CASES = [(document.name, command, output) for document in DOCUMENTS for command, output in commands(document)]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('docs') / 'catalog.db'}"


@pytest.mark.parametrize(
    ("document", "command", "output"), CASES, ids=[f"{name}: {command}" for name, command, _ in CASES]
)
def test_a_documented_command_prints_what_the_document_says(
    document: str, command: str, output: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANNER_DATABASE_URL", database)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    assert words[0] == "planner", f"{document}: only planner commands are run, not {command!r}"
    result = CliRunner().invoke(root, words[1:], env=dict(os.environ), catch_exceptions=False)
    assert_matches(result.output, output)


def assert_matches(printed: str, documented: str) -> None:
    """Documented lines appear in order; a line of dots skips any number."""
    lines = [ELAPSED.sub("TIME", line.rstrip()) for line in printed.splitlines()]
    wanted = [ELAPSED.sub("TIME", line.rstrip()) for line in documented.splitlines()]
    position, skipping = 0, False
    for line in wanted:
        if line.strip() in ("...", "…"):
            skipping = True
            continue
        if skipping:
            assert line in lines[position:], f"{line!r} is not printed:\n{printed}"
            position = lines.index(line, position) + 1
        else:
            assert position < len(lines), f"nothing is printed where {line!r} should be"
            assert lines[position] == line
            position += 1
        skipping = False
    if not skipping:
        assert position == len(lines), f"more is printed: {lines[position:]}"


def test_there_is_something_documented() -> None:
    assert any(name == "README.md" for name, _, _ in CASES)
