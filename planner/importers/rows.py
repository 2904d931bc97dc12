"""Files of entries: YAML and JSON by kind or as a list, CSV with a row each, checked as they are read."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from planner.catalog.entries import ALIASES, KIND, PEAK_SOURCES, RATES, Entry, entry
from planner.catalog.kinds import KINDS, kind_named, singular
from planner.catalog.records import architecture
from planner.catalog.spelling import clipped
from planner.errors import InputError
from planner.importers.documents import Located, read_document
from planner.importers.files import STANDARD_INPUT, open_binary, shown_path, too_large
from planner.importers.huggingface import check
from planner.units import GIB, MIB

SCHEMA: Final = "planner.catalog.export/1"
ITEMS: Final = "items"
LARGEST_CSV_BYTES: Final = 2 * GIB
LONGEST_LINE: Final = MIB
MOST_COLUMNS: Final = 400
_NESTED: Final = (ALIASES, RATES, PEAK_SOURCES)


def read_entries(path: str) -> Iterator[Entry]:
    """The entries of a file by its name's ending, ``.csv`` or else JSON or YAML; ``-`` is JSON or YAML on standard input.

    Raises InputError, naming the file and the line or the item.
    """
    if path.lower().endswith(".csv"):
        yield from _csv_entries(path)
    else:
        yield from document_entries(read_document(path), shown_path(path))


def document_entries(document: object, named: str) -> Iterator[Entry]:
    """The entries of a parsed document: ``{kind: [entries]}``, or ``{"items": [entries]}`` that name their kinds."""
    if not isinstance(document, Mapping):
        raise InputError(f"{named} holds no entries", hint=f"it should be an object of kinds: {', '.join(KINDS)}")
    if ITEMS in document:
        for index, item in enumerate(_listed(document[ITEMS], f"{named}: {ITEMS}"), start=1):
            where = _where(named, item, f"item {index}")
            yield checked(_kind_of(item, where), item, where=where, source=Path(named).name)
        return
    for kind_word, listed in document.items():
        if kind_word == "schema":
            continue
        try:
            kind = kind_named(kind_word, KINDS)
        except InputError as error:
            raise InputError(f"{named}: {error.message}", hint=error.hint) from None
        for index, item in enumerate(_listed(listed, f"{named}: {kind}"), start=1):
            where = _where(named, item, f"{kind}[{index}]")
            yield checked(kind, item, where=where, source=Path(named).name)


def checked(kind: str, fields: Mapping[str, Any], *, where: str, source: str) -> Entry:
    """The entry that `fields` describe; a model's shape must not contradict itself. Raises InputError."""
    found = entry(kind, fields, where=where, source=source)
    if kind == "models":
        try:
            check(architecture({**found.values, "layer": "user"}))
        except InputError as error:
            raise InputError(f"{where}: {singular(kind)} {clipped(found.slug)}: {error.message}") from None
    return found


def _kind_of(item: Mapping[str, Any], where: str) -> str:
    named = item.get(KIND)
    if not isinstance(named, str):
        raise InputError(f"{where}: {KIND} is missing", hint=f"it names the kind: {', '.join(KINDS)}")
    try:
        return kind_named(named, KINDS)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from None


def _listed(value: object, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise InputError(f"{where} must be a list of entries")
    for index, item in enumerate(value, start=1):
        if not isinstance(item, Mapping):
            raise InputError(f"{where}[{index}] must be an entry, not {clipped(item)}")
    return value


def _where(named: str, item: Mapping[str, Any], otherwise: str) -> str:
    line = item.line if isinstance(item, Located) else 0
    return f"{named}, line {line}" if line else f"{named}, {otherwise}"


def _csv_entries(path: str) -> Iterator[Entry]:
    """Row by row, so that a file of any length needs no more memory than a row."""
    named = shown_path(path)
    try:
        if path != STANDARD_INPUT and Path(path).is_dir():
            raise InputError(f"{named} is a folder, not a file")
        if path != STANDARD_INPUT and Path(path).stat().st_size > LARGEST_CSV_BYTES:
            raise too_large(named, LARGEST_CSV_BYTES)
        with _opened(path) as file:
            reader = csv.reader(_lines(file, named), strict=True)
            columns = _columns(next(reader, None), named)
            for record in reader:
                where = f"{named}, line {reader.line_num}"
                if any(map(str.strip, record)):
                    fields = _fields(columns, record, where)
                    yield checked(_kind_of(fields, where), _without_kind(fields), where=where, source=Path(named).name)
    except csv.Error as problem:
        raise InputError(f"{named} is not a CSV file: {problem}") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{named} is not UTF-8: {problem.reason}", hint="save it as CSV in UTF-8") from None
    except OSError as problem:
        raise InputError(f"cannot read {named}: {problem.strerror or problem}") from None


def _opened(path: str) -> TextIO:
    if path == STANDARD_INPUT:
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
    return io.TextIOWrapper(open_binary(Path(path)), encoding="utf-8-sig", newline="")


def _lines(file: TextIO, named: str) -> Iterator[str]:
    number = read = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        read += len(line)
        if len(line) > LONGEST_LINE:
            raise InputError(f"{named}, line {number} is longer than {LONGEST_LINE // MIB} MiB")
        if "\0" in line:
            raise InputError(f"{named}, line {number} holds a NUL", hint="save it as CSV in UTF-8")
        if read > LARGEST_CSV_BYTES:
            raise too_large(named, LARGEST_CSV_BYTES)
        yield line


def _columns(header: list[str] | None, named: str) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in header or ())
    if not any(columns):
        raise InputError(f"{named} has no header", hint="the first line names the columns")
    if len(columns) > MOST_COLUMNS:
        raise InputError(f"{named} has {len(columns):,} columns, more than {MOST_COLUMNS}")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{named} has the column {clipped(twice)} twice")
    if KIND not in columns:
        raise InputError(f"{named} has no column {KIND!r}", hint=f"it names the kind of each row: {', '.join(KINDS)}")
    return columns


def _fields(columns: tuple[str, ...], record: list[str], where: str) -> dict[str, Any]:
    if any(map(str.strip, record[len(columns) :])):
        raise InputError(f"{where}: {len(record)} cells for {len(columns)} columns")
    fields: dict[str, Any] = {name: cell for name, cell in zip(columns, record, strict=False) if cell.strip()}
    for name in _NESTED:
        if name in fields:
            fields[name] = _nested(fields[name], f"{where}: {name}")
    return fields


def _without_kind(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != KIND}


def _nested(cell: str, where: str) -> object:
    """A list or an object in a cell, as JSON; a plain text is one name."""
    if cell.strip()[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise InputError(f"{where}: {clipped(cell)} is malformed JSON") from None
