"""What the catalog's tables are declared with: keys, provenance, and the constraints that they share.

Keys are natural: a fact is known by its slug and the layer it belongs to, so a release moves up and down without
renumbering anything. A row refers to another by slug and layer. Where the layer is NULL (a user's row) the database
checks nothing, as SQL's simple match prescribes: what a user wrote outlives the facts that it speaks of.
"""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import CheckConstraint, Double, ForeignKeyConstraint, Index, MetaData, String, Text
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


def above(column: str, most: float) -> tuple[CheckConstraint, ...]:
    """Constraints: the column is above zero and at most `most`, or unknown. So infinity, NaN and words are refused."""
    return (CheckConstraint(f'"{column}" > 0 AND "{column}" <= {most:.0f}', name=f"{column}_plausible"),)


def within(column: str, least: float, most: float) -> tuple[CheckConstraint, ...]:
    """Constraints: the column is between `least` and `most`, or unknown."""
    return (CheckConstraint(f'"{column}" BETWEEN {least:.0f} AND {most:.0f}', name=f"{column}_plausible"),)


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
        CheckConstraint("confidence IN ('high', 'medium', 'low')", name="confidence_known"),
        CheckConstraint("source_date IS NULL OR length(source_date) IN (4, 7, 10)", name="source_date_iso"),
        CheckConstraint("slug <> ''", name="slug_not_empty"),
    )
