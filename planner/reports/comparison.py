"""Several clusters or frameworks side by side, and why some layouts are not recommended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from planner.domain.plan import Compared, PlanAnswer, WhyNot
from planner.reports.blocks import Block, Facts, Heading, Table, left, right
from planner.reports.figures import NOTHING, gpus, percent, seconds, share
from planner.reports.layout import layout_text
from planner.reports.plan_table import flat_row
from planner.units import format_duration, format_usd

PRICED: Final = ("usd_per_gpu_hour", "price_kind", "price_date", "price_source", "error")
"""Columns of CSV that a comparison has besides those of a plan."""
_MOST_REASONS: Final = 5


def compared_blocks(answer: PlanAnswer) -> Iterator[Block]:
    """One row for each that was asked, the best first; nothing where only one was."""
    if not answer.compared:
        return
    fewest = ", each at the fewest GPUs" if answer.question.get("objective") == "min-gpus" else ""
    yield Heading(f"Clusters and frameworks compared: {_order(answer)} first{fewest}")
    frameworks = len({entry.framework for entry in answer.compared if entry.framework}) > 1
    yield Table(
        columns=(
            left("cluster"), *((left("framework"),) if frameworks else ()), right("$/GPU-h"), right("GPUs"), right("MFU"),
            right("duration"), right("cost"), right("energy"),
        ),
        rows=tuple(_row(entry, frameworks=frameworks) for entry in answer.compared),
        strong=frozenset({0} if answer.compared[0].recommended is not None else ()),
    )  # fmt: skip
    without = tuple((entry.cluster, _why_none(entry)) for entry in answer.compared if entry.recommended is None)
    if without:
        yield Facts(without)
    prices = {entry.cluster: _price_text(entry.price) for entry in answer.compared if entry.price is not None}
    if prices:
        yield Facts(tuple((f"price of {cluster}", text) for cluster, text in prices.items()))


def _price_text(price: Mapping[str, Any]) -> str:
    dated = f", {price['date']}" if price["date"] else ""
    return f"${price['usd_per_gpu_hour']:.2f} {price['kind']}{dated}, {price['provider']}"


def flat_comparison(entry: Compared) -> dict[str, Any]:
    """One answer as a row of CSV, with the price behind it, or what keeps it from having one."""
    row = {"role": "compared"} if entry.recommended is None else dict(flat_row("compared", entry.recommended))
    price = entry.price or {}
    return {
        **row,
        "cluster": entry.cluster,
        "framework": entry.framework,
        "usd_per_gpu_hour": price.get("usd_per_gpu_hour"),
        "price_kind": price.get("kind"),
        "price_date": price.get("date"),
        "price_source": price.get("source"),
        "error": _why_none(entry) if entry.recommended is None else None,
    }


def _order(answer: PlanAnswer) -> str:
    return {"time": "fastest", "energy": "least energy"}.get(str(answer.question.get("objective")), "cheapest")


def _row(entry: Compared, *, frameworks: bool) -> tuple[str, ...]:
    plan, price = entry.recommended, entry.price
    where = (entry.cluster, *((entry.framework or NOTHING,) if frameworks else ()))
    priced = NOTHING if price is None else f"{price['usd_per_gpu_hour']:.2f}"
    if plan is None:
        return (*where, priced, *([NOTHING] * 5))
    return (
        *where,
        priced,
        f"{plan.n_gpus:,}",
        percent(plan.mfu),
        format_duration(plan.duration_s),
        NOTHING if plan.cost_usd is None else format_usd(plan.cost_usd),
        NOTHING if plan.energy_kwh is None else f"{plan.energy_kwh:,.0f} kWh",
    )


def _why_none(entry: Compared) -> str:
    if entry.error is not None:
        return entry.error
    if entry.nearest_miss is not None:
        return entry.nearest_miss.fix
    return entry.why or "does not fit"


def why_not_blocks(found: WhyNot | None) -> Iterator[Block]:
    """What was asked with ``--why-not``: the reason in words, the best such layout, what refuses the others."""
    if found is None:
        return
    asked = " · ".join(f"{axis.replace('_', ' ')} {_value(pin)}" for axis, pin in found.pins.items())
    yield Heading(f"Why not {asked}")
    rows = [("because", found.reason)]
    if found.best is not None:
        plan = found.best
        rows.append(("best such layout", f"{gpus(plan.n_gpus)}, {layout_text(plan.layout)}"))
        cost = "" if plan.cost_usd is None else f", {format_usd(plan.cost_usd)}"
        rows.append(("it would take", f"{format_duration(plan.duration_s)}{cost} ({seconds(plan.step_time_s)} a step)"))
    rows.append(("such layouts", f"{found.layouts:,}, of which {found.feasible:,} can run"))
    most = sorted(found.rejected.items(), key=lambda item: -item[1])[:_MOST_REASONS]
    rows.extend(("refused", f"{reason} ({percent(share(count, found.layouts))})") for reason, count in most)
    yield Facts(tuple(rows))


def _value(pin: object) -> str:
    return (
        " or ".join(str(value) for value in pin) if isinstance(pin, Sequence) and not isinstance(pin, str) else str(pin)
    )
