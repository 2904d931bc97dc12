"""The fields of each kind of entry, as a user writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from planner.catalog.kinds import KINDS

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

FieldType = Literal["whole", "number", "flag", "text"]
_LARGEST_INTEGER: Final = 2**31 - 1
_LARGEST_BIG_INTEGER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a kind as a user writes it.

    `largest`: of a whole number. `length`: of a text, None for any. `refers_to`: the kind that the slug is of.
    """

    name: str
    type: FieldType
    optional: bool
    key: bool
    meaning: str
    positive: bool = False
    largest: int = _LARGEST_INTEGER
    length: int | None = None
    refers_to: str | None = None


@cache
def fields_of(kind: str) -> Mapping[str, Field]:
    """The fields of a kind in the order of its table, without what names layers: those follow from the entry's own."""
    return _fields(KINDS[kind])


@cache
def peak_source_fields() -> Mapping[str, Field]:
    """What may be said of where a peak was read."""
    return {name: field for name, field in _fields("peak_source").items() if not field.key}


def _fields(name_of_table: str) -> Mapping[str, Field]:
    from sqlalchemy import BigInteger, String

    from planner.catalog.tables import Base

    table = Base.metadata.tables[name_of_table]
    names = frozenset(table.columns.keys())
    rules = {str(constraint.name) for constraint in table.constraints}
    references = {
        element.parent.name: element.column.table.name
        for constraint in table.foreign_key_constraints
        for element in constraint.elements
        if not _names_layer(element.parent.name, names)
    }
    kinds = {name: each for each, name in KINDS.items()}
    found = {}
    for column in table.columns:
        if _names_layer(column.name, names):
            continue
        found[column.name] = Field(
            name=column.name,
            type=_type_of(column.type),
            optional=bool(column.nullable),
            key=column.primary_key,
            meaning=column.comment or "",
            positive=any(rule.endswith(f"_{column.name}_positive") for rule in rules),
            largest=_LARGEST_BIG_INTEGER if isinstance(column.type, BigInteger) else _LARGEST_INTEGER,
            length=column.type.length if isinstance(column.type, String) else None,
            refers_to=kinds.get(references.get(column.name, "")),
        )
    return found


def _names_layer(column: str, names: frozenset[str]) -> bool:
    """Whether a column says which layer the row, or the one that another column refers to, is of."""
    return column == "layer" or (column.endswith("_layer") and column.removesuffix("_layer") in names)


def _type_of(stored: TypeEngine[Any]) -> FieldType:
    from sqlalchemy import Boolean, Float, Integer

    if isinstance(stored, Boolean):
        return "flag"
    if isinstance(stored, Integer):
        return "whole"
    return "number" if isinstance(stored, Float) else "text"
