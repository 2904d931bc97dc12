"""YAML: the same document as JSON, in the same order."""

from __future__ import annotations

import yaml

from planner.reports.blocks import Report
from planner.reports.plain import plain


def render(report: Report) -> str:
    """The report's document in block style."""
    return str(yaml.safe_dump(plain(report.document), sort_keys=False, allow_unicode=True, width=100))
