"""JSON: the document as it is, floats unrounded, never NaN."""

from __future__ import annotations

import json

from planner.reports.blocks import Report
from planner.reports.plain import plain


def render(report: Report) -> str:
    """The report's document, indented by two."""
    return json.dumps(plain(report.document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
