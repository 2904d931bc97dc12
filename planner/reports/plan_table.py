"""Plans as rows: for CSV, and side by side for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from planner.domain.plan import LAYOUT_FIELDS, MEMORY_COMPONENTS, TIME_COMPONENTS, Plan
from planner.reports.blocks import Column, Table, left, right
from planner.reports.figures import NOTHING, percent, seconds, value_text
from planner.units import format_bytes, format_duration, format_usd

ENERGY_COLUMNS: Final = ("accelerators_kwh", "hosts_kwh", "carbon_kg")
EXPECTED_COLUMNS: Final = (
    "goodput", "expected_duration_s", "expected_cost_usd", "expected_energy_kwh", "expected_carbon_kg",
)  # fmt: skip
COLUMNS: Final = (
    "role", "cluster", "n_gpus", *LAYOUT_FIELDS, "recompute_layers", "offload", "cp_kind",
    "total_bytes", "capacity_bytes", "headroom_bytes", "stage", "when",
    *(f"{name}_bytes" for name in MEMORY_COMPONENTS), "step_time_s", *(f"{name}_s" for name in TIME_COMPONENTS),
    "mfu", "hfu", "tokens_per_s", "tokens_per_s_per_gpu", "duration_s", "cost_usd", "energy_kwh",
    *ENERGY_COLUMNS, *EXPECTED_COLUMNS,
)  # fmt: skip
"""The columns of a plan in CSV; time components are seconds, memory components bytes."""


def flat_row(role: str, plan: Plan) -> Mapping[str, Any]:
    """One plan as a row under `COLUMNS`."""
    document = plan.to_dict()
    memory, times = document.pop("memory"), document.pop("step_time_components_s")
    components = memory.pop("components")
    used, run = document.pop("energy") or {}, document.pop("expected") or {}
    return {
        "role": role,
        **document.pop("layout"),
        **document,
        **memory,
        **{f"{name}_bytes": components.get(name) for name in MEMORY_COMPONENTS},
        **{f"{name}_s": times.get(name) for name in TIME_COMPONENTS},
        **{name: used.get(name) for name in ENERGY_COLUMNS},
        **{name: run.get(name.removeprefix("expected_")) for name in EXPECTED_COLUMNS},
    }


def side_by_side(plans: Iterable[Plan], strong: Sequence[Plan] = (), leave_out: Collection[str] = ()) -> Table:
    """Plans one a row, as a person compares them; those with a layout of `strong` stand out. Axes of `leave_out` have no column."""
    listed = tuple(plans)
    outstanding = [plan.layout for plan in strong]
    axes = tuple(axis for axis in _AXES if axis.field not in leave_out and axis.is_worth_a_column(listed))
    return Table(
        columns=(
            right("GPUs"), *(axis.column for axis in axes), right("memory"), right("step"), right("MFU"),
            right("duration"), right("cost"),
        ),
        rows=tuple((f"{plan.n_gpus:,}", *(axis.cell(plan) for axis in axes), *_results(plan)) for plan in listed),
        strong=frozenset(number for number, plan in enumerate(listed) if plan.layout in outstanding),
    )  # fmt: skip


def scaling_table(
    plans: Sequence[Plan],
    strong: Sequence[Plan] = (),
    knee: int | None = None,
    front: Collection[int] = (),
    limit: int = 12,
) -> Table:
    """What more GPUs buy: the first, then each that at least doubles the one before, the last, the strong and the knee; with
    what takes most time beside compute."""
    worth = [plan for plan in plans if plan.n_gpus in front] or list(plans)
    doubled = {worth[number].n_gpus for number in _doublings(worth)}
    layouts = [plan.layout for plan in strong]
    kept = [plan for plan in plans if plan.n_gpus in doubled or plan.layout in layouts or plan.n_gpus == knee]
    shown = kept if len(plans) > limit else plans
    table = side_by_side(shown, strong, leave_out=("zero", "shard_group", "schedule", "sequence_parallel"))
    rows = tuple((*row, plan.limited_by) for row, plan in zip(table.rows, shown, strict=True))
    return Table(columns=(*table.columns, left("limit")), rows=rows, strong=table.strong)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A field of the layout as a column, shown unless all plans have one of the `usual` values, all the same; the field `counted`
    says of how many, behind it."""

    field: str
    column: Column
    usual: tuple[object, ...] = (1, None)
    counted: str | None = None

    def is_worth_a_column(self, plans: Sequence[Plan]) -> bool:
        values = {plan.layout.get(self.field) for plan in plans}
        return len(values) > 1 or not values <= set(self.usual)

    def cell(self, plan: Plan) -> str:
        value = plan.layout.get(self.field)
        if value is None:
            return NOTHING
        count = None if self.counted is None else plan.layout.get(self.counted)
        return value_text(value) + ("" if count in (1, None) else f" {value_text(count)}")


_AXES: Final = (
    _Axis("tp", right("tp"), ()),
    _Axis("pp", right("pp"), ()),
    _Axis("vpp", right("vpp")),
    _Axis("cp", right("cp")),
    _Axis("ep", right("ep")),
    _Axis("etp", right("etp")),
    _Axis("dp", right("dp"), ()),
    _Axis("zero", right("zero"), ()),
    _Axis("shard_group", right("group")),
    _Axis("sequence_parallel", right("sp"), (0, 1, None)),
    _Axis("micro_batch", right("mb"), ()),
    _Axis("schedule", left("schedule"), ("1f1b", "interleaved", None)),
    _Axis("recompute", left("recompute"), (), counted="recompute_layers"),
    _Axis("offload", left("offload"), ("none", None)),
)


def _doublings(plans: Sequence[Plan]) -> frozenset[int]:
    kept = [0]
    for number, plan in enumerate(plans):
        if plan.n_gpus >= 2 * plans[kept[-1]].n_gpus:
            kept.append(number)
    return frozenset({*kept, len(plans) - 1})


def _results(plan: Plan) -> tuple[str, ...]:
    return (
        format_bytes(plan.memory.total_bytes),
        seconds(plan.step_time_s),
        percent(plan.mfu),
        format_duration(plan.duration_s),
        NOTHING if plan.cost_usd is None else format_usd(plan.cost_usd),
    )
