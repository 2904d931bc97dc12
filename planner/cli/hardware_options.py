"""The options that choose entries by their accelerator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from planner.cli.command import AnyFunction, option
from planner.cli.settings import remember
from planner.cli.value_types import size_in_bytes
from planner.errors import UnknownNameError
from planner.reports.formats import FORMATS

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog

CHOOSE: Final = "Which"


def number_formats(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words after ``--format`` that are no format of an answer; one that is says how this answer is printed."""
    for word in words:
        if word in FORMATS:
            remember(context, parameter, word)
    return tuple(word for word in words if word not in FORMATS)


def known_formats(catalog: Catalog, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words after ``--format`` as number formats. Raises UnknownNameError for one that no accelerator has a rate in."""
    known = catalog.number_formats() if words else ()
    for word in words:
        if word.casefold() not in known:
            raise UnknownNameError("format", word, (*FORMATS, *known))
    return words


def hardware_options(function: AnyFunction) -> AnyFunction:
    """``--vendor``, ``--min-mem``, ``--has``, and ``--format`` with number formats, as ``output_format``."""
    for add in reversed(_OPTIONS):
        function = add(function)
    return function


_OPTIONS: Final = (
    option("--vendor", metavar="NAME", section=CHOOSE, help="Of this maker's accelerators."),
    option(
        "--min-mem",
        "min_memory_bytes",
        type=size_in_bytes,
        metavar="SIZE",
        section=CHOOSE,
        help="Accelerators with at least this memory, as 80GB or 80GiB.",
    ),
    option(
        "--has",
        "formats",
        metavar="FORMAT",
        multiple=True,
        section=CHOOSE,
        help="Accelerators with a rate in this number format, as fp8; may be repeated.",
    ),
    click.option(
        "-f",
        "--format",
        "output_format",
        metavar="FORMAT",
        multiple=True,
        callback=number_formats,
        shell_complete=lambda *asked: [each for each in FORMATS if each.startswith(asked[-1])],
        help="text, json, yaml, csv or markdown; a number format, as fp8, says the same as --has.",
    ),
)
