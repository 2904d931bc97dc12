"""A cluster's own price, written with the cluster: ``usd_per_accelerator_hour`` of an entry of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from planner.catalog.reader import Catalog
from planner.errors import InputError, UnknownNameError
from planner.importers.machine_entries import price_fields

PRICE: Final = "usd_per_accelerator_hour"
SINCE: Final = "price_date"


def with_prices(catalog: Catalog, document: Any, today: str) -> Any:  # noqa: ANN401 - a parsed file
    """The document with an entry of prices for each cluster that names its own; any other document as it is."""
    clusters = document.get("clusters") if isinstance(document, Mapping) else None
    if not isinstance(clusters, list) or not isinstance(document.get("prices", []), list):
        return document
    priced = [each for each in clusters if isinstance(each, Mapping) and PRICE in each]
    if not priced:
        return document
    nodes = {each.get("slug"): each for each in document.get("nodes") or () if isinstance(each, Mapping)}
    prices = [
        price_fields(
            str(each.get("slug")), _accelerator(catalog, nodes, each), each[PRICE], str(each.get(SINCE) or today)
        )
        for each in priced
    ]
    kept = [_without_price(each) if isinstance(each, Mapping) else each for each in clusters]
    return {**document, "clusters": kept, "prices": [*document.get("prices", []), *prices]}


def _without_price(cluster: Mapping[str, Any]) -> Any:  # noqa: ANN401
    kept = type(cluster)({name: value for name, value in cluster.items() if name not in (PRICE, SINCE)})  # type: ignore[call-arg]
    if hasattr(cluster, "line"):
        kept.line = cluster.line  # type: ignore[attr-defined]
    return kept


def _accelerator(catalog: Catalog, nodes: Mapping[Any, Mapping[str, Any]], cluster: Mapping[str, Any]) -> str:
    node = cluster.get("node")
    own = nodes.get(node)
    if own is not None and isinstance(own.get("accelerator"), str):
        return str(own["accelerator"])
    try:
        return catalog.node(str(node)).accelerator
    except UnknownNameError as error:
        raise InputError(f"cluster {str(cluster.get('slug'))[:80]}: {error.message}", hint=error.hint) from None
