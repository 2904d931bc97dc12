"""The catalog's tables of operation: electricity and its carbon, failures, checkpoints, goodput, as published."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from planner.catalog.declarations import LAYER, SLUG, Base, Fact, above, fact, listed, refers, whole, within


class CarbonIntensity(Fact, Base):
    """What a kilowatt-hour emits: of a country's grid, of a cloud region, of a way to make electricity."""

    __tablename__ = "carbon_intensity"
    __table_args__ = fact(
        *within("g_co2e_per_kwh", 0, 5_000),
        *within("carbon_free_share", 0, 1),
        *within("year", 2000, 2100),
        *whole(2_100, "year"),
        CheckConstraint("kind IN ('country', 'cloud-region', 'technology')", name="kind_known"),
    )

    kind: Mapped[str] = mapped_column(String(20), comment="country, cloud-region or technology")
    provider: Mapped[str] = mapped_column(Text, comment="the cloud; empty for a grid and a technology")
    region: Mapped[str] = mapped_column(Text, comment="ISO 3166 code, cloud region, or technology")
    g_co2e_per_kwh: Mapped[float] = mapped_column(comment="grams of CO2 equivalent for a kilowatt-hour")
    carbon_free_share: Mapped[float | None] = mapped_column(comment="hourly carbon-free share; NULL: not stated")
    basis: Mapped[str] = mapped_column(Text, comment="lifecycle or location-based")
    year: Mapped[int] = mapped_column(comment="the year that it was true of")


class PowerUsageEffectiveness(Fact, Base):
    """Energy of a data centre ÷ energy of its computers, as its operator reports it."""

    __tablename__ = "pue"
    __table_args__ = fact(*within("pue", 1, 5), *within("year", 2000, 2100), *whole(2_100, "year"))

    operator: Mapped[str] = mapped_column(Text, comment="who runs it")
    pue: Mapped[float] = mapped_column(comment="ratio, 1 or more")
    year: Mapped[int] = mapped_column(comment="the year that it was true of")


class PowerDraw(Fact, Base):
    """The power that accelerators, or the node around them, are rated for, drew or were planned with."""

    __tablename__ = "power_draw"
    __table_args__ = fact(
        *within("accelerators", 1, 100_000),
        *whole(100_000, "accelerators"),
        *above(1e9, "watts"),
        *above(1e9, "rated_watts"),
        CheckConstraint("kind IN ('rated', 'measured', 'planned', 'assumed')", name="kind_known"),
        refers("accelerator", "accelerator"),
        refers("node", "node"),
        *listed("accelerator"),
    )

    accelerator: Mapped[str | None] = mapped_column(SLUG, comment="slug of the accelerator")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    node: Mapped[str | None] = mapped_column(SLUG, comment="slug of the node measured; NULL: accelerators alone")
    node_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the node; NULL in the user layer")
    accelerators: Mapped[int] = mapped_column(comment="how many accelerators the figure is for")
    kind: Mapped[str] = mapped_column(String(20), comment="rated, measured, planned or assumed")
    workload: Mapped[str] = mapped_column(Text, comment="what ran")
    watts: Mapped[float] = mapped_column(comment="the power")
    rated_watts: Mapped[float | None] = mapped_column(comment="the rating of the same thing; NULL: not stated")


class Footprint(Fact, Base):
    """What a training run used and emitted, as it was published."""

    __tablename__ = "footprint"
    __table_args__ = fact(
        *above(1e12, "energy_kwh"),
        *above(1e9, "emissions_t_co2e"),
        *above(1e12, "accelerator_hours"),
        *within("year", 2000, 2100),
        *whole(2_100, "year"),
        CheckConstraint(
            "energy_kwh IS NOT NULL OR emissions_t_co2e IS NOT NULL OR accelerator_hours IS NOT NULL",
            name="says_something",
        ),
        refers("accelerator", "accelerator"),
    )

    run: Mapped[str] = mapped_column(Text, comment="the training run")
    scope: Mapped[str] = mapped_column(Text, comment="dynamic, idle, total with embodied, location-based …")
    accelerator: Mapped[str | None] = mapped_column(SLUG, comment="slug of the accelerator")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    energy_kwh: Mapped[float | None] = mapped_column(comment="electricity; NULL: not stated")
    emissions_t_co2e: Mapped[float | None] = mapped_column(comment="tonnes of CO2 equivalent; NULL: not stated")
    accelerator_hours: Mapped[float | None] = mapped_column(comment="time of all accelerators; NULL: not stated")
    year: Mapped[int] = mapped_column(comment="when it was published")


