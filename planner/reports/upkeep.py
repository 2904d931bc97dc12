"""What the upkeep of a catalog says: checks, copies, what was pruned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from planner.reports.blocks import Block, Bullets, Facts, Flat, Heading, Paragraph, Report, Tone
from planner.reports.listing import entry, listing

_COLUMNS: Final = ("check", "severity", "table", "rows", "message", "examples")


def check_report(document: Mapping[str, Any]) -> Report:
    """A ``planner.db.check/1`` document; CSV has one row per finding."""
    items: Sequence[Mapping[str, Any]] = document["items"]
    rows = tuple({**item, "examples": "; ".join(item["examples"])} for item in items)
    return Report(document=document, blocks=tuple(_blocks(document)), flat=Flat(columns=_COLUMNS, rows=rows))


def copy_report(command: str, fields: Mapping[str, Any]) -> Report:
    """What a backup or a restored catalog holds."""
    title = "Backup" if command == "backup" else "Restored"
    schema = f"planner.db.{command}/1"
    report = entry(schema, title, {**fields, "revisions": ", ".join(fields["revisions"])})
    return replace(report, document={"schema": schema, **fields})


def prune_report(removed: Sequence[Mapping[str, Any]], *, dry_run: bool) -> Report:
    """How many rows of which branch were, or would be, removed from which table; a dry run says so."""
    report = listing(
        "planner.db.prune/1", removed, ("branch", "table", "rows"), empty="nothing of a plugin that is not installed"
    )  # fmt: skip
    headed = (Heading("Would be removed" if dry_run else "Removed"), *report.blocks) if removed else report.blocks
    return Report(document={**report.document, "dry_run": dry_run}, blocks=headed, flat=report.flat)


def _blocks(document: Mapping[str, Any]) -> Iterator[Block]:
    yield Facts(
        (
            ("catalog", document["database"]),
            ("revision", ", ".join(document["revisions"])),
            ("facts", f"{document['facts']:,}"),
            ("rows of your own", f"{document['user_rows']:,}"),
        )
    )
    items: Sequence[Mapping[str, Any]] = document["items"]
    for severity, title, tone in (("error", "Errors", Tone.BAD), ("warning", "Warnings", Tone.WARNING)):
        chosen = [item for item in items if item["severity"] == severity]
        if chosen:
            yield Heading(title)
            yield Bullets(tuple(map(_sentence, chosen)))
            yield Paragraph(f"{len(chosen)} {title.lower() if len(chosen) > 1 else severity}", tone)
    if not items:
        yield Paragraph(f"all is well: {', '.join(document['checks'])}", Tone.GOOD)


def _sentence(item: Mapping[str, Any]) -> str:
    where = f" in {item['table']}" if item["table"] else ""
    count = f" ({item['rows']:,}{where})" if item["rows"] else where
    examples = list(item["examples"])
    if examples and item["rows"] > len(examples):
        examples.append("…")
    named = f": {'; '.join(examples)}" if examples else ""
    return f"{item['check']}: {item['message']}{count}{named}"
