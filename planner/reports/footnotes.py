"""What stands below an answer: assumptions with their origin, notes, where the facts come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from planner.domain.plan import Assumption
from planner.reports.blocks import Block, Bullets, Facts, Heading, Table, left, wrapped
from planner.reports.figures import NOTHING
from planner.reports.plain import plain
from planner.units import MEGA, format_count

_NAMES: Final = ("slug", "name")


def footnote_blocks(
    assumptions: Iterable[Assumption], notes: Iterable[str], provenance: Mapping[str, Any]
) -> tuple[Block, ...]:
    """Assumptions, notes and provenance, each left out where there is none."""
    blocks: list[Block] = []
    assumed = tuple((entry.name, value_text(plain(entry.value)), entry.origin) for entry in assumptions)
    if assumed:
        blocks.append(Heading("Assumed, as the question left it open"))
        blocks.append(Table(columns=(left("what"), wrapped("value"), wrapped("origin")), rows=assumed))
    noted = tuple(notes)
    if noted:
        blocks += [Heading("Notes"), Bullets(noted)]
    known = plain(provenance)
    sources = tuple((name, value_text(value)) for name, value in known.items() if value not in (None, "", [], {}))
    if sources:
        blocks += [Heading("Provenance"), Facts(sources)]
    return tuple(blocks)


def value_text(value: Any) -> str:  # noqa: ANN401 - an assumption's or a source's value is anything
    """Any value in one line.

    >>> value_text({"a": 1, "b": [1.5, None]})
    'a 1, b 1.5 —'
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return format_count(value) if abs(value) >= MEGA else f"{value:,.6g}"
    if isinstance(value, Mapping):
        # What an entry is called needs no label of its own.
        named = [value_text(value[key]) for key in _NAMES if key in value]
        return ", ".join([*named, *(f"{key} {value_text(value[key])}" for key in value if key not in _NAMES)])
    if isinstance(value, list | tuple):
        return " ".join(value_text(entry) for entry in value)
    return str(value)
