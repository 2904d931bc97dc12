"""An aligned table in text, wrapped where it is too wide."""

from __future__ import annotations

import math
import textwrap
from typing import Final

from planner.reports.blocks import Bar, Cell, Column, Table, Tone
from planner.reports.ink import Ink
from planner.reports.printable import printable

BAR_WIDTH: Final = 24
NARROWEST: Final = 12
_INDENT: Final = "  "
_GAP: Final = "  "
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def table_lines(table: Table, ink: Ink, width: int) -> list[str]:
    """The header, then the rows; numbers to the right, flexible columns wrapped to fit `width`."""
    cells = [[_shown(cell) for cell in row] for row in table.rows]
    widths = _widths(table.columns, cells, width - len(_INDENT))
    gap = _GAP if len(_INDENT) + sum(widths) + len(_GAP) * (len(widths) - 1) <= width else " "
    header = [printable(column.title) for column in table.columns]
    lines: list[str] = []
    if any(header):
        lines.extend(ink.paint(line, Tone.FAINT) for line in _row_lines(header, table.columns, widths, gap))
    for number, row in enumerate(cells):
        tone = Tone.STRONG if number in table.strong else Tone.PLAIN
        lines.extend(ink.paint(line, tone) for line in _row_lines(row, table.columns, widths, gap))
    return lines


def bar_text(fraction: float, width: int = BAR_WIDTH) -> str:
    """A bar in eighths of a character; what exceeds 1 is cut.

    >>> bar_text(0.5, 4)
    '██··'
    """
    filled = min(max(fraction, 0.0), 1.0) * width if math.isfinite(fraction) else 0.0
    whole = int(filled)
    part = _EIGHTHS[int((filled - whole) * 8)].strip() if whole < width else ""
    if fraction > 0 and not whole and not part:
        part = _EIGHTHS[1]
    return "█" * whole + part + "·" * (width - whole - len(part))


def _shown(cell: Cell) -> str:
    return bar_text(cell.fraction) if isinstance(cell, Bar) else printable(cell)


def _widths(columns: tuple[Column, ...], cells: list[list[str]], available: int) -> list[int]:
    widths = [
        max([len(column.title), *(len(row[position]) for row in cells)]) for position, column in enumerate(columns)
    ]
    flexible = [position for position, column in enumerate(columns) if column.flexible]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - available
    while excess > 0 and flexible:
        widest = max(flexible, key=lambda position: widths[position])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _row_lines(row: list[str], columns: tuple[Column, ...], widths: list[int], gap: str) -> list[str]:
    folded = [
        (textwrap.wrap(text, size, break_on_hyphens=False) or [""]) if column.flexible and len(text) > size else [text]
        for text, column, size in zip(row, columns, widths, strict=True)
    ]
    lines = []
    for number in range(max(map(len, folded), default=1)):
        parts = [lines_of[number] if number < len(lines_of) else "" for lines_of in folded]
        aligned = [
            text.rjust(size) if column.align == "right" else text.ljust(size)
            for text, column, size in zip(parts, columns, widths, strict=True)
        ]
        lines.append((_INDENT + gap.join(aligned)).rstrip())
    return lines
