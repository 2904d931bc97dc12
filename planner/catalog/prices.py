"""Which of many dated prices is meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from planner.catalog.records import price
from planner.domain.hardware import Price
from planner.domain.running import ON_DEMAND, PriceRange

Row = Mapping[str, Any]

SPOT = "spot"


def newest(rows: Iterable[Row]) -> Price | None:
    """The latest price of one series that the source does not call historical; of two on one day the lower."""
    living = [row for row in rows if not row["superseded"]]
    if not living:
        return None
    latest = max(row["date"] for row in living)
    return price(min((row for row in living if row["date"] == latest), key=lambda row: row["usd_per_accelerator_hour"]))


def typical(rows: Iterable[Row], kind: str = ON_DEMAND) -> Price | None:
    """The median, over providers, of the median of each one's latest prices of `kind`; None where there is none.

    Prices with a day count; where no provider has one, prices with a year alone stand in. Spot prices never count unless
    `kind` names them.
    """
    latest = _latest(rows, kind)
    if not latest:
        return None
    medians = _provider_medians(latest)
    providers = ", ".join(sorted(medians))
    return Price(
        usd_per_accelerator_hour=median(medians.values()),
        kind=kind,
        provider=f"median of {providers}" if len(medians) > 1 else providers,
        date=max(row["date"] for row in latest),
        source=f"the catalog's {len(latest)} latest {kind} prices of {providers}",
    )


def price_range(rows: Iterable[Row], kind: str = ON_DEMAND) -> PriceRange | None:
    """From the lowest to the highest provider, each by the median of its latest prices; None where there is none.

    The oldest and the newest date are those of the prices that count.
    """
    latest = _latest(rows, kind)
    if not latest:
        return None
    medians = _provider_medians(latest)
    return PriceRange(
        kind=kind,
        low_usd=min(medians.values()),
        median_usd=median(medians.values()),
        high_usd=max(medians.values()),
        providers=dict(sorted(medians.items())),
        oldest=min(row["date"] for row in latest),
        newest=max(row["date"] for row in latest),
    )


def _latest(rows: Iterable[Row], kind: str) -> list[Row]:
    """The latest prices of each provider, of those with a day if there are any."""
    living = [row for row in rows if row["kind"] == kind and not row["superseded"]]
    dated = [row for row in living if len(row["date"]) == len("2026-11-24")] or living
    newest_of: dict[str, str] = {}
    for row in dated:
        newest_of[row["provider"]] = max(row["date"], newest_of.get(row["provider"], ""))
    return [row for row in dated if row["date"] == newest_of[row["provider"]]]


def _provider_medians(latest: Iterable[Row]) -> dict[str, float]:
    """What each provider asks: the median of its latest prices."""
    by_provider: dict[str, list[float]] = defaultdict(list)
    for row in latest:
        by_provider[row["provider"]].append(row["usd_per_accelerator_hour"])
    return {provider: median(offers) for provider, offers in by_provider.items()}
