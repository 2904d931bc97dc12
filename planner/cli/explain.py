"""`planner explain`."""

from __future__ import annotations

from typing import Any

import click

from planner.cli.command import Command
from planner.cli.configuration import configuration_options
from planner.cli.evaluate import evaluated_and_drawn, plot_option
from planner.cli.output import deliver


@click.command(
    cls=Command,
    examples=(
        "planner explain --model llama3-7b --cluster a100-pool --tp 2 --dp 4 --zero 1",
        "planner explain --model llama3-7b --cluster a100-pool --dp 8 --zero 3 --format csv -o terms.csv",
    ),
)
@configuration_options
@plot_option
def explain(plot: str | None, **given: Any) -> int:  # noqa: ANN401 - the options, by name
    """Where the numbers of one configuration come from.

    Every term of its memory and of its step time: value, formula, the plugin that brought it, and the formula's source.
    """
    from planner.reports.explain import report

    answer = evaluated_and_drawn(given, plot)
    return deliver(report(answer), answered=answer.answered)
