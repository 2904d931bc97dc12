"""The folder of a release, read into the rows that the catalog's tables hold.

A release lies in one folder of readable files, one for each kind of fact, as its README says. What a cell means follows
from the column that it fills: an empty one is unknown (NULL), or the empty text where the column is never NULL.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Boolean, Column, Double, Integer

from planner.catalog.entries import PEAK_SOURCES, RATES
from planner.catalog.kinds import TABLES
from planner.catalog.names import name_key
from planner.catalog.tables import VENDOR_LAYER, Base
from planner.domain.architecture import Architecture, LatentAttention, MixtureOfExperts
from planner.errors import InputError

Row = dict[str, Any]

FILES: Final = {
    "source": "sources.csv",
    "vendor": "vendors.csv",
    "link": "links.csv",
    "architecture": "architectures.json",
    "accelerator": "accelerators.json",
    "peak_rate": "accelerators.json",
    "peak_source": "accelerators.json",
    "efficiency": "efficiencies.csv",
    "node": "nodes.csv",
    "cluster": "clusters.csv",
    "price": "prices.csv",
    "carbon_intensity": "carbon_intensities.csv",
    "pue": "pues.csv",
    "power_draw": "power_draws.csv",
    "footprint": "footprints.csv",
    "failure_rate": "failure_rates.csv",
    "checkpoint_write": "checkpoint_writes.csv",
    "goodput": "goodputs.csv",
}
"""The file of each table, those that others refer to first."""
ALIASES: Final = "aliases.csv"
_PARTS: Final = {"moe": MixtureOfExperts, "mla": LatentAttention}


def primary_key(table: str) -> tuple[str, ...]:
    """The columns that the rows of a table are known by."""
    return tuple(column.name for column in Base.metadata.tables[table].primary_key)


def read(folder: Path, layer: str = VENDOR_LAYER) -> dict[str, list[Row]]:
    """The rows of every table that a release fills, with its aliases; a file that is not there has no rows.

    Raises InputError where a file cannot be read or a cell does not fit its column.
    """
    if not folder.is_dir():
        raise InputError(f"there is no release {folder}", hint="name the folder of a release's files")
    tables = {table: [_complete(table, row, layer) for row in _rows(folder, table)] for table in FILES}
    if layer != VENDOR_LAYER:
        _refer_to_released(tables)
    tables["alias"] = list(_aliases(folder, tables, layer))
    return tables


def _rows(folder: Path, table: str) -> list[Row]:
    path = folder / FILES[table]
    if not path.exists():
        return []
    if path.suffix == ".csv":
        return list(_csv(path, table))
    try:
        given: list[Row] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if table == "architecture":
        return [_architecture(row) for row in given]
    if table == "peak_rate":
        return [
            {"accelerator": row["slug"], "format": name, "flop_per_s": float(rate)}
            for row in given
            for name, rate in row[RATES].items()
        ]
    if table == "peak_source":
        return [
            {"accelerator": row["slug"], "format": name, **said}
            for row in given
            for name, said in row.get(PEAK_SOURCES, {}).items()
        ]
    return [{name: value for name, value in row.items() if name not in (RATES, PEAK_SOURCES)} for row in given]


def _csv(path: Path, table: str | None) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            if None in row or None in row.values():
                raise InputError(f"{path}, line {number}: as many cells as columns are needed")
            try:
                yield row if table is None else {name: _value(table, name, text) for name, text in row.items()}
            except (KeyError, ValueError) as error:
                raise InputError(f"{path}, line {number}: {error}") from error


def _value(table: str, name: str, text: str) -> object:
    column: Column[Any] = Base.metadata.tables[table].columns[name]
    if not text:
        return None if column.nullable else ""
    if isinstance(column.type, Boolean):
        return bool(int(text))
    if isinstance(column.type, Integer):
        return int(text)
    return float(text) if isinstance(column.type, Double) else text


def _architecture(given: Row) -> Row:
    """What is left out has the default of the domain's record."""
    row = _defaults(Architecture) | given
    for prefix, record in _PARTS.items():
        part = row.pop(prefix, None)
        values = {} if part is None else _defaults(record) | part
        row |= {f"{prefix}_{field.name}": values.get(field.name) for field in fields(record)}
    return row


def _defaults(record: Any) -> Row:  # noqa: ANN401 - a dataclass
    return {field.name: field.default for field in fields(record) if field.default is not MISSING}


def _complete(table: str, row: Row, layer: str) -> Row:
    """Every column of the table: the layer, the layer of each reference, NULL for what is not stated."""
    columns = Base.metadata.tables[table].columns
    full: Row = {}
    for column in columns:
        referring = column.name.removesuffix("_layer")
        if column.name == "layer":
            full["layer"] = layer
        elif column.name in row:
            value = row[column.name]
            full[column.name] = float(value) if isinstance(column.type, Double) and value is not None else value
        elif referring != column.name and referring in columns:
            full[column.name] = None if row.get(referring) is None else layer
        else:
            full[column.name] = None if column.nullable else ""
    unknown = row.keys() - full.keys() - {"aliases"}
    if unknown:
        raise InputError(f"{FILES[table]} has a column {sorted(unknown)[0]!r} that the table {table} lacks")
    return full


def _refer_to_released(tables: dict[str, list[Row]]) -> None:
    """Where a plugin's row refers to what its own files do not have, the planner's own fact is meant."""
    own = {table: {row["slug"] for row in rows if "slug" in row} for table, rows in tables.items()}
    for table, rows in tables.items():
        for key in Base.metadata.tables[table].foreign_key_constraints:
            column, layer = key.column_keys[:2]
            for row in rows:
                if layer != "layer" and row[column] is not None and row[column] not in own[key.referred_table.name]:
                    row[layer] = VENDOR_LAYER


def _aliases(folder: Path, tables: dict[str, list[Row]], layer: str) -> Iterator[Row]:
    """Every slug, then every further name: what `find` looks up."""
    for table in FILES:
        for kind in (kind for kind, own in TABLES.items() if own == table):
            for row in tables[table]:
                yield _alias(kind, row["slug"], row["slug"], "slug", layer)
    if (folder / ALIASES).exists():
        for row in _csv(folder / ALIASES, None):
            yield _alias(row["kind"], row["alias"], row["slug"], "alias", layer)


def _alias(kind: str, alias: str, slug: str, role: str, layer: str) -> Row:
    return {"kind": kind, "key": name_key(alias), "layer": layer, "alias": alias, "slug": slug, "role": role}
