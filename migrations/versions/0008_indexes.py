"""Indexes for lists of very many rows: by each column that a list shows, by what is filtered, by the document.

Revision ID: 0008
Revises: 0007

Moves no row. To make an index each row of its table is read once, a user's too: the one cost of this revision that grows with
them. An index by a column goes on with slug and layer, so that rows of one value come in the order of a list and nothing
is sorted. Those by the document leave out rows without one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LISTED = {
    "architecture": ("family", "layers", "hidden", "heads", "kv_heads", "vocab"),
    "accelerator": ("vendor", "capacity_bytes", "year", "memory_bandwidth_bytes_per_s"),
    "node": ("provider", "accelerator", "accelerators_per_node", "network_bytes_per_s"),
    "cluster": ("node", "nodes", "name"),
    "price": ("accelerator", "node", "provider", "kind", "usd_per_accelerator_hour", "date"),
    "power_draw": ("accelerator",),
}
"""Columns that lists are filtered and sorted by, of the kinds of which a user has many."""
OTHERS = {
    "peak_rate": ("format", "flop_per_s", "accelerator", "layer"),
    "efficiency": ("metric", "accelerator"),
    "price": ("accelerator", "kind", "superseded", "provider", "date"),
}
CITED = (
    "vendor", "link", "architecture", "accelerator", "node", "cluster", "price", "carbon_intensity", "pue",
    "power_draw", "footprint", "failure_rate", "checkpoint_write", "goodput",
)  # fmt: skip
CITED_WITHOUT_SLUG = {
    "ix_peak_source_document_accelerator_format_layer": ("peak_source", "accelerator", "format", "layer"),
    "ix_efficiency_document": ("efficiency", "accelerator", "metric", "format", "condition", "layer"),
}
WITH_DOCUMENT = sa.text("document IS NOT NULL")


def upgrade() -> None:
    """Make the indexes. None is dropped, though two begin longer ones: on a server a reader of the table would be in the way."""
    for name, (table, columns) in _plain().items():
        op.create_index(name, table, list(columns))
    for name, (table, columns) in _cited().items():
        op.create_index(name, table, list(columns), sqlite_where=WITH_DOCUMENT, postgresql_where=WITH_DOCUMENT)


def downgrade() -> None:
    """Drop them."""
    for name, (table, _) in (_plain() | _cited()).items():
        op.drop_index(name, table_name=table)


def _plain() -> dict[str, tuple[str, tuple[str, ...]]]:
    by_column = [(table, (column, "slug", "layer")) for table, columns in LISTED.items() for column in columns]
    return {f"ix_{table}_{'_'.join(columns)}": (table, columns) for table, columns in [*by_column, *OTHERS.items()]}


def _cited() -> dict[str, tuple[str, tuple[str, ...]]]:
    with_slug = {f"ix_{table}_document_slug_layer": (table, ("document", "slug", "layer")) for table in CITED}
    return with_slug | {name: (table, ("document", *keys)) for name, (table, *keys) in CITED_WITHOUT_SLUG.items()}
