"""The console entry point: answers `planner --version` at once, and leaves all else to the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def run() -> int:
    """Run the command line of this process and return its exit status."""
    return main(sys.argv[1:])


def main(arguments: Sequence[str]) -> int:
    """Run `arguments` (without the program's name) and return the exit status.

    The version needs nothing but itself: not even click is imported for it.
    """
    if list(arguments) == ["--version"]:
        from planner.version import __version__

        print(f"planner {__version__}")
        return 0
    from planner.cli.invoke import invoke

    return invoke(arguments)
