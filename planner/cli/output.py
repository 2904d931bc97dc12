"""Puts an answer where it was asked for: standard output or a file, in the format asked for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import click

from planner.cli.settings import Settings
from planner.errors import EXIT_ANSWERED, EXIT_DOES_NOT_FIT, InputError
from planner.reports.blocks import Report
from planner.reports.formats import render
from planner.reports.ink import Ink

WIDEST: Final = 100
NARROWEST: Final = 60
_ASCII: Final = str.maketrans({"█": "#", "·": ".", "—": "-", "×": "x", "…": "~", **dict.fromkeys("▏▎▍▌▋▊▉", "#")})


def deliver(report: Report, *, answered: bool = True) -> int:
    """Print or write `report` and return the exit status: the same document whether or not it fits."""
    settings = Settings.current()
    to_terminal = settings.output == "-" and sys.stdout.isatty()
    ink = Ink(enabled=uses_color(settings.color, to_terminal, os.environ))
    text = render(report, settings.output_format, ink=ink, width=_width(to_terminal))
    if settings.output == "-":
        click.echo(_encodable(text), nl=False, color=True)
    else:
        _write(Path(settings.output), text)
    return EXIT_ANSWERED if answered else EXIT_DOES_NOT_FIT


def deliver_pieces(pieces: Iterable[str]) -> int:
    """Print or write a text that comes in pieces. What is written to a file replaces it when it is whole."""
    settings = Settings.current()
    if settings.output == "-":
        for piece in pieces:
            click.echo(_encodable(piece), nl=False, color=True)
        return EXIT_ANSWERED
    path = Path(settings.output)
    # A device or a pipe is written as it is.
    unfinished = path.with_name(f".{path.name}.unfinished") if path.is_file() or not path.exists() else path
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
        if unfinished != path:
            unfinished.replace(path)
    except OSError as problem:
        raise _unwritable(path, problem) from problem
    finally:
        if unfinished != path:
            unfinished.unlink(missing_ok=True)
    return EXIT_ANSWERED


def uses_color(wish: str, to_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Whether to colour: ``--color`` first, then NO_COLOR, FORCE_COLOR, TERM=dumb, then whether a terminal reads.

    A variable counts when it is not empty (https://no-color.org).
    """
    if wish != "auto":
        return wish == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return to_terminal and environment.get("TERM") != "dumb"


def _width(to_terminal: bool) -> int:
    if not to_terminal:
        return WIDEST
    return min(WIDEST, max(NARROWEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def _encodable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as problem:
        raise _unwritable(path, problem) from problem


def _unwritable(path: Path, problem: OSError) -> InputError:
    reason = problem.strerror or str(problem)
    return InputError(f"cannot write {str(path)!r}: {reason}", hint="name another file with -o")
