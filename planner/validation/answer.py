"""What a validation answers: the rows with their predictions, and the tables of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

SCHEMA: Final = "planner.validate/1"
KIND: Final = "what"
"""The column that says which table a row is from, where an answer has rows of two."""


class Rows(Protocol):
    """Rows as text by column, each with its predictions or its `error`."""

    @property
    def columns(self) -> Sequence[str]:
        """Every column, in order."""

    @property
    def rows(self) -> Sequence[Mapping[str, str]]:
        """Every row of the file."""


class Runs(Rows, Protocol):
    """Measured runs with their predictions."""

    @property
    def ranges(self) -> Sequence[tuple[float, float] | None]:
        """The shortest and the longest step [s] of each row; empty where they were not asked for."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """Rows as they came, each followed by its predictions."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """Rows with their predictions by kind (``memory``, ``time``), and by kind the tables that sum them up.

    `summary` may have ``device_memory`` besides: the measured runs tell time and memory.
    """

    tables: Mapping[str, Rows]
    summary: Mapping[str, Mapping[str, Any]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all rows."""
        return joined(self.tables).columns

    @property
    def rows(self) -> tuple[Mapping[str, str], ...]:
        """The rows of all tables; with more than one, a first column ``what`` tells them apart."""
        return joined(self.tables).rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON: schema ``planner.validate/1``."""
        return {"schema": SCHEMA, "summary": dict(self.summary), "rows": [dict(row) for row in self.rows]}


def joined(tables: Mapping[str, Rows]) -> Predicted:
    """One table of several; with more than one, a first column ``what`` tells their rows apart."""
    if len(tables) == 1:
        (only,) = tables.values()
        return Predicted(tuple(only.columns), tuple(only.rows))
    columns = dict.fromkeys(name for table in tables.values() for name in table.columns)
    empty = dict.fromkeys(columns, "")
    rows = [{KIND: kind} | empty | dict(row) for kind, table in tables.items() for row in table.rows]
    return Predicted((KIND, *columns), tuple(rows))
