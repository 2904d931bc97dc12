"""The options that every command takes, before or after its name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import click

from planner.reports.formats import FORMATS

DATABASE_VARIABLE: Final = "PLANNER_DATABASE_URL"
COLORS: Final = ("auto", "always", "never")
_PREFIX: Final = "planner."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an answer is printed and where its facts are read from."""

    output_format: str = "text"
    output: str = "-"
    database: str | None = None
    quiet: bool = False
    color: str = "auto"
    strict_plugins: bool = False

    @classmethod
    def current(cls) -> Settings:
        """Those of the command that runs; the defaults outside one."""
        context = click.get_current_context(silent=True)
        if context is None:
            return cls()
        given = {field.name: context.meta.get(_PREFIX + field.name) for field in fields(cls)}
        return cls(**{name: value for name, value in given.items() if value is not None})


def setting_options(*, read_environment: bool = False) -> list[click.Option]:
    """New options for one command.

    Only the root reads the environment: a command that did so would put it above a ``--database`` before its name.
    """
    return [
        _option(
            "-f",
            "--format",
            "output_format",
            type=click.Choice(FORMATS),
            metavar="FORMAT",
            help="text, json, yaml, csv or markdown.",
        ),
        _option(
            "-o", "--output", "output", type=click.Path(allow_dash=True), metavar="FILE", help="Write the answer there."
        ),
        _option(
            "--database",
            envvar=DATABASE_VARIABLE if read_environment else None,
            metavar="URL",
            help="The catalog; default: a file in the user's data directory.",
        ),
        _option("-q", "--quiet", is_flag=True, help="No notes and no warnings."),
        _option("--color", type=click.Choice(COLORS), metavar="WHEN", help="auto (on a terminal), always or never."),
        _option("--strict-plugins", is_flag=True, help="A plugin with a problem stops the planner."),
    ]


def _option(*names: str, **attributes: Any) -> click.Option:  # noqa: ANN401 - what click.Option takes
    return click.Option(names, expose_value=False, callback=remember, **attributes)


def remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep what an option of every command was given, for `Settings.current`."""
    # What stands after the command's name is handled last, and so wins; what is absent changes nothing.
    if value is not None and value is not False:
        context.meta[f"{_PREFIX}{parameter.name}"] = value
