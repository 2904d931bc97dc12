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
    dated = _dated(rows, kind)
    if not dated:
        return None
    medians = _provider_medians(dated)
    providers = ", ".join(sorted(medians))
    return Price(
        usd_per_accelerator_hour=median(medians.values()),
        kind=kind,
        provider=f"median of {providers}" if len(medians) > 1 else providers,
        date=max(row["date"] for row in dated),
        source=f"the catalog's {len(dated)} {kind} prices of {providers}",
    )


def price_range(rows: Iterable[Row], kind: str = ON_DEMAND) -> PriceRange | None:
    """From the lowest to the highest provider, each by the median of its latest prices; None where there is none."""
    dated = _dated(rows, kind)
    if not dated:
        return None
    medians = _provider_medians(dated)
    return PriceRange(
        kind=kind,
        low_usd=min(medians.values()),
        median_usd=median(medians.values()),
        high_usd=max(medians.values()),
        providers=dict(sorted(medians.items())),
        oldest=min(row["date"] for row in dated),
        newest=max(row["date"] for row in dated),
    )


def _dated(rows: Iterable[Row], kind: str) -> list[Row]:
    living = [row for row in rows if row["kind"] == kind and not row["superseded"]]
    return [row for row in living if len(row["date"]) == len("2026-11-24")] or living


def _provider_medians(rows: Iterable[Row]) -> dict[str, float]:
    """What each provider asks: the median of its latest prices."""
    by_provider: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_provider[row["provider"]].append(row)
    medians = {}
    for provider, offers in by_provider.items():
        latest = max(row["date"] for row in offers)
        medians[provider] = median(row["usd_per_accelerator_hour"] for row in offers if row["date"] == latest)
    return medians
