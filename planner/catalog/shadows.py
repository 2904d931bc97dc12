"""How an entry differs from the one that it stands in for, and which of several calibrations counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from planner.domain.hardware import CALIBRATED

Row = dict[str, Any]

_APART: Final = frozenset({"layer", "document", "document_layer"})
"""Columns in which two layers always differ."""


def differences(row: Mapping[str, Any], behind: Mapping[str, Any]) -> list[Row]:
    """The columns in which a row differs from the one that it shadows, with both values."""
    columns = (name for name in {**row, **behind} if name not in _APART and not name.endswith("_layer"))
    return [
        {"column": name, "here": row.get(name), "there": behind.get(name)}
        for name in columns
        if row.get(name) != behind.get(name)
    ]


def in_force(efficiencies: Sequence[Mapping[str, Any]]) -> list[bool | None]:
    """For each efficiency whether it is of the calibration that counts, the newest; None for what is no calibration."""
    dates = [row["source_date"] or "" for row in efficiencies if row["metric"] in CALIBRATED]
    newest = max(dates, default="")
    return [
        (row["source_date"] or "") == newest if row["metric"] in CALIBRATED else None for row in efficiencies
    ]  # fmt: skip
