"""Rewrites the documented outputs: python tests/docs/refresh.py. An output that ends in a line of dots keeps its
length, one that begins with one begins at the line that follows it; one may do both. Slow outputs are copies, rewritten
with --all."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
PRINTED = re.compile(r"(<!-- printed by: (planner [^\n]*?) -->\n\n?```text\n)(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def printed(command: str) -> list[str]:
    """What a planner command prints, 100 columns wide."""
    from planner.cli.root import root

    return CliRunner().invoke(root, shlex.split(command)[1:]).output.rstrip("\n").split("\n")


def refreshed(block: str) -> str:
    """The block with the outputs of today."""
    lines: list[str] = []
    for part in re.split(r"^(?=\$ )", block, flags=re.MULTILINE):
        if not part:
            continue
        command, *output = part.rstrip("\n").split("\n")
        today = printed(command[2:])
        if len(output) > 1 and output[0].strip() == "...":
            today = ["...", *today[today.index(output[1].rstrip()) :]]
            if output[-1].strip() == "...":
                today = [*today[: len(output) - 1], "..."]
        elif output and output[-1].strip() == "...":
            today = [*today[: len(output) - 1], "..."]
        lines += [command, *(line.rstrip() for line in today)]
    return "\n".join(lines) + "\n"


def copied(command: str, before: str) -> str:
    """Today's copy of a slow command's output, from the line that the old copy begins with."""
    today = printed(command)
    first = before.split("\n", 1)[0].split(" ")[0]
    start = next((index for index, line in enumerate(today) if line.startswith(first)), 0)
    return "\n".join(line.rstrip() for line in today[start:]) + "\n"


def main() -> None:
    """Rewrite every document; with ``--all`` also the dated copies of slow outputs (fenced as text after a comment)."""
    os.chdir(ROOT)
    os.environ["COLUMNS"] = "100"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PLANNER_DATABASE_URL"] = f"sqlite:///{folder}/catalog.db"
        for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
            text = document.read_text(encoding="utf-8")
            if "--all" in sys.argv:
                text = PRINTED.sub(lambda match: f"{match.group(1)}{copied(match.group(2), match.group(3))}```", text)
            document.write_text(
                BLOCK.sub(lambda match: f"```console\n{refreshed(match.group(1))}```", text), encoding="utf-8"
            )


if __name__ == "__main__":
    main()
