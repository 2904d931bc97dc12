"""What is said beside the answer: one line each, on standard error."""

from __future__ import annotations

from contextlib import suppress

import click

from planner.cli.settings import Settings
from planner.reports.printable import printable


def error(text: str) -> None:
    """Why there is no answer."""
    _say("error", text)


def warning(text: str) -> None:
    """What the user should know though there is an answer; silenced by ``--quiet``."""
    if not Settings.current().quiet:
        _say("warning", text)


def note(text: str) -> None:
    """What happened on the way; silenced by ``--quiet``."""
    if not Settings.current().quiet:
        _say("note", text)


def _say(kind: str, text: str) -> None:
    # Where nobody reads what is said any more, the exit status still says it.
    with suppress(BrokenPipeError):
        click.echo(f"planner: {kind}: {printable(text.strip())}", err=True)
