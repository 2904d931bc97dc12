"""A group that imports a sub-command when it is called, not before."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from planner.cli.command import HELP_OPTIONS, write_examples
from planner.cli.settings import setting_options
from planner.errors import nearest_names


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a sub-command is defined (``module:attribute``), and what the group's help says of it."""

    target: str
    summary: str

    def load(self) -> click.Command:
        """Import and return the command."""
        module, _, attribute = self.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.target} is not a command")
        return command


class LazyGroup(click.Group):
    """A group of commands that are named by their module only."""

    def __init__(
        self, *arguments: Any, lazy: Mapping[str, Lazy], examples: tuple[str, ...] = (), root: bool = False,  # noqa: ANN401
        **attributes: Any,  # noqa: ANN401
    ) -> None:  # fmt: skip
        """Everything but `lazy`, `examples` and `root` is click's."""
        attributes.setdefault("context_settings", HELP_OPTIONS)
        super().__init__(*arguments, **attributes)
        self.lazy = lazy
        self.examples = examples
        self.params.extend(setting_options(read_environment=root))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the declaration: the most asked first."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        lazy = self.lazy.get(cmd_name)
        return None if lazy is None else lazy.load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command called; an unknown one is refused with the names nearest to it."""
        name = args[0]
        if name not in self.lazy and not ctx.resilient_parsing and not name.startswith("-"):
            nearest = nearest_names(name, self.lazy)
            hint = f"did you mean {', '.join(nearest)}?" if nearest else f"there are {', '.join(self.lazy)}"
            raise click.UsageError(f"no such command {name!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the commands are for, then how they are called."""
        super().format_help_text(ctx, formatter)
        write_examples(self.examples, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands first: they are what a reader of a group's help looks for."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy.items()])
        records = [parameter.get_help_record(ctx) for parameter in self.get_params(ctx)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record is not None])
