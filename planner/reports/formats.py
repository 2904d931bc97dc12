"""The output formats by name."""

from __future__ import annotations

from typing import Final

from planner.reports.blocks import Report
from planner.reports.ink import Ink

FORMATS: Final = ("text", "json", "yaml", "csv", "markdown")


def render(report: Report, format_name: str, *, ink: Ink, width: int = 100) -> str:
    """`report` in the format named. Raises ValueError for another name."""
    # Each format is imported when it is used: a text answer need not wait for PyYAML.
    match format_name:
        case "text":
            from planner.reports import text_format

            return text_format.render(report, ink=ink, width=width)
        case "json":
            from planner.reports import json_format

            return json_format.render(report)
        case "yaml":
            from planner.reports import yaml_format

            return yaml_format.render(report)
        case "csv":
            from planner.reports import csv_format

            return csv_format.render(report)
        case "markdown":
            from planner.reports import markdown_format

            return markdown_format.render(report)
    raise ValueError(f"unknown format {format_name!r}")
