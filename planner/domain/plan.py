"""What is answered: plans, their memory and time by component, refusals, near misses, traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.domain.running import EnergyUse, ExpectedRun
from planner.units import format_missing_bytes

MEMORY_COMPONENTS = ("weights", "gradients", "optimizer", "activations", "other")
TIME_COMPONENTS = (
    "forward", "backward", "recompute", "tp", "cp", "ep", "pp", "dp", "bubble", "optimizer", "other",
)  # fmt: skip
LAYOUT_FIELDS = (
    "tp", "pp", "vpp", "cp", "ep", "etp", "dp", "zero", "shard_group", "sequence_parallel", "micro_batch", "recompute", "schedule",
    "framework",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One traced number: its value and unit, the formula behind it, the plugin that brought it, the formula's source."""

    name: str
    component: str
    value: float
    unit: str
    formula: str = ""
    plugin: str = ""
    source: str = ""
    stage: int | None = None
    instant: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {key: getattr(self, key) for key in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory [bytes] of the fullest rank at the instant of its peak.

    `components` sum to `total_bytes`; `capacity_bytes` is what the device offers, `headroom_bytes` what is kept free of it.
    Between `least_bytes` and `most_bytes` lies the total by what was published of what the device adds (context, communicators,
    the allocator's reserve); None where that was not asked.
    `host_bytes` is what one rank keeps in its host's memory, of which it may use `host_capacity_bytes` (None: unknown).
    """

    total_bytes: float
    capacity_bytes: float
    headroom_bytes: float
    stage: int
    when: str
    components: Mapping[str, float]
    least_bytes: float | None = None
    most_bytes: float | None = None
    host_bytes: float = 0.0
    host_capacity_bytes: float | None = None

    @property
    def fits(self) -> bool:
        """Whether the total leaves the headroom free, and the host holds what is kept there."""
        return self.total_bytes + self.headroom_bytes <= self.capacity_bytes and not self.host_missing_bytes

    @property
    def host_missing_bytes(self) -> float:
        """By how much the host's share is too small (0 if it is not, or is not known)."""
        return 0.0 if self.host_capacity_bytes is None else max(0.0, self.host_bytes - self.host_capacity_bytes)

    @property
    def shortfall(self) -> str:
        """What is too small and by how much, in words; "" if it fits."""
        if self.missing_bytes:
            return f"does not fit: {format_missing_bytes(self.missing_bytes)} too much"
        host = f"does not fit: {format_missing_bytes(self.host_missing_bytes)} too much in the host's memory"
        return host if self.host_missing_bytes else ""

    @property
    def missing_bytes(self) -> float:
        """By how much it does not fit (0 if it does)."""
        return max(0.0, self.total_bytes + self.headroom_bytes - self.capacity_bytes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "total_bytes": self.total_bytes,
            "capacity_bytes": self.capacity_bytes,
            "headroom_bytes": self.headroom_bytes,
            "stage": self.stage,
            "when": self.when,
            "components": dict(self.components),
            "least_bytes": self.least_bytes,
            "most_bytes": self.most_bytes,
            "host_bytes": self.host_bytes,
            "host_capacity_bytes": self.host_capacity_bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMemory:
    """Memory [bytes] by component on the ranks of one pipeline stage, at each instant of a step in its order."""

    stage: int
    instants: Mapping[str, Mapping[str, float]]

    @property
    def peak(self) -> str:
        """The instant at which the stage holds most, the first of equals."""
        return max(self.instants, key=self.total_bytes)

    def total_bytes(self, instant: str) -> float:
        """All components at one instant."""
        return sum(self.instants[instant].values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One layout with everything the planner predicts for it; components sum to their totals.

    `step_time_range_s`: the shortest and the longest step that the uncertain rates allow; None where that was not asked.
    `duration_s`, `cost_usd` and `energy_kwh` are the run's without failures; `expected` has them as they can be expected.
    `energy_kwh` is what the building takes, `energy` says what for.
    """

    n_gpus: int
    layout: Mapping[str, Any]
    memory: Memory
    step_time_s: float
    step_time_components_s: Mapping[str, float]
    mfu: float
    hfu: float
    tokens_per_s: float
    tokens_per_s_per_gpu: float
    duration_s: float
    cost_usd: float | None
    energy_kwh: float | None
    model_tflops_per_gpu: float = 0.0
    step_time_range_s: tuple[float, float] | None = None
    energy: EnergyUse | None = None
    expected: ExpectedRun | None = None
    memory_terms: tuple[Term, ...] = field(default=(), repr=False)
    time_terms: tuple[Term, ...] = field(default=(), repr=False)
    stages: tuple[StageMemory, ...] = field(default=(), repr=False)

    @property
    def limited_by(self) -> str:
        """The component of a step that takes most time beside useful compute; compute itself where none takes a twentieth."""
        rest = {name: took for name, took in self.step_time_components_s.items() if name not in ("forward", "backward")}
        largest = max(rest, key=lambda name: rest[name])
        return largest if rest[largest] >= self.step_time_s / 20 else "compute"

    @property
    def due_s(self) -> float | None:
        """When the run can be expected to end, which a deadline is held against; None: never."""
        return self.duration_s if self.expected is None else self.expected.duration_s

    @property
    def due_usd(self) -> float | None:
        """What the run can be expected to cost, which a budget is held against; None: no price, or no end."""
        return self.cost_usd if self.expected is None else self.expected.cost_usd

    def to_dict(self) -> dict[str, Any]:
        """As JSON (DESIGN section 6, PLAN)."""
        return {
            "n_gpus": self.n_gpus,
            "layout": dict(self.layout),
            "memory": self.memory.to_dict(),
            "step_time_s": self.step_time_s,
            "step_time_range_s": None if self.step_time_range_s is None else list(self.step_time_range_s),
            "step_time_components_s": dict(self.step_time_components_s),
            "limited_by": self.limited_by,
            "mfu": self.mfu,
            "hfu": self.hfu,
            "tokens_per_s": self.tokens_per_s,
            "tokens_per_s_per_gpu": self.tokens_per_s_per_gpu,
            "duration_s": self.duration_s,
            "cost_usd": self.cost_usd,
            "energy_kwh": self.energy_kwh,
            "energy": None if self.energy is None else self.energy.to_dict(),
            "expected": None if self.expected is None else self.expected.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A value that the question left open, and where the one used comes from."""

    name: str
    value: Any
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "value": self.value, "origin": self.origin}


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestMiss:
    """The layout that came closest to fitting, or to the deadline or budget, and what would make it fit.

    `excess` is how much of what it may have it lacks: 0.1 for memory, time or money a tenth too small. `late_s` and `over_usd` are
    by how much the expected run misses the deadline and the budget (None: it meets it, or none was given). `moved` are the pins
    that had to have another value, and which, where nothing has all of them.
    """

    layout: Mapping[str, Any]
    n_gpus: int
    stage: int | None
    missing_bytes: float | None
    fix: str
    excess: float = 0.0
    late_s: float | None = None
    over_usd: float | None = None
    moved: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "layout": dict(self.layout),
            "n_gpus": self.n_gpus,
            "stage": self.stage,
            "missing_bytes": self.missing_bytes,
            "late_s": self.late_s,
            "over_usd": self.over_usd,
            "moved": dict(self.moved),
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """`layouts` that one reason refuses and no other one before it: each axis of `where` has one of its values in all of them.

    `extent`: with these values nothing is feasible (``all``), or the reason refuses three quarters or more of what no other refused
    before (``most``), or less (``some``). Nothing in `where`: all over the space, but for the reason's other regions.
    """

    reason: str
    where: Mapping[str, tuple[int | str, ...]]
    layouts: int
    extent: str = "some"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        where = {axis: list(values) for axis, values in self.where.items()}
        return {"reason": self.reason, "where": where, "layouts": self.layouts, "extent": self.extent}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSummary:
    """How much was looked at: layouts = feasible + the sum of all refusals. `finer_layouts` were tried besides, with values of some
    axes that multiply the space; no refusal counts them."""

    layouts: int
    feasible: int
    finer_layouts: int
    elapsed_s: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "layouts": self.layouts, "feasible": self.feasible, "finer_layouts": self.finer_layouts,
            "elapsed_s": self.elapsed_s,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """The answer with `factor` changed by the fraction `change` (-0.1: 10 % less).

    `plan` is what would be recommended then (None: nothing meets what was asked), `kept` what the layout recommended now would
    come to.
    """

    factor: str
    change: float
    min_gpus: int | None
    plan: Plan | None
    kept: Plan

    @property
    def layout_changes(self) -> bool:
        """Whether another layout, or none, would be recommended."""
        plan, kept = self.plan, self.kept
        return plan is None or plan.n_gpus != kept.n_gpus or dict(plan.layout) != dict(kept.layout)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "factor": self.factor,
            "change": self.change,
            "min_gpus": self.min_gpus,
            "layout_changes": self.layout_changes,
            "recommended": None if self.plan is None else _figures(self.plan),
            "kept": _figures(self.kept),
        }


def _figures(plan: Plan) -> dict[str, Any]:
    return {
        "n_gpus": plan.n_gpus,
        "layout": dict(plan.layout),
        "step_time_s": plan.step_time_s,
        "duration_s": plan.duration_s,
        "cost_usd": plan.cost_usd,
        "energy_kwh": plan.energy_kwh,
        "expected_duration_s": plan.due_s,
        "expected_cost_usd": plan.due_usd,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyNot:
    """The layouts with the axes `pins`: how many there are, what refuses them, the best of those that can run, and in words why
    it is not the recommended one."""

    pins: Mapping[str, Any]
    layouts: int
    feasible: int
    rejected: Mapping[str, int]
    best: Plan | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "pins": {axis: list(pin) if isinstance(pin, tuple) else pin for axis, pin in self.pins.items()},
            "reason": self.reason,
            "layouts": self.layouts,
            "feasible": self.feasible,
            "rejected": dict(self.rejected),
            "best": None if self.best is None else self.best.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What one of several clusters or frameworks answers; `error` where it could not be asked."""

    cluster: str
    framework: str | None = None
    accelerator: str | None = None
    price: Mapping[str, Any] | None = None
    min_gpus: int | None = None
    recommended: Plan | None = None
    nearest_miss: NearestMiss | None = None
    why: str = ""
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "cluster": self.cluster,
            "framework": self.framework,
            "accelerator": self.accelerator,
            "price": None if self.price is None else dict(self.price),
            "min_gpus": self.min_gpus,
            "recommended": None if self.recommended is None else self.recommended.to_dict(),
            "nearest_miss": None if self.nearest_miss is None else self.nearest_miss.to_dict(),
            "why": self.why,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """The whole answer of `planner plan`.

    `front` are the numbers of GPUs of `scaling` that no other number beats in duration, cost and GPUs at once; from `knee` on,
    further GPUs buy less throughput than those before (None: they do not).
    """

    question: Mapping[str, Any]
    assumptions: tuple[Assumption, ...]
    min_gpus: int | None
    recommended: Plan | None
    nearest_miss: NearestMiss | None
    alternatives: tuple[Plan, ...]
    scaling: tuple[Plan, ...]
    rejected: Mapping[str, int]
    search: SearchSummary
    rule_of_thumb: Mapping[str, Any]
    provenance: Mapping[str, Any]
    regions: tuple[Region, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()
    sensitivity: tuple[Shift, ...] = ()
    front: tuple[int, ...] = ()
    knee: int | None = None
    why_not: WhyNot | None = None
    compared: tuple[Compared, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether some layout fits and meets what was asked (exit status 0, else 3)."""
        return self.recommended is not None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: schema ``planner.plan/1`` (DESIGN section 6)."""
        return {
            "schema": "planner.plan/1",
            "question": dict(self.question),
            "assumptions": [assumption.to_dict() for assumption in self.assumptions],
            "answer": {
                "min_gpus": self.min_gpus,
                "recommended": None if self.recommended is None else self.recommended.to_dict(),
                "nearest_miss": None if self.nearest_miss is None else self.nearest_miss.to_dict(),
            },
            "why": self.why,
            "alternatives": [plan.to_dict() for plan in self.alternatives],
            "scaling": [plan.to_dict() for plan in self.scaling],
            "front": list(self.front),
            "knee": self.knee,
            "why_not": None if self.why_not is None else self.why_not.to_dict(),
            "compared": [entry.to_dict() for entry in self.compared],
            "rejected": dict(self.rejected),
            "regions": [region.to_dict() for region in self.regions],
            "search": self.search.to_dict(),
            "rule_of_thumb": dict(self.rule_of_thumb),
            "sensitivity": [shift.to_dict() for shift in self.sensitivity],
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateAnswer:
    """The answer of `planner evaluate` and `planner explain` for one exact configuration."""

    question: Mapping[str, Any]
    assumptions: tuple[Assumption, ...]
    plan: Plan
    refusals: tuple[str, ...]
    params: int
    provenance: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether the configuration can run: no strategy refuses it and it fits."""
        return not self.refusals and self.plan.memory.fits

    def to_dict(self) -> dict[str, Any]:
        """As JSON: schema ``planner.evaluate/1``."""
        return {
            "schema": "planner.evaluate/1",
            "question": dict(self.question),
            "assumptions": [assumption.to_dict() for assumption in self.assumptions],
            "plan": self.plan.to_dict(),
            "fits": self.answered,
            "refusals": list(self.refusals),
            "params": self.params,
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
        }

    def explain_dict(self) -> dict[str, Any]:
        """As JSON with every term: schema ``planner.explain/1``."""
        document = self.to_dict()
        document["schema"] = "planner.explain/1"
        document["memory_terms"] = [term.to_dict() for term in self.plan.memory_terms]
        document["time_terms"] = [term.to_dict() for term in self.plan.time_terms]
        return document
