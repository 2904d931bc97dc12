"""What the catalog knows of running a job, read when a question needs it: prices, failures, checkpoints, power, carbon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from planner.catalog import prices
from planner.domain.operation import (
    CarbonIntensity,
    CheckpointWrite,
    FailureRate,
    PowerDraw,
    PowerUsageEffectiveness,
)
from planner.domain.running import ON_DEMAND, AcceleratorNote, RunningFacts
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog
    from planner.domain.hardware import Cluster, Price

WORLD: Final = "world"
_CLOUDS: Final = {"AWS": "aws", "GCP": "gcp"}
"""Providers whose regions the catalog knows, and what begins their names there."""


def running_facts(catalog: Catalog, cluster: Cluster, price_kind: str | None, region: str | None) -> RunningFacts:
    """Facts for a run on `cluster`. Raises UnknownNameError for a region that the catalog does not know."""
    return RunningFacts(
        failures=catalog.operation_facts(FailureRate),
        checkpoints=catalog.operation_facts(CheckpointWrite),
        power=catalog.operation_facts(PowerDraw),
        pues=catalog.operation_facts(PowerUsageEffectiveness),
        carbon=_carbon(catalog, cluster, region),
        prices=prices.price_range(
            catalog.latest_offers(cluster.accelerator.slug, price_kind or ON_DEMAND), price_kind or ON_DEMAND
        ),
        accelerators={
            row["slug"]: AcceleratorNote(generation=row["architecture"].split(" ")[0], tdp_w=row["tdp_w"])
            for row in catalog.accelerator_notes()
        },
    )


def price_of_kind(catalog: Catalog, cluster: Cluster, kind: str) -> Price:
    """The accelerator's usual price of one kind. Raises InputError where the catalog has none, naming the kinds it has."""
    slug = cluster.accelerator.slug
    found = prices.typical(catalog.latest_offers(slug, kind), kind)
    if found is None:
        kinds = catalog.kinds_of_prices(slug)
        known = f"it has {', '.join(kinds)}; or give one with --price" if kinds else "give one with --price"
        raise InputError(f"no {kind} price is known for {slug}", hint=known)
    return found


def _carbon(catalog: Catalog, cluster: Cluster, region: str | None) -> CarbonIntensity | None:
    if region is None:
        return None if catalog.find("carbon", WORLD) is None else catalog.carbon_intensity(WORLD)
    cloud = _CLOUDS.get(cluster.node.provider)
    # A cloud's own region may be named without the cloud.
    own = None if cloud is None else catalog.find("carbon", f"{cloud}-{region}")
    slug = own or catalog.find("carbon", region)
    if slug is None:
        raise UnknownNameError(
            "region", region, catalog.names("carbon"), listing="planner catalog list carbon shows them"
        )
    return catalog.carbon_intensity(slug)
