"""Indexes for catalogs with very many rows of a user's.

Revision ID: 0006
Revises: 0005

Prices of an entry by date, accelerators by vendor and memory, rates by format: what lists and single entries look for.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEXES = {
    "price": (("accelerator", "date"), ("node", "date"), ("cluster", "date")),
    "accelerator": (("vendor", "capacity_bytes"), ("capacity_bytes",)),
    "peak_rate": (("format", "accelerator"),),
}
"""The columns of each new index, by its table."""


def upgrade() -> None:
    """Make the indexes."""
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def downgrade() -> None:
    """Drop them."""
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.drop_index(f"ix_{table}_{'_'.join(columns)}", table_name=table)
