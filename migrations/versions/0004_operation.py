"""Tables of operation: carbon, PUE, power, footprints, failures, checkpoints, goodput; and indexes for many rows.

Revision ID: 0004
Revises: 0003

The indexes are for catalogs with very many rows of a user's: prices of an entry by date, accelerators by vendor and memory,
rates by format are what lists and single entries look for.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SLUG = sa.String(120)
LAYER = sa.String(40)
SHARED = sa.text("layer <> 'user'")
TABLES = (
    "carbon_intensity", "pue", "power_draw", "footprint", "failure_rate", "checkpoint_write", "goodput",
)  # fmt: skip
INDEXES = {
    "price": (("accelerator", "date"), ("node", "date"), ("cluster", "date")),
    "accelerator": (("vendor", "capacity_bytes"), ("capacity_bytes",)),
    "peak_rate": (("format", "accelerator"),),
}
"""The columns of each new index, by its table."""


def upgrade() -> None:
    """Create every table and index."""
    _carbon_intensity()
    _pue()
    _power_draw()
    _footprint()
    _failure_rate()
    _checkpoint_write()
    _goodput()
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def downgrade() -> None:
    """Drop every table and index."""
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.drop_index(f"ix_{table}_{'_'.join(columns)}", table_name=table)
    for table in reversed(TABLES):
        op.drop_table(table)


def required(name: str, kind: Any, comment: str) -> sa.Column[Any]:  # noqa: ANN401 - any type of SQLAlchemy
    """A column that is never NULL."""
    return sa.Column(name, kind, nullable=False, comment=comment)


def optional(name: str, kind: Any, comment: str) -> sa.Column[Any]:  # noqa: ANN401 - any type of SQLAlchemy
    """A column in which NULL means unknown or absent."""
    return sa.Column(name, kind, nullable=True, comment=comment)


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    """A named constraint of `table`."""
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def refers(
    table: str, column: str, target: str, *, layer: str | None = None, ondelete: str | None = None
) -> sa.ForeignKeyConstraint:
    """A reference of `column` by slug and layer to `target`."""
    return sa.ForeignKeyConstraint(
        [column, layer or f"{column}_layer"],
        [f"{target}.slug", f"{target}.layer"],
        name=op.f(f"fk_{table}_{column}_{target}"),
        ondelete=ondelete,
    )


def identity() -> tuple[sa.Column[Any], ...]:
    """The columns of every table of facts."""
    return (
        required("slug", SLUG, "identity, as people type it"),
        required("layer", LAYER, "vendor, a plugin's branch label, or user"),
        required("name", sa.Text(), "for people"),
        optional("document", SLUG, "slug of the main source document"),
        optional("document_layer", LAYER, "layer of the document; NULL in the user layer"),
        required("source", sa.Text(), "where the row was read, in full"),
        optional("source_date", sa.String(10), "when the source said so: a day, month or year"),
        required("confidence", sa.String(10), "high, medium or low"),
        required("note", sa.Text(), "doubts, contradictions, what was corrected"),
    )


def dated(column: str) -> str:
    """The column is a day, month or year that exists."""
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


def within(table: str, column: str, least: float, most: float) -> sa.CheckConstraint:
    """The column is between `least` and `most`, or unknown."""
    return check(table, f"{column}_plausible", f'"{column}" BETWEEN {least:.0f} AND {most:.0f}')


def above(table: str, column: str, most: float) -> sa.CheckConstraint:
    """The column is above zero and at most `most`, or unknown: infinity, NaN and words are refused."""
    return check(table, f"{column}_plausible", f'"{column}" > 0 AND "{column}" <= {most:.0f}')


def whole(table: str, column: str, most: int) -> sa.CheckConstraint:
    """The column is a whole number of at most `most`, or unknown. SQLite would keep 1.5 and words."""
    return check(table, f"{column}_whole", f'"{column}" <= {most} AND round("{column}") = "{column}"')


def provenance(table: str) -> tuple[sa.Constraint, ...]:
    """The constraints of every table of facts."""
    return (
        refers(table, "document", "source"),
        check(table, "confidence_known", "confidence IN ('high', 'medium', 'low')"),
        check(table, "layer_plain", "layer <> '' AND layer = trim(layer) AND length(layer) <= 40"),
        check(table, "name_not_empty", "name <> ''"),
        check(table, "slug_plain", "slug <> '' AND slug = trim(slug) AND length(slug) <= 120"),
        check(table, "source_date_iso", dated("source_date")),
        check(table, "source_named", "layer = 'user' OR source <> ''"),
    )


def _create(table: str, *own: sa.Column[Any] | sa.Constraint) -> None:
    key = sa.PrimaryKeyConstraint("slug", "layer", name=op.f(f"pk_{table}"))
    op.create_table(table, *identity(), *own, key, *provenance(table))
    op.create_index(f"ix_{table}_slug", table, ["slug"], unique=True, sqlite_where=SHARED, postgresql_where=SHARED)


def _carbon_intensity() -> None:
    _create(
        "carbon_intensity",
        required("kind", sa.String(20), "country, cloud-region or technology"),
        required("provider", sa.Text(), "the cloud; empty for a grid and a technology"),
        required("region", sa.Text(), "ISO 3166 code, cloud region, or technology"),
        required("g_co2e_per_kwh", sa.Double(), "grams of CO2 equivalent for a kilowatt-hour"),
        optional("carbon_free_share", sa.Double(), "hourly carbon-free share; NULL: not stated"),
        required("basis", sa.Text(), "lifecycle or location-based"),
        required("year", sa.Integer(), "the year that it was true of"),
        within("carbon_intensity", "carbon_free_share", 0, 1),
        within("carbon_intensity", "g_co2e_per_kwh", 0, 5_000),
        check("carbon_intensity", "kind_known", "kind IN ('country', 'cloud-region', 'technology')"),
        within("carbon_intensity", "year", 2000, 2_100),
        whole("carbon_intensity", "year", 2_100),
    )


def _pue() -> None:
    _create(
        "pue",
        required("operator", sa.Text(), "who runs it"),
        required("pue", sa.Double(), "ratio, 1 or more"),
        required("year", sa.Integer(), "the year that it was true of"),
        within("pue", "pue", 1, 5),
        within("pue", "year", 2000, 2_100),
        whole("pue", "year", 2_100),
    )


def _power_draw() -> None:
    _create(
        "power_draw",
        optional("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        optional("node", SLUG, "slug of the node measured; NULL: accelerators alone"),
        optional("node_layer", LAYER, "layer of the node; NULL in the user layer"),
        required("accelerators", sa.Integer(), "how many accelerators the figure is for"),
        required("kind", sa.String(20), "rated, measured, planned or assumed"),
        required("workload", sa.Text(), "what ran"),
        required("watts", sa.Double(), "the power"),
        optional("rated_watts", sa.Double(), "the rating of the same thing; NULL: not stated"),
        refers("power_draw", "accelerator", "accelerator"),
        refers("power_draw", "node", "node"),
        within("power_draw", "accelerators", 1, 100_000),
        whole("power_draw", "accelerators", 100_000),
        check("power_draw", "kind_known", "kind IN ('rated', 'measured', 'planned', 'assumed')"),
        above("power_draw", "rated_watts", 1e9),
        above("power_draw", "watts", 1e9),
    )


def _footprint() -> None:
    _create(
        "footprint",
        required("run", sa.Text(), "the training run"),
        required("scope", sa.Text(), "dynamic, idle, total with embodied, location-based …"),
        optional("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        optional("energy_kwh", sa.Double(), "electricity; NULL: not stated"),
        optional("emissions_t_co2e", sa.Double(), "tonnes of CO2 equivalent; NULL: not stated"),
        optional("accelerator_hours", sa.Double(), "time of all accelerators; NULL: not stated"),
        required("year", sa.Integer(), "when it was published"),
        refers("footprint", "accelerator", "accelerator"),
        above("footprint", "accelerator_hours", 1e12),
        above("footprint", "emissions_t_co2e", 1e9),
        above("footprint", "energy_kwh", 1e12),
        check(
            "footprint",
            "says_something",
            "energy_kwh IS NOT NULL OR emissions_t_co2e IS NOT NULL OR accelerator_hours IS NOT NULL",
        ),
        within("footprint", "year", 2000, 2_100),
        whole("footprint", "year", 2_100),
    )


def _failure_rate() -> None:
    _create(
        "failure_rate",
        required("system", sa.Text(), "the machine and its job"),
        optional("accelerator", SLUG, "slug of the accelerator; NULL: several or not said"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        required("accelerators", sa.Integer(), "accelerators of the system or job"),
        required("kind", sa.String(20), "job: from any cause; component: one cause's part of it; hardware; projection"),
        required("counted", sa.Text(), "which events the source counts"),
        required("component", sa.Text(), "the part that failed; empty: any"),
        optional("share", sa.Double(), "the part's share of the events, as printed; NULL: not stated"),
        optional("period_days", sa.Double(), "how long was watched; NULL: not stated"),
        optional("events", sa.Integer(), "how many were seen; NULL: not stated"),
        required("events_per_accelerator_day", sa.Double(), "the rate"),
        optional("events_per_node_day", sa.Double(), "the rate by node of eight; NULL: not stated"),
        optional("job_mtti_s", sa.Double(), "mean time to interruption of the whole; NULL: not stated"),
        required("year", sa.Integer(), "when it was published"),
        refers("failure_rate", "accelerator", "accelerator"),
        within("failure_rate", "accelerators", 1, 1e7),
        whole("failure_rate", "accelerators", 1_000_000_000),
        above("failure_rate", "events_per_accelerator_day", 100),
        above("failure_rate", "events_per_node_day", 1_000),
        above("failure_rate", "events", 1e9),
        whole("failure_rate", "events", 1_000_000_000),
        above("failure_rate", "job_mtti_s", 1e10),
        check("failure_rate", "kind_known", "kind IN ('job', 'component', 'hardware', 'projection')"),
        above("failure_rate", "period_days", 100_000),
        within("failure_rate", "share", 0, 1),
        within("failure_rate", "year", 2000, 2_100),
        whole("failure_rate", "year", 1_000_000_000),
    )


def _checkpoint_write() -> None:
    _create(
        "checkpoint_write",
        required("system", sa.Text(), "the machine and its job"),
        optional("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        required("accelerators", sa.Integer(), "accelerators that write, or that share the storage"),
        optional("checkpoint_bytes", sa.BigInteger(), "one checkpoint; NULL: not stated"),
        optional("write_s", sa.Double(), "time to write it; NULL: not stated"),
        required("write_bytes_per_s", sa.Double(), "sustained, of the whole system; of a range the lower end"),
        optional("highest_write_bytes_per_s", sa.Double(), "peak, or the range's upper end"),
        required("year", sa.Integer(), "when it was published"),
        refers("checkpoint_write", "accelerator", "accelerator"),
        within("checkpoint_write", "accelerators", 1, 1e7),
        whole("checkpoint_write", "accelerators", 1_000_000_000_000_000_000),
        above("checkpoint_write", "checkpoint_bytes", 1e18),
        whole("checkpoint_write", "checkpoint_bytes", 1_000_000_000_000_000_000),
        check("checkpoint_write", "highest_is_highest", "write_bytes_per_s <= highest_write_bytes_per_s"),
        above("checkpoint_write", "highest_write_bytes_per_s", 1e16),
        above("checkpoint_write", "write_bytes_per_s", 1e16),
        above("checkpoint_write", "write_s", 1e9),
        within("checkpoint_write", "year", 2000, 2_100),
        whole("checkpoint_write", "year", 1_000_000_000_000_000_000),
    )


def _goodput() -> None:
    _create(
        "goodput",
        required("system", sa.Text(), "the machine and its job"),
        optional("accelerator", SLUG, "slug of the accelerator; NULL: several or not said"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        optional("accelerators", sa.Integer(), "accelerators of the system or job; NULL: not stated"),
        required("kind", sa.String(20), "effective-time (goodput), availability, capacity, efficiency, affected-jobs"),
        required("share", sa.Double(), "the share, 0 to 1"),
        required("bound", sa.String(10), "equal, or at least"),
        required("year", sa.Integer(), "when it was published"),
        refers("goodput", "accelerator", "accelerator"),
        within("goodput", "accelerators", 1, 1e7),
        whole("goodput", "accelerators", 10_000_000),
        check("goodput", "bound_known", "bound IN ('equal', 'at least')"),
        check(
            "goodput",
            "kind_known",
            "kind IN ('effective-time', 'availability', 'capacity', 'efficiency', 'affected-jobs')",
        ),
        within("goodput", "share", 0, 1),
        within("goodput", "year", 2000, 2_100),
        whole("goodput", "year", 10_000_000),
    )
