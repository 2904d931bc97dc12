"""The dense rates of accelerators, and which share of them was reached."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.catalog.database import Database

Row = dict[str, Any]


def peaks(database: Database, row: Row) -> dict[str, float]:
    """The rates of an accelerator; a row of the user's without any has those of the fact that it stands in for."""
    query = "SELECT format, flop_per_s, layer FROM peak_rate WHERE accelerator = :slug"
    known = database.select(query, slug=row["slug"])
    rates = [rate for rate in known if rate["layer"] == row["layer"]] or known
    return {rate["format"]: rate["flop_per_s"] for rate in sorted(rates, key=itemgetter("format"))}


def number_formats(database: Database) -> tuple[str, ...]:
    """The number formats that any accelerator has a rate in. Each is found by its index, however many rates there are."""
    next_one = "SELECT min(format) FROM peak_rate WHERE format > known.format"
    every = f"SELECT min(format) FROM peak_rate UNION ALL SELECT ({next_one}) FROM known WHERE known.format IS NOT NULL"
    query = f"WITH RECURSIVE known(format) AS ({every}) SELECT format FROM known WHERE format IS NOT NULL"
    return tuple(row["format"] for row in database.select(query))


def efficiencies(database: Database, slug: str) -> list[Row]:
    """The published efficiencies and the calibrations of an accelerator."""
    rows = database.select("SELECT * FROM efficiency WHERE accelerator = :slug", slug=slug)
    return sorted(rows, key=itemgetter("metric", "format", "condition", "layer"))


def of_same_chip(database: Database, row: Row, own: Mapping[str, float]) -> list[Row]:
    """What GEMMs reach on accelerators of the same architecture, power and peaks, which differ in memory, where nobody
    published it of this one, whose peaks are `own`."""
    published = "SELECT accelerator FROM efficiency WHERE metric = 'gemm_best'"
    if database.select(f"{published} AND accelerator = :slug LIMIT 1", slug=row["slug"]):
        return []
    alike = "architecture = :architecture AND form_factor = :form_factor AND tdp_w = :tdp_w"
    same = {name: row[name] for name in ("architecture", "form_factor", "tdp_w")}
    # Sorted here: asked for in order, a database may go through all accelerators in that order.
    twins = database.select(f"SELECT * FROM accelerator WHERE slug IN ({published}) AND {alike}", **same)
    return [
        efficiency
        for twin in sorted(twins, key=itemgetter("slug"))
        if peaks(database, twin).get("bf16") == own.get("bf16")
        for efficiency in efficiencies(database, twin["slug"])
        if efficiency["metric"] == "gemm_best"
    ]
