"""From what a user and the catalog say of operating a run to what the search counts with; each default written down."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from planner.domain.operation import PowerDraw
from planner.domain.plan import Assumption
from planner.domain.running import (
    ASYNCHRONOUS,
    BLOCKING,
    CHECKPOINT_MODES,
    Operating,
    Operation,
    Power,
    Reliability,
    RunningFacts,
)
from planner.errors import InputError
from planner.plugin import Context
from planner.question import Question
from planner.search.checkpoints import checkpoint_bytes
from planner.search.offloading import host_link_bytes_per_s
from planner.units import GIGA, KILO, format_bytes, format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A published number that is no row of the catalog, what was measured, and where it stands."""

    value: float
    what: str
    source: str


COMPUTING: Final = Measured(
    value=0.87, what="of its rated power an H100 draws on average while it trains (over 600 W of 700 W; nodes at 7.8 kW)",
    source="arXiv:2503.05804 (2025); arXiv:2506.14551 (2025)",
)  # fmt: skip
WAITING: Final = Measured(
    value=0.50, what="of its rated power an A100 draws at the synchronisation of GPT-NeoX (20 % to 75 % for other models)",
    source="arXiv:2308.12908 (2023)",
)  # fmt: skip
STREAMING: Final = Measured(
    value=0.50, what="of its rated power is enough for an H100 that only streams memory (capped at 350 W of 700 W, no slower)",
    source="arXiv:2311.18677 (2024)",
)  # fmt: skip
IDLE: Final = Measured(
    value=0.18, what="of its rated power an accelerator draws that holds a job and does nothing (H100 15 % to 17 %, A100 20 %)",
    source="arXiv:2503.05804 (2025); arXiv:2605.23918 (2026)",
)  # fmt: skip
RESTART: Final = Measured(
    value=600.0, what="to detect a failure and run the diagnostics (below 10 minutes on average over 12,288 GPUs)",
    source="arXiv:2402.15627 (2024), section 6.3",
)  # fmt: skip
ASYNCHRONOUS_STALL: Final = Measured(
    value=0.59, what="for which an asynchronous checkpoint stops a 405B model on 8,960 GPUs",
    source="arXiv:2407.20143 (2025), table 8",
)  # fmt: skip
MEASURED: Final = (COMPUTING, WAITING, STREAMING, IDLE, RESTART, ASYNCHRONOUS_STALL)
LARGEST_PUE: Final = 5.0
FEW_STUDIES: Final = 3
"""With fewer studies of a generation than this, the spread is that of all generations."""
COUNTED: Final = ("job", "hardware")
"""Kinds of failure rates that say how often a whole job stops; not one component's part, nor projections."""
_OPERATORS: Final = {"gcp": "google", "google cloud": "google", "azure": "microsoft", "oci": "oracle"}


def with_operation(question: Question, operation: Operation, facts: RunningFacts) -> Question:
    """The question with its operation: power, failures and checkpoints, from `operation` where it says so. Raises InputError."""
    check(operation)
    context = question.context
    assumed: list[Assumption] = []
    operating = Operating(
        utilisation=operation.utilisation,
        power=_power(context, operation, facts, assumed),
        reliability=_reliability(context, operation, facts, assumed),
        prices=facts.prices,
    )
    return replace(
        question,
        context=replace(context, operating=operating),
        assumptions=(*question.assumptions, *_price(context, operation, facts), *assumed),
    )


def operation_notes(operating: Operating) -> tuple[str, ...]:
    """What the figures of the whole run leave out."""
    without = "Data loading and evaluation are in no duration."
    if operating.reliability is None:
        without = "Failures, checkpoints, data loading and evaluation are not in the duration."
    if operating.power is None:
        return (without,)
    return (
        without,
        "Energy is that of accelerators, their hosts and the building; the network between nodes is not in it.",
    )


def check(operation: Operation) -> None:
    """Refuse what cannot be. Raises InputError."""
    at_least_zero = {"failures per GPU and day": operation.failures_per_gpu_day, "restart time": operation.restart_s}
    above_zero = {
        "price": operation.price_usd, "checkpoint interval": operation.checkpoint_interval_s,
        "checkpoint bandwidth": operation.checkpoint_bytes_per_s,
    }  # fmt: skip
    for name, value in at_least_zero.items():
        if value is not None and not 0.0 <= value < math.inf:
            raise InputError(f"{name} must be zero or more, not {value:g}")
    for name, value in above_zero.items():
        if value is not None and not 0.0 < value < math.inf:
            raise InputError(f"{name} must be above zero, not {value:g}")
    if not 0.0 < operation.utilisation <= 1.0:
        raise InputError(
            f"utilisation must be above 0 and at most 1, not {operation.utilisation:g}",
            hint="it is the fraction of paid hours in which the run trains",
        )
    if operation.pue is not None and not 1.0 <= operation.pue <= LARGEST_PUE:
        raise InputError(
            f"PUE must be from 1 to {LARGEST_PUE:g}, not {operation.pue:g}",
            hint="it is the energy of the building over that of its computers",
        )
    if operation.checkpoint is not None and operation.checkpoint not in CHECKPOINT_MODES:
        raise InputError(
            f"unknown way to checkpoint {operation.checkpoint!r}", hint=f"one of {', '.join(CHECKPOINT_MODES)}"
        )
    if operation.price_usd is not None and operation.price_kind is not None:
        raise InputError("a price and a kind of price exclude each other", hint="leave --price or --price-kind out")


