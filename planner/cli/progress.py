"""A progress bar on a terminal, for what takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from planner.cli.settings import Settings

PATIENCE_S: Final = 1.0
STEPS: Final = 1000


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[float], None]]:
    """A function that takes the fraction done; it draws on standard error once a second has passed, on a terminal only."""
    started = time.monotonic()
    with click.progressbar(length=STEPS, label=label, file=sys.stderr, hidden=True) as bar:
        drawn = not Settings.current().quiet and sys.stderr.isatty()

        def show(fraction: float) -> None:
            if not drawn or time.monotonic() - started < PATIENCE_S:
                return
            bar.hidden = False
            bar.update(max(0, int(fraction * STEPS) - bar.pos))

        yield show
