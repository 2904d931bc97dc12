"""Markdown for pull requests and wikis: the same content as text, with tables instead of columns."""

from __future__ import annotations

import re
from typing import Final

from planner.reports.blocks import Bar, Block, Bullets, Cell, Facts, Heading, Paragraph, Report, Table, Tone
from planner.reports.printable import printable

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#])")


def render(report: Report) -> str:
    """The report's blocks as CommonMark with GitHub's tables."""
    return "\n\n".join("\n".join(_lines(block)) for block in report.blocks) + "\n"


def _lines(block: Block) -> list[str]:
    match block:
        case Heading(text):
            return [f"## {_escaped(text)}"]
        case Paragraph(text, tone):
            return [_escaped(text) if tone is Tone.PLAIN else f"**{_escaped(text)}**"]
        case Facts(rows):
            return [f"- **{_escaped(label)}**: {_escaped(value)}" for label, value in rows]
        case Bullets(items):
            return [f"- {_escaped(item)}" for item in items]
        case Table():
            return _table_lines(block)


def _table_lines(table: Table) -> list[str]:
    drawn = {position for row in table.rows for position, cell in enumerate(row) if isinstance(cell, Bar)}
    kept = [position for position in range(len(table.columns)) if position not in drawn]
    columns = [table.columns[position] for position in kept]
    marks = ["---:" if column.align == "right" else ":---" for column in columns]
    lines = [_row([_escaped(column.title) for column in columns]), _row(marks)]
    for number, row in enumerate(table.rows):
        cells = [_cell(row[position]) for position in kept]
        lines.append(_row([f"**{cell}**" if cell and number in table.strong else cell for cell in cells]))
    return lines


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    return "" if isinstance(cell, Bar) else _escaped(cell)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", printable(text))
