"""CSV: the report's flat table, a header and one line a row, an empty cell where there is no value."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from planner.reports.blocks import Report
from planner.reports.plain import plain


def render(report: Report) -> str:
    """The flat table with lines that end in a newline alone."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(report.flat.columns)
    for row in report.flat.rows:
        writer.writerow([_cell(plain(row.get(column))) for column in report.flat.columns])
    return stream.getvalue()


def _cell(value: Any) -> str | int | float:  # noqa: ANN401 - what plain() returns
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return value  # type: ignore[no-any-return]
