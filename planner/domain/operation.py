"""Facts about running a machine: its electricity and the carbon of it, its failures, its checkpoints, as published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFact:
    """What every such fact says of itself: identity, and who said it when."""

    slug: str
    name: str
    source: str
    source_date: str | None
    confidence: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonIntensity(OperationFact):
    """Grams of CO2 equivalent for a kilowatt-hour.

    `kind` is ``country``, ``cloud-region`` or ``technology``; `basis` says whether the figure counts the life cycle.
    """

    kind: str
    provider: str
    region: str
    g_co2e_per_kwh: float
    carbon_free_share: float | None
    basis: str
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerUsageEffectiveness(OperationFact):
    """Energy of a data centre ÷ energy of its computers (1 or more), as `operator` reports it."""

    operator: str
    pue: float
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDraw(OperationFact):
    """Power of `accelerators` accelerators, or of the `node` around them, while `workload` ran.

    `kind` is ``rated``, ``measured``, ``planned`` or ``assumed``.
    """

    accelerator: str | None
    node: str | None
    accelerators: int
    kind: str
    workload: str
    watts: float
    rated_watts: float | None

    @property
    def rated_share(self) -> float | None:
        """Power ÷ rating; None where the rating is not stated."""
        return None if self.rated_watts is None else self.watts / self.rated_watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint(OperationFact):
    """What a training run used and emitted; None: not stated."""

    run: str
    scope: str
    accelerator: str | None
    energy_kwh: float | None
    emissions_t_co2e: float | None
    accelerator_hours: float | None
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRate(OperationFact):
    """How often something stopped a job, a node or an accelerator of `system`.

    `kind` is ``job`` (whatever the cause), ``component`` (one cause's part of that), ``hardware`` or ``projection``;
    `counted` says which events the source counts. `job_mtti_s` is the mean time to an interruption of the whole system.
    """

    system: str
    accelerator: str | None
    accelerators: int
    kind: str
    counted: str
    component: str
    share: float | None
    period_days: float | None
    events: int | None
    events_per_accelerator_day: float
    events_per_node_day: float | None
    job_mtti_s: float | None
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointWrite(OperationFact):
    """How fast a whole system wrote checkpoints: sustained, or the lower end of a range, and the highest."""

    system: str
    accelerator: str | None
    accelerators: int
    checkpoint_bytes: int | None
    write_s: float | None
    write_bytes_per_s: float
    highest_write_bytes_per_s: float | None
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput(OperationFact):
    """The share of time or machine that did useful work; `bound` is ``equal`` or ``at least``.

    `kind` is ``effective-time`` (goodput proper), ``availability``, ``capacity``, ``efficiency`` or ``affected-jobs``.
    """

    system: str
    accelerator: str | None
    accelerators: int | None
    kind: str
    share: float
    bound: str
    year: int
