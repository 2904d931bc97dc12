"""Where each peak of an accelerator was read.

Revision ID: 0006
Revises: 0005

A table of its own: an accelerator's one source does not vouch for each of its rates, and a user's rates need none. As every
table with a layer it is emptied into parked rows where a downgrade drops it, so a user's own sources come back.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SLUG = sa.String(120)
LAYER = sa.String(40)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "peak_source",
        sa.Column("accelerator", SLUG, nullable=False, comment="slug of the accelerator"),
        sa.Column("layer", LAYER, nullable=False, comment="layer of the accelerator"),
        sa.Column("format", sa.String(20), nullable=False, comment="fp32, tf32, bf16, fp8, int8 …"),
        sa.Column("document", SLUG, nullable=True, comment="slug of the source document"),
        sa.Column("document_layer", LAYER, nullable=True, comment="layer of the document; NULL in the user layer"),
        sa.Column("source", sa.Text, nullable=False, comment="where the peak was read, or what it follows from"),
        sa.Column(
            "source_date",
            sa.String(10),
            nullable=True,
            comment="when the source said so: a day, month or year",
        ),
        sa.Column("confidence", sa.String(10), nullable=False, comment="high, medium or low"),
        sa.PrimaryKeyConstraint("accelerator", "layer", "format", name=op.f("pk_peak_source")),
        sa.ForeignKeyConstraint(
            ["accelerator", "layer", "format"],
            ["peak_rate.accelerator", "peak_rate.layer", "peak_rate.format"],
            name=op.f("fk_peak_source_accelerator_peak_rate"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["document", "document_layer"],
            ["source.slug", "source.layer"],
            name=op.f("fk_peak_source_document_source"),
        ),
        sa.CheckConstraint("source <> ''", name=op.f("ck_peak_source_source_named")),
        sa.CheckConstraint("confidence IN ('high', 'medium', 'low')", name=op.f("ck_peak_source_confidence_known")),
        sa.CheckConstraint(dated("source_date"), name=op.f("ck_peak_source_source_date_iso")),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("peak_source")


def dated(column: str) -> str:
    """The column is a day, month or year that exists, as ISO 8601 writes it."""
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
    return (
        f"{year} AND (length({column}) = 4 OR length({column}) = 7 AND {month} "
        f"OR length({column}) = 10 AND {month} AND {whole_day})"
    )
