"""Runs a command and turns whatever it raises into one line and an exit status."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Final, TextIO

import click

from planner.cli import messages
from planner.errors import (
    EXIT_ANSWERED,
    EXIT_BAD_INPUT,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    CatalogWarning,
    PlannerError,
    PluginWarning,
    nearest_names,
)

DEBUG_VARIABLE: Final = "PLANNER_DEBUG"
ISSUE_HINT: Final = f"this is a bug of planner: please report it ({DEBUG_VARIABLE}=1 shows the traceback)"


def invoke(arguments: Sequence[str]) -> int:
    """Run the root command; every failure is one line on standard error, warnings one line each.

    A broken pipe is left to the caller.
    """
    from planner.cli.root import root

    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", PluginWarning)
        warnings.simplefilter("always", CatalogWarning)
        try:
            status = root.main(list(arguments), prog_name="planner", standalone_mode=False)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except click.exceptions.NoArgsIsHelpError as missing:
            click.echo(missing.ctx.get_help() if missing.ctx else missing.format_message(), err=True)
            return EXIT_BAD_INPUT
        except click.ClickException as refused:
            messages.error(_usage_line(refused))
            return EXIT_BAD_INPUT
        except PlannerError as refused:
            messages.error(str(refused))
            _traceback_if_debugging()
            return refused.exit_status
        except OSError as problem:
            messages.error(f"reading or writing failed: {problem}")
            _traceback_if_debugging()
            return EXIT_BAD_INPUT
        except (KeyboardInterrupt, click.Abort):
            messages.error("interrupted")
            return EXIT_INTERRUPTED
        except Exception as fault:
            what = f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
            messages.error(f"{what} ({ISSUE_HINT})")
            _traceback_if_debugging()
            return EXIT_INTERNAL
    return status if isinstance(status, int) else EXIT_ANSWERED


def _usage_line(refused: click.ClickException) -> str:
    context = refused.ctx if isinstance(refused, click.UsageError) else None
    line = _message(refused, context).rstrip(".")
    return line if context is None else f"{line} (see '{context.command_path} --help')"


def _message(refused: click.ClickException, context: click.Context | None) -> str:
    if not isinstance(refused, click.NoSuchOption) or context is None:
        return refused.format_message()
    known = [name for parameter in context.command.get_params(context) for name in parameter.opts]
    nearest = nearest_names(refused.option_name, known)
    hint = f": did you mean {', '.join(nearest)}?" if nearest else ""
    return f"no such option {refused.option_name!r}{hint}"


def _traceback_if_debugging() -> None:
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        import traceback

        traceback.print_exc()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    messages.warning(str(message))
