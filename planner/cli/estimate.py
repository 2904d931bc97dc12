"""`planner estimate`."""

from __future__ import annotations

import click

from planner.cli.command import Command, option
from planner.cli.output import deliver
from planner.cli.recipe_options import POSITIVE
from planner.cli.settings import Settings
from planner.cli.value_types import quantity


@click.command(
    cls=Command,
    examples=(
        "planner estimate --params 7e9 --gpu rtx-4090",
        "planner estimate --model llama3-7b --gpu a100-sxm4-80gb --seq-len 8192",
    ),
)
@option("--params", type=quantity, metavar="N", help="The number of parameters, as 7e9 or 8B.")
@option("--model", metavar="MODEL", help="A model of the catalog, or the path of a config.json.")
@option("--gpu", metavar="GPU", help="An accelerator of the catalog, as rtx-4090.")
@option("--seq-len", type=POSITIVE, metavar="TOKENS", help="Tokens of one sequence.")
@option("--tokens", type=quantity, metavar="N", help="Tokens of the whole run, as 15T.")
@option("--micro-batch", type=POSITIVE, default=1, show_default=True, metavar="N", help="Sequences of one micro-batch.")
@click.pass_context
def estimate(
    context: click.Context, /, params: float | None, model: str | None, gpu: str | None, seq_len: int | None,
    tokens: float | None, micro_batch: int,
) -> int:  # fmt: skip
    """The rules of thumb: closed forms that a person can check by hand."""
    if (params is None) == (model is None):
        raise click.UsageError("give one of --params and --model", context)
    from planner import api
    from planner.reports.rules import report

    document = api.estimate(
        model=model, params=params, gpu=gpu, seq_len=seq_len, micro_batch=micro_batch,
        tokens=tokens, database=Settings.current().database,
    )  # fmt: skip
    return deliver(report(document))