def _price(context: Context, operation: Operation, facts: RunningFacts) -> tuple[Assumption, ...]:
    price, found = context.cluster.price, facts.prices
    if price is None or operation.price_usd is not None:
        return ()
    value = f"${price.usd_per_accelerator_hour:,.2f} per GPU-hour, {price.kind}, {price.date}"
    if found is not None and found.high_usd > found.low_usd:
        value += f"; providers ask ${found.low_usd:,.2f} to ${found.high_usd:,.2f} (median ${found.median_usd:,.2f})"
    return (Assumption(name="price", value=value, origin=f"{price.provider}: {price.source}"),)


def _power(context: Context, operation: Operation, facts: RunningFacts, assumed: list[Assumption]) -> Power | None:
    accelerator = context.cluster.accelerator
    tdp_w = accelerator.tdp_w
    if tdp_w is None:
        return None
    shares = {"computing": COMPUTING, "waiting": WAITING, "streaming memory": STREAMING, "idle": IDLE}
    drawn = ", ".join(f"{_percent(share.value)} {name}" for name, share in shares.items())
    sources = "; ".join(dict.fromkeys(source for share in shares.values() for source in share.source.split("; ")))
    assumed.append(Assumption(name="power", value=f"of {tdp_w:,.0f} W: {drawn}", origin=f"measured: {sources}"))
    host_w = _host_w(context, tdp_w, facts, assumed)
    pue = _pue(context, operation, facts, assumed)
    carbon = facts.carbon
    if carbon is not None:
        where = "" if operation.region else "no --region given; "
        value = f"{carbon.g_co2e_per_kwh:,.0f} g CO2e per kWh: {carbon.name}, {carbon.year}"
        assumed.append(Assumption(name="carbon", value=value, origin=f"{where}{carbon.source}"))
    return Power(
        computing_w=COMPUTING.value * tdp_w,
        streaming_w=STREAMING.value * tdp_w,
        waiting_w=WAITING.value * tdp_w,
        idle_w=IDLE.value * tdp_w,
        host_w=host_w,
        pue=pue,
        carbon_kg_per_kwh=None if carbon is None else carbon.g_co2e_per_kwh / KILO,
    )


def _host_w(context: Context, tdp_w: float, facts: RunningFacts, assumed: list[Assumption]) -> float:
    """A host's power for one accelerator, as a share of the accelerator's: of its node, its generation, or any that is known.

    Of several figures the highest counts: what a node drew while its accelerators drew all they may.
    """
    known = [(share, draw) for draw in facts.power if (share := _host_share(draw, facts)) is not None]
    if not known:
        assumed.append(Assumption(name="host power", value="not counted", origin="the catalog knows no node's power"))
        return 0.0
    slug, generation = context.cluster.accelerator.slug, context.generation
    near = [each for each in known if each[1].accelerator == slug]
    near = near or [each for each in known if facts.generation(each[1].accelerator) == generation] or known
    share, draw = max(near, key=lambda each: each[0])
    value = f"{share * tdp_w:,.0f} W per GPU, {_percent(share)} of the rated power"
    dated = "" if draw.source_date is None else f" ({draw.source_date})"
    origin = f"{draw.name}, {draw.kind} at {draw.watts / KILO:,.1f} kW: {draw.source}{dated}"
    assumed.append(Assumption(name="host power", value=value, origin=origin))
    return share * tdp_w


def _host_share(draw: PowerDraw, facts: RunningFacts) -> float | None:
    """What a node drew beside its accelerators, over their rated power; None for ratings and for accelerators alone."""
    note = None if draw.accelerator is None else facts.accelerators.get(draw.accelerator)
    if draw.node is None or draw.kind not in ("measured", "planned") or note is None or note.tdp_w is None:
        return None
    return max(0.0, draw.watts / (draw.accelerators * note.tdp_w) - 1.0)


