"""Tables of operation: carbon, PUE, power, footprints, failures, checkpoints, goodput.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SLUG = sa.String(120)
LAYER = sa.String(40)
TABLES = (
    "carbon_intensity", "pue", "power_draw", "footprint", "failure_rate", "checkpoint_write", "goodput",
)  # fmt: skip


def upgrade() -> None:
    """Create the tables of operation."""
    _carbon_intensity()
    _pue()
    _power_draw()
    _footprint()
    _failure_rate()
    _checkpoint_write()
    _goodput()


def downgrade() -> None:
    """Drop the tables of operation."""
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


def provenance(table: str) -> tuple[sa.Constraint, ...]:
    """The constraints of every table of facts."""
    return (
        refers(table, "document", "source"),
        check(table, "confidence_known", "confidence IN ('high', 'medium', 'low')"),
        check(table, "source_date_iso", "source_date IS NULL OR length(source_date) IN (4, 7, 10)"),
        check(table, "slug_not_empty", "slug <> ''"),
    )


def _carbon_intensity() -> None:
    op.create_table(
        "carbon_intensity",
        *identity(),
        required("kind", sa.String(20), "country, cloud-region or technology"),
        required("provider", sa.Text(), "the cloud; empty for a grid and a technology"),
        required("region", sa.Text(), "ISO 3166 code, cloud region, or technology"),
        required("g_co2e_per_kwh", sa.Double(), "grams of CO2 equivalent for a kilowatt-hour"),
        optional("carbon_free_share", sa.Double(), "hourly carbon-free share; NULL: not stated"),
        required("basis", sa.Text(), "lifecycle or location-based"),
        required("year", sa.Integer(), "the year that it was true of"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_carbon_intensity"),
        check("carbon_intensity", "carbon_free_share_plausible", '"carbon_free_share" BETWEEN 0 AND 1'),
        check("carbon_intensity", "g_co2e_per_kwh_plausible", '"g_co2e_per_kwh" BETWEEN 0 AND 5000'),
        check("carbon_intensity", "kind_known", "kind IN ('country', 'cloud-region', 'technology')"),
        check("carbon_intensity", "year_plausible", '"year" BETWEEN 2000 AND 2100'),
        *provenance("carbon_intensity"),
    )


def _pue() -> None:
    op.create_table(
        "pue",
        *identity(),
        required("operator", sa.Text(), "who runs it"),
        required("pue", sa.Double(), "ratio, 1 or more"),
        required("year", sa.Integer(), "the year that it was true of"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_pue"),
        check("pue", "pue_plausible", '"pue" BETWEEN 1 AND 5'),
        check("pue", "year_plausible", '"year" BETWEEN 2000 AND 2100'),
        *provenance("pue"),
    )


def _power_draw() -> None:
    op.create_table(
        "power_draw",
        *identity(),
        optional("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        optional("node", SLUG, "slug of the node measured; NULL: accelerators alone"),
        optional("node_layer", LAYER, "layer of the node; NULL in the user layer"),
        required("accelerators", sa.Integer(), "how many accelerators the figure is for"),
        required("kind", sa.String(20), "rated, measured, planned or assumed"),
        required("workload", sa.Text(), "what ran"),
        required("watts", sa.Double(), "the power"),
        optional("rated_watts", sa.Double(), "the rating of the same thing; NULL: not stated"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_power_draw"),
        refers("power_draw", "accelerator", "accelerator"),
        refers("power_draw", "node", "node"),
        check("power_draw", "accelerators_plausible", '"accelerators" BETWEEN 1 AND 100000'),
        check("power_draw", "kind_known", "kind IN ('rated', 'measured', 'planned', 'assumed')"),
        check("power_draw", "rated_watts_plausible", '"rated_watts" > 0 AND "rated_watts" <= 1000000000'),
        check("power_draw", "watts_plausible", '"watts" > 0 AND "watts" <= 1000000000'),
        *provenance("power_draw"),
    )


def _footprint() -> None:
    op.create_table(
        "footprint",
        *identity(),
        required("run", sa.Text(), "the training run"),
        required("scope", sa.Text(), "dynamic, idle, total with embodied, location-based …"),
        optional("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        optional("energy_kwh", sa.Double(), "electricity; NULL: not stated"),
        optional("emissions_t_co2e", sa.Double(), "tonnes of CO2 equivalent; NULL: not stated"),
        optional("accelerator_hours", sa.Double(), "time of all accelerators; NULL: not stated"),
        required("year", sa.Integer(), "when it was published"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_footprint"),
        refers("footprint", "accelerator", "accelerator"),
        check(
            "footprint",
            "accelerator_hours_plausible",
            '"accelerator_hours" > 0 AND "accelerator_hours" <= 1000000000000',
        ),
        check("footprint", "emissions_t_co2e_plausible", '"emissions_t_co2e" > 0 AND "emissions_t_co2e" <= 1000000000'),
        check("footprint", "energy_kwh_plausible", '"energy_kwh" > 0 AND "energy_kwh" <= 1000000000000'),
        check(
            "footprint",
            "says_something",
            "energy_kwh IS NOT NULL OR emissions_t_co2e IS NOT NULL OR accelerator_hours IS NOT NULL",
        ),
        check("footprint", "year_plausible", '"year" BETWEEN 2000 AND 2100'),
        *provenance("footprint"),
    )


def _failure_rate() -> None:
    op.create_table(
        "failure_rate",
        *identity(),
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
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_failure_rate"),
        refers("failure_rate", "accelerator", "accelerator"),
        check("failure_rate", "accelerators_plausible", '"accelerators" BETWEEN 1 AND 10000000'),
        check(
            "failure_rate",
            "events_per_accelerator_day_plausible",
            '"events_per_accelerator_day" > 0 AND "events_per_accelerator_day" <= 100',
        ),
        check(
            "failure_rate",
            "events_per_node_day_plausible",
            '"events_per_node_day" > 0 AND "events_per_node_day" <= 1000',
        ),
        check("failure_rate", "events_plausible", '"events" > 0 AND "events" <= 1000000000'),
        check("failure_rate", "job_mtti_s_plausible", '"job_mtti_s" > 0 AND "job_mtti_s" <= 10000000000'),
        check("failure_rate", "kind_known", "kind IN ('job', 'component', 'hardware', 'projection')"),
        check("failure_rate", "period_days_plausible", '"period_days" > 0 AND "period_days" <= 100000'),
        check("failure_rate", "share_plausible", '"share" BETWEEN 0 AND 1'),
        check("failure_rate", "year_plausible", '"year" BETWEEN 2000 AND 2100'),
        *provenance("failure_rate"),
    )


def _checkpoint_write() -> None:
    op.create_table(
        "checkpoint_write",
        *identity(),
        required("system", sa.Text(), "the machine and its job"),
        optional("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        required("accelerators", sa.Integer(), "accelerators that write, or that share the storage"),
        optional("checkpoint_bytes", sa.BigInteger(), "one checkpoint; NULL: not stated"),
        optional("write_s", sa.Double(), "time to write it; NULL: not stated"),
        required("write_bytes_per_s", sa.Double(), "sustained, of the whole system; of a range the lower end"),
        optional("highest_write_bytes_per_s", sa.Double(), "peak, or the range's upper end"),
        required("year", sa.Integer(), "when it was published"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_checkpoint_write"),
        refers("checkpoint_write", "accelerator", "accelerator"),
        check("checkpoint_write", "accelerators_plausible", '"accelerators" BETWEEN 1 AND 10000000'),
        check(
            "checkpoint_write",
            "checkpoint_bytes_plausible",
            '"checkpoint_bytes" > 0 AND "checkpoint_bytes" <= 1000000000000000000',
        ),
        check("checkpoint_write", "highest_is_highest", "write_bytes_per_s <= highest_write_bytes_per_s"),
        check(
            "checkpoint_write",
            "highest_write_bytes_per_s_plausible",
            '"highest_write_bytes_per_s" > 0 AND "highest_write_bytes_per_s" <= 10000000000000000',
        ),
        check(
            "checkpoint_write",
            "write_bytes_per_s_plausible",
            '"write_bytes_per_s" > 0 AND "write_bytes_per_s" <= 10000000000000000',
        ),
        check("checkpoint_write", "write_s_plausible", '"write_s" > 0 AND "write_s" <= 1000000000'),
        check("checkpoint_write", "year_plausible", '"year" BETWEEN 2000 AND 2100'),
        *provenance("checkpoint_write"),
    )


def _goodput() -> None:
    op.create_table(
        "goodput",
        *identity(),
        required("system", sa.Text(), "the machine and its job"),
        optional("accelerator", SLUG, "slug of the accelerator; NULL: several or not said"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        optional("accelerators", sa.Integer(), "accelerators of the system or job; NULL: not stated"),
        required("kind", sa.String(20), "effective-time (goodput), availability, capacity, efficiency, affected-jobs"),
        required("share", sa.Double(), "the share, 0 to 1"),
        required("bound", sa.String(10), "equal, or at least"),
        required("year", sa.Integer(), "when it was published"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_goodput"),
        refers("goodput", "accelerator", "accelerator"),
        check("goodput", "accelerators_plausible", '"accelerators" BETWEEN 1 AND 10000000'),
        check("goodput", "bound_known", "bound IN ('equal', 'at least')"),
        check(
            "goodput",
            "kind_known",
            "kind IN ('effective-time', 'availability', 'capacity', 'efficiency', 'affected-jobs')",
        ),
        check("goodput", "share_plausible", '"share" BETWEEN 0 AND 1'),
        check("goodput", "year_plausible", '"year" BETWEEN 2000 AND 2100'),
        *provenance("goodput"),
    )
