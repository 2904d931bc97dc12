"""How a run is operated: what its hours cost, what its machines draw, how often they fail and what is done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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
    """A question's operation with every default filled; None where nothing is known."""

    utilisation: float = 1.0
    power: Power | None = None
    reliability: Reliability | None = None


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
class FailureStudy:
    """How often a published system was interrupted: per accelerator and day. `generation` as of its accelerators ("": several
    or not said); `accelerators` how many there were."""

    system: str
    generation: str
    accelerators: int
    per_gpu_day: float
    source: str
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStudy:
    """How fast a published system's storage took checkpoints from its accelerators, in all."""

    system: str
    accelerators: int
    bytes_per_s: float
    source: str
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePower:
    """What a node of `accelerators` drew, or was planned for, with all of them at work [W]."""

    accelerator: str
    generation: str
    accelerators: int
    watts: float
    accelerator_w: float
    source: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PueReport:
    """Energy of a data centre over energy of its computers, as its operator reports it."""

    operator: str
    pue: float
    year: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCarbon:
    """What a kilowatt-hour emits somewhere [kg CO2e]."""

    name: str
    kg_per_kwh: float
    year: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFacts:
    """What the catalog knows of operating a run; `carbon` is the one of the region that was asked about."""

    failures: tuple[FailureStudy, ...] = ()
    storage: tuple[StorageStudy, ...] = ()
    nodes: tuple[NodePower, ...] = ()
    pues: tuple[PueReport, ...] = ()
    carbon: GridCarbon | None = None
    prices: PriceRange | None = None


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
