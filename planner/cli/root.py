"""The root command: `planner`."""

from __future__ import annotations

from typing import Final

import click

from planner.cli.lazy import Lazy, LazyGroup
from planner.version import __version__

COMMANDS: Final = {
    "plan": Lazy("planner.cli.plan:plan", "How many GPUs a training job needs, laid out how, for how long."),
    "evaluate": Lazy("planner.cli.evaluate:evaluate", "What one exact configuration uses and reaches."),
    "explain": Lazy("planner.cli.explain:explain", "Every term of one configuration: value, formula, source."),
    "estimate": Lazy("planner.cli.estimate:estimate", "The rules of thumb, to check by hand."),
    "validate": Lazy("planner.cli.validate:validate", "How far off the predictions are from measured runs."),
    "calibrate": Lazy("planner.cli.calibrate:calibrate", "Fit the constants of your machines to your measured runs."),
    "catalog": Lazy("planner.cli.catalog:catalog", "Known models, accelerators, nodes, clusters, prices."),
    "db": Lazy("planner.cli.db:db", "The catalog's database: upgrade, downgrade, check, backup."),
    "plugins": Lazy("planner.cli.plugins:plugins", "Which plugins contribute what; check one."),
}
EXAMPLES: Final = (
    "planner plan --model llama3-7b --cluster a100-pool",
    "planner plan --model path/to/config.json --cluster h100-sxm5-80gb:64x8 --tokens 15T --deadline 30d",
    "planner catalog search llama",
)


@click.group(
    cls=LazyGroup, lazy=COMMANDS, examples=EXAMPLES, root=True,
    help="How many GPUs, which ones, laid out how, for how long, at what cost, and will it fit?",
)  # fmt: skip
@click.version_option(__version__, prog_name="planner", message="%(prog)s %(version)s")
def root() -> None:
    """Only holds the commands."""
