"""Asks the same question on other hardware rates, prices and failures, one at a time, and compares the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from planner.domain.plan import Plan, Shift
from planner.plugin import Context
from planner.search.ranges import Rates, at

AS_PREDICTED: Final = Rates(compute=1.0, memory=1.0, network=1.0, overlap=1.0, host=1.0)
EFFICIENCY: Final = "efficiency"
NETWORK: Final = "network"
PRICE: Final = "price"
FAILURES: Final = "failures"

Answer = Callable[[Context], tuple[int | None, Plan | None]]
"""The fewest GPUs and the recommended plan of the question in another context."""
Keep = Callable[[Context], Plan]
"""The layout that is recommended now, in another context."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Something an answer rests on, the changes that are tried, and how a context has it changed (None: it has it not)."""

    name: str
    changes: tuple[float, ...]
    apply: Callable[[Context, float], Context | None]


def shifts(context: Context, answer: Answer, keep: Keep) -> tuple[Shift, ...]:
    """The answer under every change of every factor that the context has, in the order of `FACTORS`."""
    return tuple(_shifts(context, answer, keep))


def _shifts(context: Context, answer: Answer, keep: Keep) -> Iterator[Shift]:
    for factor in FACTORS:
        for change in factor.changes:
            changed = factor.apply(context, 1.0 + change)
            if changed is not None:
                fewest, plan = answer(changed)
                yield Shift(factor=factor.name, change=change, min_gpus=fewest, plan=plan, kept=keep(changed))


def _efficiency(context: Context, times: float) -> Context:
    return at(context, replace(AS_PREDICTED, compute=times))


def _network(context: Context, times: float) -> Context:
    return at(context, replace(AS_PREDICTED, network=times))


def _price(context: Context, times: float) -> Context | None:
    price = context.cluster.price
    if price is None:
        return None
    dearer = replace(price, usd_per_accelerator_hour=price.usd_per_accelerator_hour * times)
    return replace(context, cluster=replace(context.cluster, price=dearer))


def _failures(context: Context, times: float) -> Context | None:
    reliability = context.operating.reliability
    if reliability is None:
        return None
    oftener = replace(reliability, failures_per_gpu_day=reliability.failures_per_gpu_day * times)
    return replace(context, operating=replace(context.operating, reliability=oftener))


FACTORS: Final = (
    Factor(EFFICIENCY, (-0.10, 0.10), _efficiency),
    Factor(NETWORK, (-0.25, 0.25), _network),
    Factor(PRICE, (-0.20, 0.20), _price),
    Factor(FAILURES, (-0.50, 1.00), _failures),
)
"""Rates of arithmetic, of every link and of the network, the price, and how often the job is interrupted: half, or twice."""

CHANGES: Final = sum(len(factor.changes) for factor in FACTORS)
"""How often a question is asked again."""
