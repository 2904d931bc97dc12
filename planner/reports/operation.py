"""The whole run: without failures and as it can be expected to go; its energy and what that is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from planner.domain.plan import Plan
from planner.domain.running import ExpectedRun
from planner.reports.blocks import Block, Facts, Heading, Table, left, right
from planner.reports.figures import NOTHING, percent
from planner.units import KILO, format_bytes, format_duration, format_usd

NEVER: Final = "never"
_TONNE_KG: Final = 1000.0
_MANY_TONNES: Final = 100.0
_MANY_KWH: Final = 1e6


def cost_text(plan: Plan) -> str:
    """Money, energy and carbon of the run without failures in one line."""
    cost = "no price known" if plan.cost_usd is None else format_usd(plan.cost_usd)
    used = [energy_text(plan.energy_kwh)] if plan.energy_kwh is not None else []
    if plan.energy is not None and plan.energy.carbon_kg is not None:
        used.append(carbon_text(plan.energy.carbon_kg))
    return f"{cost} ({', '.join(used)})" if used else cost


def expected_text(plan: Plan) -> str:
    """How long it takes and what it costs with failures in one line; "" where nothing is known of them."""
    run = plan.expected
    if run is None:
        return ""
    if run.duration_s is None:
        return (
            f"it never ends: an interruption every {format_duration(run.mean_time_to_interrupt_s)}, and "
            f"{format_duration(run.restart_s)} to start again"
        )
    cost = "" if run.cost_usd is None else f", {format_usd(run.cost_usd)}"
    return (
        f"{format_duration(run.duration_s)}{cost} with failures and checkpoints (goodput {percent(run.goodput)}, "
        f"{_range(run)})"
    )


def operation_blocks(plan: Plan) -> Iterator[Block]:
    """The run in two columns, then what makes them differ."""
    run = plan.expected
    rows = tuple(_rows(plan, run))
    if run is None and plan.energy is None:
        return
    yield Heading("The whole run" if run is None else "The whole run, without failures and as it can be expected")
    columns = (left(""), right("without failures"), *(() if run is None else (right("expected"),)))
    yield Table(columns=columns, rows=tuple(row[: len(columns)] for row in rows))
    if run is not None:
        yield Facts(tuple(_failure_facts(plan, run)))


def energy_text(kwh: float) -> str:
    """Energy in kWh or MWh.

    >>> energy_text(6602.4), energy_text(4.33196e8)
    ('6,602 kWh', '433,196 MWh')
    """
    return f"{kwh:,.0f} kWh" if kwh < _MANY_KWH else f"{kwh / KILO:,.0f} MWh"


def carbon_text(kg: float) -> str:
    """Emissions in kilograms or tonnes of CO2 equivalent.

    >>> carbon_text(640.2), carbon_text(24_700), carbon_text(11_390_400)
    ('640 kg CO2e', '24.7 t CO2e', '11,390 t CO2e')
    """
    if kg < _TONNE_KG:
        return f"{kg:,.0f} kg CO2e"
    tonnes = kg / _TONNE_KG
    return f"{tonnes:,.1f} t CO2e" if tonnes < _MANY_TONNES else f"{tonnes:,.0f} t CO2e"


def _range(run: ExpectedRun) -> str:
    least, most = run.goodput_range
    return f"{percent(least)} to {percent(most)}"


def _rows(plan: Plan, run: ExpectedRun | None) -> Iterator[tuple[str, str, str]]:
    """What is counted, without failures, and as expected."""

    def both(label: str, ideal: float, field: str, text: Callable[[float], str]) -> tuple[str, str, str]:
        expected = NOTHING if run is None else NEVER if run.duration_s is None else _known(getattr(run, field), text)
        return (label, text(ideal), expected)

    used = plan.energy
    yield both("time", plan.duration_s, "duration_s", format_duration)
    if plan.cost_usd is not None:
        yield both("cost", plan.cost_usd, "cost_usd", format_usd)
    if used is not None:
        building = used.facility_kwh - used.accelerators_kwh - used.hosts_kwh
        yield both("energy", used.facility_kwh, "energy_kwh", energy_text)
        yield f"  accelerators, {used.accelerator_w:,.0f} W each", energy_text(used.accelerators_kwh), ""
        yield "  their hosts", energy_text(used.hosts_kwh), ""
        yield f"  the building, PUE {used.pue:g}", energy_text(building), ""
    if used is not None and used.carbon_kg is not None:
        yield both("carbon", used.carbon_kg, "carbon_kg", carbon_text)
    if run is not None:
        yield "goodput", percent(1.0), f"{percent(run.goodput)} ({_range(run)})"


def _known(value: float | None, text: Callable[[float], str]) -> str:
    return NOTHING if value is None else text(value)


def _failure_facts(plan: Plan, run: ExpectedRun) -> Iterator[tuple[str, str]]:
    if run.failures_per_gpu_day:
        count = "" if run.interruptions is None else f", {_count(run.interruptions)} in the whole run"
        rate = f"{run.failures_per_gpu_day * KILO:.2g} per 1,000 GPU-days"
        yield "interruptions", f"one in {format_duration(run.mean_time_to_interrupt_s)}{count} ({rate})"
    else:
        yield "interruptions", "none"
    size, write_s = format_bytes(run.checkpoint_bytes), format_duration(run.checkpoint_write_s)
    yield "checkpoints", f"{size}, written in {write_s}, stopping the job for {format_duration(run.checkpoint_stall_s)}"
    if run.interval_s >= plan.duration_s:
        yield "interval", "longer than the run: one at its end"
    else:
        young = format_duration(run.young_interval_s)
        yield "interval", f"{format_duration(run.interval_s)} of work between two (Young: {young})"
    yield "restart", f"{format_duration(run.restart_s)} with reading the checkpoint"


def _count(expected: float) -> str:
    """An expected number, which may be far below one."""
    return f"{expected:,.1f}" if expected >= 1 else f"{expected:.1g}"
