"""`planner plugins`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from planner.cli import messages
from planner.cli.command import Command
from planner.cli.lazy import Lazy, LazyGroup
from planner.cli.output import deliver
from planner.cli.registered import registry
from planner.errors import EXIT_BAD_INPUT, UnknownNameError

if TYPE_CHECKING:
    from planner.registry import PluginInfo, Registry


@click.group(
    cls=LazyGroup,
    lazy={
        "list": Lazy("planner.cli.plugins:list_plugins", "All plugins and what each contributes."),
        "show": Lazy("planner.cli.plugins:show_plugin", "One plugin: its records with their sources."),
        "check": Lazy("planner.cli.plugins:check_plugin", "Run the conformance kit on one plugin."),
    },
    examples=("planner plugins list", "planner plugins show optimizer_adam", "planner plugins check my_plugin"),
)
def plugins() -> None:
    """Which plugins contribute what; check one."""


@click.command("list", cls=Command, examples=("planner plugins list", "planner plugins list --format json"))
def list_plugins() -> int:
    """All plugins that loaded, and what each contributes; those that did not are warned about."""
    from planner.reports.listing import listing

    loaded = registry()
    for problem in loaded.problems:
        messages.warning(str(problem))
    shown = ("name", "distribution", "version", "contributes")
    items = [{**_described(info), "contributes": _contributed(info)} for info in loaded.plugins]
    items += [
        {"name": problem.name, "distribution": problem.distribution, "problem": str(problem)}
        for problem in loaded.problems
    ]
    return deliver(listing("planner.plugins.list/1", items, shown, empty="no plugins"))


@click.command("show", cls=Command, examples=("planner plugins show optimizer_adam",))
@click.argument("name")
def show_plugin(name: str) -> int:
    """One plugin: where it comes from, its hooks, and its records with their sources."""
    from planner.reports.listing import entry

    loaded = registry()
    info = _found(loaded, name)
    sources = {
        f"{kind} {record}": getattr(loaded.records(kind)[record], "source", "")
        for kind, records in info.contributions.items()
        for record in records
    }
    fields = {**_described(info), "contributions": {kind: list(names) for kind, names in info.contributions.items()}}
    return deliver(entry("planner.plugins.show/1", f"Plugin {info.name}", {**fields, "sources": sources}))


@click.command("check", cls=Command, examples=("planner plugins check optimizer_adam",))
@click.argument("name")
def check_plugin(name: str) -> int:
    """Run the conformance kit on one plugin; exit status 2 if it breaks a rule."""
    from planner.reports.listing import listing
    from planner.testing import check_plugin as findings_of

    loaded = registry()
    found = findings_of(_found(loaded, name).name, loaded)
    items = [{"record": finding.record, "rule": finding.rule, "message": finding.message} for finding in found]
    shown = ("record", "rule", "message")
    status = deliver(listing("planner.plugins.check/1", items, shown, empty=f"{name} keeps every rule"))
    return EXIT_BAD_INPUT if found else status


def _found(loaded: Registry, name: str) -> PluginInfo:
    for problem in loaded.problems:
        if problem.name == name:
            messages.warning(str(problem))
    for info in loaded.plugins:
        if info.name == name:
            return info
    raise UnknownNameError(
        "plugin", name, [info.name for info in loaded.plugins], listing="planner plugins list shows them"
    )


def _described(info: PluginInfo) -> Mapping[str, Any]:
    return {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "first_party": info.first_party,
        "module": info.module,
        "hooks": list(info.hooks),
    }


def _contributed(info: PluginInfo) -> str:
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in info.contributions.items())
