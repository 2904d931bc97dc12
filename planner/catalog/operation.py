"""What the catalog knows of operating a run, read when a question needs it: prices, failures, power, carbon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.catalog import prices
from planner.domain.operation import ON_DEMAND, OperationFacts
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog
    from planner.domain.hardware import Accelerator, Price


def operation_facts(
    catalog: Catalog, accelerator: Accelerator, price_kind: str | None, region: str | None
) -> OperationFacts:
    """Facts for a run on `accelerator`. Raises UnknownNameError for a region that the catalog does not know."""
    series = catalog.price_rows(accelerator.slug)
    return OperationFacts(prices=prices.price_range(series, price_kind or ON_DEMAND))


def price_of_kind(catalog: Catalog, accelerator: Accelerator, kind: str) -> Price:
    """The accelerator's usual price of one kind. Raises InputError where the catalog has none, naming the kinds it has."""
    series = catalog.price_rows(accelerator.slug)
    found = prices.typical(series, kind)
    if found is None:
        kinds = sorted({row["kind"] for row in series if not row["superseded"]})
        known = f"its kinds are {', '.join(kinds)}" if kinds else "give one with --price"
        raise InputError(f"no {kind} price is known for {accelerator.slug}", hint=known)
    return found
