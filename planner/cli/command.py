"""Commands with examples first, options in sections, and the settings that all of them take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from planner.cli.settings import setting_options

HELP_OPTIONS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EVERYWHERE: Final = "Options of every command"

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class SectionOption(click.Option):
    """An option that is listed under a heading of its command's help."""

    def __init__(self, *arguments: Any, section: str = "Options", **attributes: Any) -> None:  # noqa: ANN401
        """Everything but `section` is click's."""
        super().__init__(*arguments, **attributes)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:  # noqa: ANN401 - a private type of click's
        """What stands in brackets behind the help; not the range, which the error names when it matters."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class Command(click.Command):
    """A command whose help shows `examples` before the options."""

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **attributes: Any) -> None:  # noqa: ANN401
        """Everything but `examples` is click's."""
        attributes.setdefault("context_settings", HELP_OPTIONS)
        super().__init__(*arguments, **attributes)
        self.examples = examples
        own = {parameter.name for parameter in self.params}
        self.params.extend(each for each in setting_options() if each.name not in own)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What it does, then how it is called."""
        super().format_help_text(ctx, formatter)
        write_examples(self.examples, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by section, those of every command last."""
        sections: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                section = parameter.section if isinstance(parameter, SectionOption) else _EVERYWHERE
                sections[section].append(record)
        sections[_EVERYWHERE] = sections.pop(_EVERYWHERE)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def write_examples(examples: tuple[str, ...], formatter: click.HelpFormatter) -> None:
    """The examples under their own heading, as they are typed."""
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def option(*names: str, section: str = "Options", **attributes: Any) -> Callable[[AnyFunction], AnyFunction]:  # noqa: ANN401
    """`click.option` with a section of the help."""
    return click.option(*names, cls=SectionOption, section=section, **attributes)
