"""Looking at a catalog's file without the planner, and plugins' branches made by hand."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa

MAKER = """
    op.execute("INSERT INTO vendor (slug, layer, name, source, confidence, note) "
               "VALUES ('{label}', '{label}', 'Maker', 'a test', 'high', '')")
    op.execute("INSERT INTO accelerator (slug, layer, name, source, confidence, note, vendor, vendor_layer, architecture, "
               "year, form_factor, capacity_bytes, memory_type, memory_bandwidth_bytes_per_s, scaleup_domain) "
               "VALUES ('{label}-1', '{label}', 'One', 'a test', 'high', '', '{vendor}', '{layer}', 'first', "
               "2026, 'PCIe', 1024, 'HBM', 1e12, 1)")
"""
"""What the revision of a plugin does that brings an accelerator of the vendor `vendor` of the layer `layer`."""

REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}
branch_labels = {labels!r}
depends_on = {depends!r}


def upgrade():
    op.create_table("{table}", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO {table} VALUES (1)")
    {extra}


def downgrade():
    op.drop_table("{table}")
"""


def dump(path: Path) -> dict[str, Any]:
    """Every table's definition, as sorted lines, and its rows; the revision too.

    In which order a rebuilt table lists its constraints is chance.
    """
    with sqlite3.connect(path) as connection:
        tables = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
        return {
            name: (definition(sql), sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr))
            for name, sql in tables.items()
        }


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table, on any database; the revision too."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        return {
            name: sorted((tuple(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')), key=repr)
            for name in names
        }


def execute(url: str, *statements: str) -> None:
    """Change a catalog on any database behind the planner's back."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def definition(sql: str) -> list[str]:
    """The columns and constraints of a table's definition, sorted."""
    lines = [line.strip().rstrip(",").replace('"', "") for line in sql.split("\n")]
    return sorted(line for line in lines if line)


def run(path: Path, *statements: str) -> None:
    """Change a catalog behind the planner's back."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def drop_column(path: Path, table: str, column: str) -> None:
    """Make a table anew without one of its columns; constraints and indices go with it."""
    connection = sqlite3.connect(path)
    with connection:
        names = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")') if row[1] != column]
        connection.execute(f'CREATE TABLE kept AS SELECT {", ".join(names)} FROM "{table}"')
        connection.execute(f'DROP TABLE "{table}"')
        connection.execute(f'ALTER TABLE kept RENAME TO "{table}"')
    connection.close()


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


CLUSTER = "INSERT INTO cluster (slug, layer, name, source, confidence, note, node, nodes) VALUES "


def users_cluster(slug: str = "mine", node: str = "dgx-a100-640", nodes: int = 3) -> tuple[str, str]:
    """The statements with which a user's own cluster is written."""
    return (
        f"{CLUSTER} ('{slug}', 'user', 'Mine', 'me', 'high', '', '{node}', {nodes})",
        f"INSERT INTO alias VALUES ('clusters', '{slug}', 'user', '{slug}', '{slug}', 'slug')",
    )


def branch(
    folder: Path, label: str, *, extra: str = "pass", revision: str | None = None, depends: str = "0001"
) -> Path:
    """A plugin's directory of revisions with one revision that makes one table; `extra` runs at its end."""
    folder.mkdir()
    name = revision or f"{label}_0001"
    text = REVISION.format(
        revision=name, down=None, labels=(label,), depends=depends, table=f"{label}_fact", extra=extra
    )
    (folder / f"{name}.py").write_text(text)
    return folder
