"""Text for people: aligned, at most `width` columns, coloured if asked."""

from __future__ import annotations

import textwrap
from typing import Final

from planner.reports.blocks import Block, Bullets, Facts, Heading, Paragraph, Report, Table, Tone
from planner.reports.ink import Ink
from planner.reports.printable import printable
from planner.reports.text_table import table_lines

INDENT: Final = "  "


def render(report: Report, *, ink: Ink, width: int = 100) -> str:
    """The report's blocks, a blank line before every heading."""
    lines: list[str] = []
    for position, block in enumerate(report.blocks):
        if position and (isinstance(block, Heading) or isinstance(report.blocks[position - 1], Paragraph)):
            lines.append("")
        lines.extend(_lines(block, ink, width))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _lines(block: Block, ink: Ink, width: int) -> list[str]:
    match block:
        case Heading(text):
            return [ink.paint(printable(text), Tone.STRONG)]
        case Paragraph(text, tone):
            return [ink.paint(line, tone) for line in textwrap.wrap(printable(text), width, break_on_hyphens=False)]
        case Facts(rows):
            return _fact_lines(rows, ink, width)
        case Bullets(items):
            return [line for item in items for line in _hung(f"{INDENT}- ", printable(item), width)]
        case Table():
            return table_lines(block, ink, width)


def _fact_lines(rows: tuple[tuple[str, str], ...], ink: Ink, width: int) -> list[str]:
    label_width = max((len(label) for label, _ in rows), default=0)
    lines: list[str] = []
    for label, value in rows:
        first, *rest = _hung(f"{INDENT}{printable(label):<{label_width}}  ", printable(value), width)
        cut = len(INDENT) + label_width
        lines.append(ink.paint(first[:cut], Tone.FAINT) + first[cut:])
        lines.extend(rest)
    return lines


def _hung(lead: str, text: str, width: int) -> list[str]:
    wrapped = textwrap.wrap(
        text, max(width, len(lead) + 20), initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
    )
    return wrapped or [lead]
