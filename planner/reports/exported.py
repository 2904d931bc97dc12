"""Entries as files that `planner catalog import rows` reads again, piece by piece, so that any number of them fits."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from planner.catalog.entries import ALIASES, KIND, PEAK_SOURCES, RATES, Entry, as_written
from planner.catalog.fields import fields_of

SCHEMA: Final = "planner.catalog.export/1"


def written(entries: Iterable[Entry], kinds: Sequence[str], format_name: str) -> Iterator[str]:
    """The text of a file in the format named, in pieces; `kinds` are those that entries may be of.

    Text is YAML, Markdown a block of it. Raises ValueError for another format.
    """
    match format_name:
        case "json":
            return _json(entries)
        case "csv":
            return _csv(entries, kinds)
        case "yaml" | "text":
            return _yaml(entries)
        case "markdown":
            return iter(["```yaml\n", *_yaml(entries), "```\n"])
    raise ValueError(f"unknown format {format_name!r}")


def _json(entries: Iterable[Entry]) -> Iterator[str]:
    yield f'{{\n  "schema": "{SCHEMA}",\n  "items": ['
    between = "\n"
    for entry in entries:
        item = json.dumps(as_written(entry), indent=2, ensure_ascii=False, allow_nan=False)
        yield between + "\n".join(f"    {line}" for line in item.splitlines())
        between = ",\n"
    yield "\n  ]\n}\n" if between != "\n" else "]\n}\n"


def _yaml(entries: Iterable[Entry]) -> Iterator[str]:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    yield f"schema: {SCHEMA}\n"
    begun = False
    for entry in entries:
        yield "" if begun else "items:\n"
        begun = True
        yield yaml.dump(
            [as_written(entry)],
            Dumper=dumper,
            sort_keys=False,
            allow_unicode=True,
            width=10**6,
            default_flow_style=False,
        )
    if not begun:
        yield "items: []\n"


def _csv(entries: Iterable[Entry], kinds: Sequence[str]) -> Iterator[str]:
    nested = (RATES, PEAK_SOURCES, ALIASES)
    columns = [KIND, *dict.fromkeys(name for kind in kinds for name in fields_of(kind)), *nested]
    yield _line(columns)
    for entry in entries:
        fields = as_written(entry)
        yield _line([_cell(fields.get(column)) for column in columns])


def _line(cells: Sequence[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401 - what an entry holds
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
