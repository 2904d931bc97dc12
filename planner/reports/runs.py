"""The answer of `planner evaluate --runs`: the file's rows with predictions beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from planner.reports.blocks import Block, Facts, Flat, Heading, Paragraph, Report, Table, right, wrapped
from planner.reports.figures import percent, share

SCHEMA: Final = "planner.runs/1"
ERROR: Final = "error"
FITS: Final = "fits"
_MOST_REASONS: Final = 12
_WORDS: Final = frozenset({"predicted_when_peak"})


class Runs(Protocol):
    """What the planner answers for a file: its columns followed by the predicted ones, and all rows as text."""

    @property
    def columns(self) -> Sequence[str]:
        """Every column, in order."""

    @property
    def rows(self) -> Sequence[Mapping[str, str]]:
        """Every row of the file."""


def report(runs: Runs) -> Report:
    """All rows for programs; for people how many were answered, and why the others were not."""
    document = {"schema": SCHEMA, "rows": [_typed(row) for row in runs.rows]}
    flat = Flat(columns=tuple(runs.columns), rows=tuple(runs.rows))
    return Report(document=document, blocks=tuple(_blocks(runs.rows)), flat=flat)


def _typed(row: Mapping[str, str]) -> dict[str, float | str | None]:
    return {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str) -> float | str | None:
    # What was read comes back as it was written; what was predicted is a number, or nothing.
    if not name.startswith("predicted_") or name in _WORDS:
        return text
    if not text:
        return None
    return int(text) if text.isdigit() else float(text)


def _blocks(rows: Sequence[Mapping[str, str]]) -> Iterator[Block]:
    failed = [row for row in rows if row.get(ERROR)]
    fitting = [row for row in rows if row.get(FITS, "").casefold() in ("true", "1", "yes")]
    yield Paragraph(f"{len(rows):,} runs, {len(rows) - len(failed):,} evaluated, {len(failed):,} not")
    yield Facts(
        (
            ("evaluated", f"{len(rows) - len(failed):,} ({percent(share(len(rows) - len(failed), len(rows)))})"),
            ("of them fit", f"{len(fitting):,}"),
            ("with an error", f"{len(failed):,}"),
        )
    )
    if failed:
        counted = Counter(row[ERROR] for row in failed).most_common()
        yield Heading("Why rows were not evaluated")
        shown = tuple((f"{count:,}", reason) for reason, count in counted[:_MOST_REASONS])
        yield Table(columns=(right("rows"), wrapped("error")), rows=shown)
        if len(counted) > _MOST_REASONS:
            yield Paragraph(f"and {len(counted) - _MOST_REASONS:,} more reasons")
    yield Heading("The rows with their predictions: add --format csv -o FILE")