def _pue(context: Context, operation: Operation, facts: RunningFacts, assumed: list[Assumption]) -> float:
    """As asked; else what the seller of the machines reports of its own; else the median of what operators report."""
    if operation.pue is not None:
        return operation.pue
    latest = {
        report.operator.lower(): report
        for report in sorted(facts.pues, key=lambda each: each.year)
        if report.confidence != "low"
    }
    if not latest:
        assumed.append(Assumption(name="PUE", value=1.0, origin="the catalog knows none: cooling is not counted"))
        return 1.0
    seller = context.cluster.node.provider.lower()
    own = latest.get(_OPERATORS.get(seller, seller))
    if own is not None:
        assumed.append(Assumption(name="PUE", value=own.pue, origin=f"{own.operator}, {own.year}: {own.source}"))
        return own.pue
    values = sorted(report.pue for report in latest.values())
    names = ", ".join(sorted(f"{report.operator} ({report.year})" for report in latest.values()))
    origin = f"median of what {names} report ({values[0]:g} to {values[-1]:g})"
    assumed.append(Assumption(name="PUE", value=median(values), origin=origin))
    return median(values)


def _reliability(
    context: Context, operation: Operation, facts: RunningFacts, assumed: list[Assumption]
) -> Reliability | None:
    rates = _failure_rates(context, operation, facts, assumed)
    storage = _storage(operation, facts, assumed)
    if rates is None or storage is None:
        return None
    asynchronous = operation.checkpoint == ASYNCHRONOUS
    size = checkpoint_bytes(context)
    written = "while the job goes on" if asynchronous else "while the job waits, as frameworks do unless told otherwise"
    if operation.checkpoint is None:
        assumed.append(Assumption(name="checkpoint", value=f"{BLOCKING}, {format_bytes(size)}", origin=written))
    if asynchronous:
        value = f"{ASYNCHRONOUS_STALL.value:g} s and the copy to the host"
        assumed.append(Assumption(name="checkpoint stall", value=value, origin=ASYNCHRONOUS_STALL.source))
    restart_s = operation.restart_s
    if restart_s is None:
        restart_s = RESTART.value
        value = f"{format_duration(restart_s)}, and reading the checkpoint"
        assumed.append(Assumption(name="restart", value=value, origin=f"{RESTART.what}: {RESTART.source}"))
    if operation.checkpoint_interval_s is None:
        assumed.append(
            Assumption(
                name="checkpoint interval",
                value="the one that loses least",
                origin="Daly, FGCS 22(3), 2006; to first order Young, CACM 17(9), 1974",
            )
        )
    rate, least, most = rates
    return Reliability(
        failures_per_gpu_day=rate,
        least_failures_per_gpu_day=least,
        most_failures_per_gpu_day=most,
        restart_s=restart_s,
        checkpoint_bytes=size,
        bytes_per_s_per_gpu=storage[0],
        most_bytes_per_s=storage[1],
        gpus_per_node=context.cluster.node.accelerators_per_node,
        asynchronous=asynchronous,
        stall_s=ASYNCHRONOUS_STALL.value,
        host_bytes_per_s=host_link_bytes_per_s(context),
        interval_s=operation.checkpoint_interval_s,
    )


def _failure_rates(
    context: Context, operation: Operation, facts: RunningFacts, assumed: list[Assumption]
) -> tuple[float, float, float] | None:
    """Interruptions per GPU and day: the median of the studies of the generation (else of all), the least, the most."""
    given = operation.failures_per_gpu_day
    if given is not None:
        return given, given, given
    every = [study for study in facts.failures if study.kind in COUNTED]
    if not every:
        return None
    own = [study for study in every if facts.generation(study.accelerator) == context.generation]
    near = own or every
    spread = near if len(near) >= FEW_STUDIES else every
    rate = median(study.events_per_accelerator_day for study in near)
    least, most = (end(study.events_per_accelerator_day for study in spread) for end in (min, max))
    whose = f"of {context.generation} accelerators" if own else f"of all accelerators (none of {context.generation})"
    systems = ", ".join(dict.fromkeys(f"{study.system} ({study.year})" for study in near))
    value = f"{rate * KILO:.2g} per 1,000 GPU-days ({least * KILO:.2g} to {most * KILO:.2g})"
    assumed.append(Assumption(name="failures", value=value, origin=f"median {whose}: {systems}"))
    return rate, least, most


def _storage(operation: Operation, facts: RunningFacts, assumed: list[Assumption]) -> tuple[float, float] | None:
    """Bytes per second that one GPU writes to storage, and the most that storage takes in all."""
    given = operation.checkpoint_bytes_per_s
    if given is not None:
        return given, given
    written = facts.checkpoints
    if not written:
        return None
    per_gpu = median(study.write_bytes_per_s / study.accelerators for study in written)
    most = max(study.write_bytes_per_s for study in written)
    value = f"{per_gpu / GIGA:.2g} GB/s per GPU, at most {most / GIGA:,.0f} GB/s"
    systems = ", ".join(f"{study.system} ({study.year})" for study in written)
    assumed.append(Assumption(name="storage", value=value, origin=f"median and fastest of {systems}"))
    return per_gpu, most


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
