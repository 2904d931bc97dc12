"""What stands below an answer: assumptions with their origin, notes, where the facts come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import shorten
from typing import Any, Final

from planner.domain.plan import Assumption
from planner.reports import columns
from planner.reports.blocks import Block, Bullets, Facts, Heading, Table, left, wrapped
from planner.reports.figures import value_text
from planner.reports.plain import plain

_NAMES: Final = ("slug", "name")
_LONGEST_SOURCE: Final = 90
_SHOWN_ABOVE: Final = frozenset({"range"})
"""Said among the assumptions, as people read it."""


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
    sources = tuple((name, _origin(value)) for name, value in known.items() if value not in (None, "", [], {}))
    if sources:
        blocks += [Heading("Provenance"), Facts(sources)]
    return tuple(blocks)


def _origin(value: Any) -> str:  # noqa: ANN401 - what a document holds
    """Where a fact comes from, in a line or two; the data formats have the whole citation."""
    if not isinstance(value, Mapping):
        return value_text(value)
    # What an entry is called needs no label of its own.
    parts = [value_text(value[key]) for key in _NAMES if key in value]
    for key, entry in value.items():
        if key == "source":
            parts.append("from " + shorten(value_text(entry), _LONGEST_SOURCE, placeholder=" …"))
        elif key not in _NAMES and key not in _SHOWN_ABOVE:
            parts.append(f"{columns.title(key)} {columns.text(key, entry)}")
    return ", ".join(parts)
