"""How a run is operated: what its hours cost, what its machines draw, how often they fail and what is done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from planner.domain.operation import (
    CarbonIntensity,
    CheckpointWrite,
    FailureRate,
    PowerDraw,
    PowerUsageEffectiveness,
)

BLOCKING: Final = "blocking"
ASYNCHRONOUS: Final = "async"
CHECKPOINT_MODES: Final = (BLOCKING, ASYNCHRONOUS)
ON_DEMAND: Final = "on-demand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a question says of operating the run; None means the planner's default, which the answer lists.

    `price_usd`: US dollars of one accelerator for an hour; `price_kind`: which prices of the catalog count (``on-demand``,
    ``spot``, ``reserved`` …). `utilisation`: the fraction of paid hours in which the run trains. `region`: a region or country
    of the catalog, for the grid's carbon. `pue`: power usage effectiveness of the building. The rest is goodput:
    interruptions of a job per GPU and day, seconds from an interruption to the next start, how checkpoints are written
    (``blocking`` or ``async``), seconds of work between them, bytes per second that the storage takes in all.
    """

    price_usd: float | None = None
    price_kind: str | None = None
    utilisation: float = 1.0
    region: str | None = None
    pue: float | None = None
    failures_per_gpu_day: float | None = None
    restart_s: float | None = None
    checkpoint: str | None = None
    checkpoint_interval_s: float | None = None
    checkpoint_bytes_per_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON; open values are null."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What one accelerator draws [W] while kernels compute, while memory streams, while it waits for others, and while the
    job stands still; its share of the host; the building's PUE; the grid's carbon [kg CO2e per kWh] (None: not asked)."""

    computing_w: float
    streaming_w: float
    waiting_w: float
    idle_w: float
    host_w: float
    pue: float
    carbon_kg_per_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How often a job is interrupted and what that costs.

    Interruptions per GPU and day, with the least and the most that the studies say; `restart_s` from an interruption to the
    next start, without reading the checkpoint. Checkpoints have `checkpoint_bytes` and are written (and read) by all GPUs at
    `bytes_per_s_per_gpu`, in all at no more than `most_bytes_per_s`. An asynchronous one stops the job for `stall_s` and the
    copy to the host at `host_bytes_per_s` per GPU. `interval_s`: seconds of work between two; None: the best ones.
    Fewer GPUs than `gpus_per_node` have a whole node's way to the storage.
    """

    failures_per_gpu_day: float
    least_failures_per_gpu_day: float
    most_failures_per_gpu_day: float
    restart_s: float
    checkpoint_bytes: float
    bytes_per_s_per_gpu: float
    most_bytes_per_s: float
    gpus_per_node: int = 1
    asynchronous: bool = False
    stall_s: float = 0.0
    host_bytes_per_s: float | None = None
    interval_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operating:
    """A question's operation with every default filled; None where nothing is known. `prices`: what providers ask."""

    utilisation: float = 1.0
    power: Power | None = None
    reliability: Reliability | None = None
    prices: PriceRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyUse:
    """Energy [kWh] of a run: `facility_kwh` = (accelerators + hosts) times PUE; `accelerator_w` is the mean power of one."""

    accelerators_kwh: float
    hosts_kwh: float
    facility_kwh: float
    accelerator_w: float
    pue: float
    carbon_kg: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRun:
    """The run as it can be expected to go: with interruptions, checkpoints and restarts.

    `goodput` is the fraction of wall-clock time that is progress; `goodput_range` what it is at the most and at the least
    failures that studies saw. `interval_s` of work between checkpoints (`young_interval_s`: to first order, to compare).
    A duration of None: interruptions come faster than the job can restart.
    """

    goodput: float
    goodput_range: tuple[float, float]
    duration_s: float | None
    cost_usd: float | None
    energy_kwh: float | None
    carbon_kg: float | None
    interruptions: float | None
    mean_time_to_interrupt_s: float
    failures_per_gpu_day: float
    checkpoint_bytes: float
    checkpoint_write_s: float
    checkpoint_stall_s: float
    interval_s: float
    young_interval_s: float
    restart_s: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"goodput_range": list(self.goodput_range)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange:
    """What providers ask for an accelerator: US dollars per hour of one, from the lowest to the highest provider."""

    kind: str
    low_usd: float
    median_usd: float
    high_usd: float
    providers: Mapping[str, float]
    oldest: str
    newest: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"providers": dict(self.providers)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorNote:
    """What a fact about an accelerator is compared by: its generation (``Hopper``) and rated power [W] (None: unknown)."""

    generation: str
    tdp_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningFacts:
    """What the catalog knows of running a job, and of the accelerators that it says it of.

    `carbon` is that of the region that was asked about, else the world's; `prices` those of the question's accelerator.
    """

    failures: tuple[FailureRate, ...] = ()
    checkpoints: tuple[CheckpointWrite, ...] = ()
    power: tuple[PowerDraw, ...] = ()
    pues: tuple[PowerUsageEffectiveness, ...] = ()
    carbon: CarbonIntensity | None = None
    prices: PriceRange | None = None
    accelerators: Mapping[str, AcceleratorNote] = field(default_factory=dict)

    def generation(self, accelerator: str | None) -> str:
        """The generation of an accelerator of a fact; "" where it is not known."""
        note = None if accelerator is None else self.accelerators.get(accelerator)
        return "" if note is None else note.generation