class FailureRate(Fact, Base):
    """How often something stopped a job, a node or an accelerator in a system that somebody described."""

    __tablename__ = "failure_rate"
    __table_args__ = fact(
        *within("accelerators", 1, 10_000_000),
        *above(100_000, "period_days"),
        *above(1e9, "events"),
        *above(100, "events_per_accelerator_day"),
        *above(1_000, "events_per_node_day"),
        *above(1e10, "job_mtti_s"),
        *within("share", 0, 1),
        *within("year", 2000, 2100),
        *whole(1_000_000_000, "accelerators", "events", "year"),
        CheckConstraint("kind IN ('job', 'component', 'hardware', 'projection')", name="kind_known"),
        refers("accelerator", "accelerator"),
    )

    system: Mapped[str] = mapped_column(Text, comment="the machine and its job")
    accelerator: Mapped[str | None] = mapped_column(SLUG, comment="slug of the accelerator; NULL: several or not said")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    accelerators: Mapped[int] = mapped_column(comment="accelerators of the system or job")
    kind: Mapped[str] = mapped_column(
        String(20), comment="job: from any cause; component: one cause's part of it; hardware; projection"
    )
    counted: Mapped[str] = mapped_column(Text, comment="which events the source counts")
    component: Mapped[str] = mapped_column(Text, comment="the part that failed; empty: any")
    share: Mapped[float | None] = mapped_column(comment="the part's share of the events, as printed; NULL: not stated")
    period_days: Mapped[float | None] = mapped_column(comment="how long was watched; NULL: not stated")
    events: Mapped[int | None] = mapped_column(comment="how many were seen; NULL: not stated")
    events_per_accelerator_day: Mapped[float] = mapped_column(comment="the rate")
    events_per_node_day: Mapped[float | None] = mapped_column(comment="the rate by node of eight; NULL: not stated")
    job_mtti_s: Mapped[float | None] = mapped_column(comment="mean time to interruption of the whole; NULL: not stated")
    year: Mapped[int] = mapped_column(comment="when it was published")


class CheckpointWrite(Fact, Base):
    """How fast checkpoints went to storage."""

    __tablename__ = "checkpoint_write"
    __table_args__ = fact(
        *within("accelerators", 1, 10_000_000),
        *above(1e18, "checkpoint_bytes"),
        *above(1e9, "write_s"),
        *above(1e16, "write_bytes_per_s"),
        *above(1e16, "highest_write_bytes_per_s"),
        *within("year", 2000, 2100),
        *whole(10**18, "accelerators", "checkpoint_bytes", "year"),
        CheckConstraint("write_bytes_per_s <= highest_write_bytes_per_s", name="highest_is_highest"),
        refers("accelerator", "accelerator"),
    )

    system: Mapped[str] = mapped_column(Text, comment="the machine and its job")
    accelerator: Mapped[str | None] = mapped_column(SLUG, comment="slug of the accelerator")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    accelerators: Mapped[int] = mapped_column(comment="accelerators that write, or that share the storage")
    checkpoint_bytes: Mapped[int | None] = mapped_column(BigInteger, comment="one checkpoint; NULL: not stated")
    write_s: Mapped[float | None] = mapped_column(comment="time to write it; NULL: not stated")
    write_bytes_per_s: Mapped[float] = mapped_column(comment="sustained, of the whole system; of a range the lower end")
    highest_write_bytes_per_s: Mapped[float | None] = mapped_column(comment="peak, or the range's upper end")
    year: Mapped[int] = mapped_column(comment="when it was published")


class Goodput(Fact, Base):
    """The share of time, or of a machine, that did useful work in a system that somebody described."""

    __tablename__ = "goodput"
    __table_args__ = fact(
        *within("accelerators", 1, 10_000_000),
        *within("share", 0, 1),
        *within("year", 2000, 2100),
        *whole(10_000_000, "accelerators", "year"),
        CheckConstraint(
            "kind IN ('effective-time', 'availability', 'capacity', 'efficiency', 'affected-jobs')", name="kind_known"
        ),
        CheckConstraint("bound IN ('equal', 'at least')", name="bound_known"),
        refers("accelerator", "accelerator"),
    )

    system: Mapped[str] = mapped_column(Text, comment="the machine and its job")
    accelerator: Mapped[str | None] = mapped_column(SLUG, comment="slug of the accelerator; NULL: several or not said")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    accelerators: Mapped[int | None] = mapped_column(comment="accelerators of the system or job; NULL: not stated")
    kind: Mapped[str] = mapped_column(
        String(20), comment="effective-time (goodput), availability, capacity, efficiency, affected-jobs"
    )
    share: Mapped[float] = mapped_column(comment="the share, 0 to 1")
    bound: Mapped[str] = mapped_column(String(10), comment="equal, or at least")
    year: Mapped[int] = mapped_column(comment="when it was published")
