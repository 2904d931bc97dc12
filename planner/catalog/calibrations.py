"""Calibrations in the user's layer of the catalog: kept, dated, and forgotten on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from planner.catalog.user_rows import writing
from planner.domain.hardware import CALIBRATED

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

ALL_FORMATS: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRow:
    """One factor of one accelerator, with the runs (`condition`) and the day (`date`) that it is of."""

    accelerator: str
    metric: str
    fraction: float
    condition: str
    date: str
    note: str


def store(url: str | None, rows: Sequence[CalibrationRow]) -> None:
    """Add `rows`, all or none. Those of the same accelerators and day give way to them; older ones stay as history.

    Raises CatalogError where the database cannot be written.
    """
    from sqlalchemy import and_, delete, insert, or_

    from planner.catalog.tables import Efficiency

    days = {(row.accelerator, row.date) for row in rows}
    replaced = or_(
        *(and_(Efficiency.accelerator == slug, Efficiency.source_date == date) for slug, date in sorted(days))
    )
    with writing(url) as connection:
        connection.execute(delete(Efficiency).where(_ours(), replaced))
        connection.execute(insert(Efficiency), [_values(row) for row in rows])


def forget(url: str | None) -> tuple[str, ...]:
    """Remove every calibration, all or none, and return the accelerators that had one. Raises CatalogError."""
    from sqlalchemy import delete, select

    from planner.catalog.tables import Efficiency

    with writing(url) as connection:
        known = connection.execute(select(Efficiency.accelerator).where(_ours()).distinct()).scalars().all()
        connection.execute(delete(Efficiency).where(_ours()))
    return tuple(sorted(known))


def _ours() -> ColumnElement[bool]:
    """The rows that a calibration wrote."""
    from sqlalchemy import and_

    from planner.catalog.tables import USER_LAYER, Efficiency

    return and_(Efficiency.layer == USER_LAYER, Efficiency.metric.in_(CALIBRATED))


def _values(row: CalibrationRow) -> dict[str, object]:
    from planner.catalog.tables import USER_LAYER

    return {
        "accelerator": row.accelerator,
        "layer": USER_LAYER,
        "metric": row.metric,
        "format": ALL_FORMATS,
        "condition": f"{row.condition}, {row.date}",
        "fraction": row.fraction,
        "source": f"planner calibrate on {row.date}: {row.condition}",
        "source_date": row.date,
        "note": row.note,
    }
