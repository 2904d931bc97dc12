"""The console entry point: answers `planner --version` at once, and leaves all else to the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def run() -> int:
    """Run the command line of this process and return its exit status."""
    return main(sys.argv[1:])


def main(arguments: Sequence[str]) -> int:
    """Run `arguments` (without the program's name) and return the exit status.

    Whoever reads the output may leave when it has read enough, as ``head`` does: that is silent, and status 0.
    """
    output = sys.stdout
    try:
        status = _run(arguments)
        if output is not None:
            output.flush()
    except (BrokenPipeError, SystemExit) as failure:
        # click makes an exit of status 1 of a broken pipe, and tells it from others only by wrapping the output.
        if isinstance(failure, SystemExit) and sys.stdout is output:
            raise
        # What is still buffered must not fail when the interpreter flushes it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        return 0
    return status


def _run(arguments: Sequence[str]) -> int:
    # The version needs nothing but itself: not even click is imported for it.
    if list(arguments) == ["--version"]:
        from planner.version import __version__

        print(f"planner {__version__}")
        return 0
    from planner.cli.invoke import invoke

    return invoke(arguments)
