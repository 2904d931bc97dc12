"""What became of an import, and of a removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from planner.catalog.kinds import singular
from planner.reports.blocks import Block, Facts, Flat, Heading, Paragraph, Report
from planner.reports.listing import table_of
from planner.units import format_count

_COLUMNS: Final = ("kind", "slug", "outcome")
_OUTCOMES: Final = ("added", "replaced", "unchanged")
_PARAMETERS: Final = ("total_params", "active_params", "embedding_params")
_MOST_SHOWN: Final = 20


def imported_report(answer: Mapping[str, Any]) -> Report:
    """How many entries were added, replaced or left as they were, and which."""
    items = answer["items"]
    counted = ", ".join(f"{answer[name]:,} {name}" for name in _OUTCOMES if answer[name]) or "nothing to import"
    blocks: list[Block] = [Paragraph(f"{answer['file']}: {counted}")]
    if items:
        blocks.append(table_of(items[:_MOST_SHOWN], _COLUMNS))
    total = sum(answer[name] for name in _OUTCOMES)
    if total > _MOST_SHOWN:
        blocks.append(Paragraph(f"and {total - _MOST_SHOWN:,} more"))
    if "total_params" in answer:
        blocks.append(Heading("Parameters"))
        blocks.append(Facts(tuple((name.replace("_", " "), _counted(answer[name])) for name in _PARAMETERS)))
    columns = (*_COLUMNS, *(name for name in _PARAMETERS if name in answer))
    rows = tuple({**item, **{name: answer[name] for name in columns[len(_COLUMNS) :]}} for item in items)
    return Report(document=answer, blocks=tuple(blocks), flat=Flat(columns=columns, rows=rows))


def removed_report(answer: Mapping[str, Any]) -> Report:
    """What was removed."""
    prices = answer["prices"]
    along = f", with its own price{'s' if len(prices) > 1 else ''} {', '.join(prices)}" if prices else ""
    gone = [answer, *({"kind": "prices", "slug": each} for each in prices)]
    return Report(
        document=answer,
        blocks=(Paragraph(f"{singular(answer['kind'])} {answer['slug']} is removed{along}"),),
        flat=Flat(columns=("kind", "slug"), rows=tuple(gone)),
    )


def _counted(parameters: int) -> str:
    return f"{parameters:,} ({format_count(parameters)})"
