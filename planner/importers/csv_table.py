"""A table of a user's: a CSV file read as text by column, or refused in one line."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from planner.errors import InputError
from planner.importers.files import open_binary
from planner.units import MIB

LARGEST_FILE_BYTES: Final = 256 * MIB
STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, slots=True)
class CsvTable:
    """The columns of a file in their order, and its rows as text by column; `broken` names rows that are no rows."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    broken: Mapping[int, str] = field(default_factory=dict)


def shown_path(path: str) -> str:
    """The file as messages name it."""
    return "standard input" if path == STANDARD_INPUT else path


def read_table(path: str, required: Collection[str] = ()) -> CsvTable:
    """The rows of a CSV file; ``-`` is standard input. Raises InputError for a file that is no such table."""
    named = shown_path(path)
    text = _decoded(named, _content(path, named))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        records = [record for record in reader if any(map(str.strip, record))]
    except csv.Error as problem:
        raise InputError(f"{named} is not a CSV file: {problem}") from None
    if not records:
        raise InputError(f"{named} has no header", hint="the first line names the columns")
    columns = tuple(name.strip() for name in records[0])
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputError(f"{named} has the column {twice[0]!r} twice")
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(f"{named} has no column {missing[0]!r}", hint=f"needed are {', '.join(required)}")
    width = len(columns)
    broken = {
        index: f"the row has {len(record)} cells for {width} columns"
        for index, record in enumerate(records[1:])
        if any(map(str.strip, record[width:]))
    }
    rows = tuple(dict(zip(columns, (*record, *[""] * width), strict=False)) for record in records[1:])
    return CsvTable(columns, rows, broken)


def _content(path: str, named: str) -> bytes:
    try:
        if path == STANDARD_INPUT:
            content = sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
        elif Path(path).is_dir():
            raise InputError(f"{path} is a folder, not a CSV file")
        else:
            with open_binary(Path(path)) as file:
                content = file.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise InputError(f"cannot read {named}: {reason}") from None
    if len(content) > LARGEST_FILE_BYTES:
        raise InputError(f"{named} is larger than {LARGEST_FILE_BYTES // MIB} MiB", hint="split it")
    return content


def _decoded(named: str, content: bytes) -> str:
    if b"\0" in content:
        raise InputError(f"{named} is not a text file", hint="save it as CSV in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(f"{named} is not UTF-8: byte {problem.start}", hint="save it as CSV in UTF-8") from None
