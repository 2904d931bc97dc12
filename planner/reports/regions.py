"""What was searched: how many layouts meet all that was asked, and what refuses the others where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from planner.domain.plan import PlanAnswer, Region
from planner.reports.blocks import Table, right, wrapped
from planner.reports.figures import percent, share

_NAMES: Final = {"n_gpus": "GPUs", "micro_batch": "micro-batch"}
_SHORTEST_RUN: Final = 3
_MOST_PARTS: Final = 8


def searched_table(answer: PlanAnswer) -> Table:
    """A row for what is feasible and one for each reason, the most frequent first, with its regions below it."""
    rows = [_row("meet all that was asked", answer.search.feasible, answer)]
    for reason, regions in groupby(answer.regions, key=lambda region: region.reason):
        own = list(regions)
        rows.append(_row(f"refused: {reason}", sum(region.layouts for region in own), answer))
        alone = len(own) == 1
        for region in own:
            if region.where or not alone:
                rows.append(("    " + region_text(region), "" if alone else f"{region.layouts:,}", ""))
    return Table(columns=(wrapped(""), right(""), right("")), rows=tuple(rows))


def _row(label: str, count: int, answer: PlanAnswer) -> tuple[str, str, str]:
    return label, f"{count:,}", percent(share(count, answer.search.layouts))


def region_text(region: Region) -> str:
    """A region in words.

    >>> region_text(Region(reason="", where={"tp": (1, 2, 4), "micro_batch": (8,)}, layouts=3, extent="most"))
    'most of tp 1, 2, 4 · micro-batch 8'
    """
    if not region.where:
        return "elsewhere"
    parts = [
        f"{_NAMES.get(axis, axis.replace('_', ' '))} {values_text(values)}" for axis, values in region.where.items()
    ]
    return f"{region.extent} of {' · '.join(parts)}"


def values_text(values: Sequence[int | str]) -> str:
    """Values one by one, whole numbers that follow one another as a range; many are cut short.

    >>> values_text((1, 2, 3, 4, 8, 16, 61)), values_text(("none", "full"))
    ('1-4, 8, 16, 61', 'none, full')
    """
    parts = list(_runs(values))
    return ", ".join(parts) if len(parts) <= _MOST_PARTS else f"{', '.join(parts[: _MOST_PARTS - 1])} … {values[-1]}"


def _runs(values: Sequence[int | str]) -> Iterator[str]:
    start = 0
    while start < len(values):
        end = start
        while end + 1 < len(values) and _follows(values[end], values[end + 1]):
            end += 1
        if end - start + 1 >= _SHORTEST_RUN:
            yield f"{values[start]}-{values[end]}"
        else:
            yield from (str(value) for value in values[start : end + 1])
        start = end + 1


def _follows(one: int | str, other: int | str) -> bool:
    return isinstance(one, int) and isinstance(other, int) and other == one + 1
