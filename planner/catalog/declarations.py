"""What the catalog's tables are declared with: keys, provenance, and the constraints that they share.

Keys are natural: a fact is known by its slug and the layer it belongs to, so a release moves up and down without
renumbering anything. A row refers to another by slug and layer. Where the layer is NULL (a user's row) the database
checks nothing, as SQL's simple match prescribes: what a user wrote outlives the facts that it speaks of.
"""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import CheckConstraint, Double, ForeignKeyConstraint, Index, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

VENDOR_LAYER: Final = "vendor"
"""The layer of released facts; a plugin's rows carry its branch label instead."""
USER_LAYER: Final = "user"
"""The layer of what a user wrote; no release touches it."""

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
SLUG: Final = String(120)
LAYER: Final = String(40)


class Base(DeclarativeBase):
    """All tables share one metadata with a naming convention, so that every constraint can be dropped by name."""

    metadata = MetaData(naming_convention=NAMING)
    # Which type a float gets by itself differs between releases of SQLAlchemy.
    type_annotation_map: ClassVar[dict[type, TypeEngine[float]]] = {float: Double()}


def positive(*columns: str) -> tuple[CheckConstraint, ...]:
    """Constraints: each column is above zero, or unknown. Quoted, since window is a word of PostgreSQL's."""
    return tuple(CheckConstraint(f'"{column}" > 0', name=f"{column}_positive") for column in columns)


def not_negative(*columns: str) -> tuple[CheckConstraint, ...]:
    """Constraints: each column is zero or more, or unknown."""
    return tuple(CheckConstraint(f'"{column}" >= 0', name=f"{column}_not_negative") for column in columns)


def above(most: float, *columns: str) -> tuple[CheckConstraint, ...]:
    """Constraints: each column is above zero and at most `most`, or unknown. Infinity, NaN and words are not."""
    return tuple(
        CheckConstraint(f'"{column}" > 0 AND "{column}" <= {most:.0f}', name=f"{column}_plausible")
        for column in columns
    )


def at_most(most: float, *columns: str) -> tuple[CheckConstraint, ...]:
    """Constraints: no column is above `most`, which is beyond anything real. Infinity, NaN and words are refused so."""
    return tuple(CheckConstraint(f'"{column}" <= {most:.0f}', name=f"{column}_at_most") for column in columns)


def within(column: str, least: float, most: float) -> tuple[CheckConstraint, ...]:
    """Constraints: the column is between `least` and `most`, or unknown."""
    return (CheckConstraint(f'"{column}" BETWEEN {least:.0f} AND {most:.0f}', name=f"{column}_plausible"),)


def whole(most: int, *columns: str) -> tuple[CheckConstraint, ...]:
    """Constraints: each column is a whole number of at most `most`, or unknown. SQLite would keep 1.5 and words."""
    return tuple(
        CheckConstraint(f'"{column}" <= {most} AND round("{column}") = "{column}"', name=f"{column}_whole")
        for column in columns
    )


def truth(*columns: str) -> tuple[CheckConstraint, ...]:
    """Constraints: each column is true or false, or unknown."""
    return tuple(CheckConstraint(f'"{column}" IN (true, false)', name=f"{column}_truth") for column in columns)


def dated(column: str, *, day: bool = False) -> CheckConstraint:
    """A constraint: the column is a day, month or year that exists, as ISO 8601 writes it; with `day` a day only."""
    digit = "('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')"
    months = ", ".join(f"'{month:02}'" for month in range(1, 13))
    days = ", ".join(f"'{each:02}'" for each in range(1, 32))
    year = f"substr({column}, 1, 2) IN ('19', '20', '21') AND substr({column}, 3, 1) IN {digit}"
    year += f" AND substr({column}, 4, 1) IN {digit}"
    month = f"substr({column}, 5, 1) = '-' AND substr({column}, 6, 2) IN ({months})"
    exists = f"substr({column}, 6, 5) NOT IN ('02-30', '02-31', '04-31', '06-31', '09-31', '11-31')"
    number = f"CAST(substr({column}, 1, 4) AS INTEGER)"
    leap = f"{number} / 4 * 4 = {number} AND substr({column}, 1, 4) NOT IN ('1900', '2100')"
    in_month = f"substr({column}, 8, 1) = '-' AND substr({column}, 9, 2) IN ({days}) AND {exists}"
    whole_day = f"{in_month} AND (substr({column}, 6, 5) <> '02-29' OR {leap})"
    if day:
        condition = f"length({column}) = 10 AND {year} AND {month} AND {whole_day}"
    else:
        condition = (
            f"{year} AND (length({column}) = 4 OR length({column}) = 7 AND {month} "
            f"OR length({column}) = 10 AND {month} AND {whole_day})"
        )
    return CheckConstraint(condition, name=f"{column}_iso")


def named() -> tuple[CheckConstraint | Index, ...]:
    """What holds of slug and layer. Shared slugs are unique across layers; the user's layer may shadow them."""
    shared = text("layer <> 'user'")
    return (
        CheckConstraint("slug <> '' AND slug = trim(slug) AND length(slug) <= 120", name="slug_plain"),
        CheckConstraint("layer <> '' AND layer = trim(layer) AND length(layer) <= 40", name="layer_plain"),
        Index(None, "slug", unique=True, sqlite_where=shared, postgresql_where=shared),
    )


def listed(*columns: str) -> tuple[Index, ...]:
    """Indexes for lists by one column: of one value, or sorted by all. Rows of one value are in the order of a list."""
    return tuple(Index(None, column, "slug", "layer") for column in columns)


def cited(*keys: str, name: str | None = None) -> Index:
    """An index of the rows that rest on a document, in the order of their `keys`. It costs nothing for rows that name none."""
    some = text("document IS NOT NULL")
    return Index(name, "document", *keys, sqlite_where=some, postgresql_where=some)


def refers(column: str, table: str, layer: str | None = None, ondelete: str | None = None) -> ForeignKeyConstraint:
    """A reference by slug and layer to `table`."""
    return ForeignKeyConstraint(
        [column, layer or f"{column}_layer"], [f"{table}.slug", f"{table}.layer"], ondelete=ondelete
    )


class Fact:
    """What every row of facts carries: identity, provenance, confidence."""

    slug: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="identity, as people type it")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="vendor, a plugin's branch label, or user")
    name: Mapped[str] = mapped_column(Text, comment="for people")
    document: Mapped[str | None] = mapped_column(SLUG, comment="slug of the main source document")
    document_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the document; NULL in the user layer")
    source: Mapped[str] = mapped_column(Text, comment="where the row was read, in full")
    source_date: Mapped[str | None] = mapped_column(String(10), comment="when the source said so: a day, month or year")
    confidence: Mapped[str] = mapped_column(String(10), comment="high, medium or low")
    note: Mapped[str] = mapped_column(Text, default="", comment="doubts, contradictions, what was corrected")


def fact(*constraints: ForeignKeyConstraint | CheckConstraint | Index) -> tuple[object, ...]:
    """Table arguments of a fact table: its own constraints and those that all facts have."""
    return (
        *constraints,
        refers("document", "source"),
        cited("slug", "layer"),
        CheckConstraint("confidence IN ('high', 'medium', 'low')", name="confidence_known"),
        CheckConstraint("name <> ''", name="name_not_empty"),
        CheckConstraint("layer = 'user' OR source <> ''", name="source_named"),
        dated("source_date"),
        *named(),
    )
