"""What the run costs, draws and suffers: the options that `plan`, `evaluate` and `explain` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from planner.cli.command import AnyFunction, option
from planner.cli.value_types import bytes_per_s, seconds, us_dollars

if TYPE_CHECKING:
    from planner.domain.running import Operation

MONEY: Final = "Money and energy"
FAILURES: Final = "Failures and checkpoints"
MODES: Final = ("blocking", "async")

_OPTIONS: Final = (
    option("--price", type=us_dollars, metavar="USD", section=MONEY,
           help="Of one GPU for an hour; default: the cluster's, its node's, or the usual one."),
    option("--price-kind", metavar="KIND", section=MONEY,
           help="Which prices of the catalog count, as on-demand, spot, reserved."),
    option("--utilisation", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, metavar="FRACTION",
           section=MONEY, help="Of the paid hours, those in which the run trains."),
    option("--region", metavar="REGION", section=MONEY,
           help="Whose electricity, for carbon: a country (France, FRA) or a cloud region (us-west1)."),
    option("--pue", type=click.FloatRange(1, 5), metavar="RATIO", section=MONEY,
           help="Energy of the building over that of its computers; default: as operators report."),
    option("--failures-per-gpu-day", type=click.FloatRange(min=0), metavar="RATE", section=FAILURES,
           help="Interruptions of a job per GPU and day; default: as studies of such GPUs saw."),
    option("--restart-s", type=seconds, metavar="TIME", section=FAILURES,
           help="From an interruption to the next start, as 600 or 10m, without reading the checkpoint."),
    option("--checkpoint", type=click.Choice(MODES), metavar="MODE", section=FAILURES,
           help="blocking (the job waits; default) or async (it goes on)."),
    option("--checkpoint-interval", type=seconds, metavar="TIME", section=FAILURES,
           help="Work between checkpoints, as 30m; default: the interval that loses least."),
    option("--checkpoint-gb-per-s", "checkpoint_bytes_per_s", type=bytes_per_s, metavar="RATE", section=FAILURES,
           help="GB per second that the storage takes in all; default: as published, by the number of GPUs."),
)  # fmt: skip


def operation_options(function: AnyFunction) -> AnyFunction:
    """Add the options of operating a run to a command."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function


def operation_of(given: dict[str, Any]) -> Operation:
    """The operation that the options describe; takes its options out of `given`."""
    from planner.domain.running import Operation

    return Operation(
        price_usd=given.pop("price"),
        price_kind=given.pop("price_kind"),
        utilisation=given.pop("utilisation"),
        region=given.pop("region"),
        pue=given.pop("pue"),
        failures_per_gpu_day=given.pop("failures_per_gpu_day"),
        restart_s=given.pop("restart_s"),
        checkpoint=given.pop("checkpoint"),
        checkpoint_interval_s=given.pop("checkpoint_interval"),
        checkpoint_bytes_per_s=given.pop("checkpoint_bytes_per_s"),
    )
