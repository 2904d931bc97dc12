"""Entries of the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from planner.reports import columns
from planner.reports.blocks import Flat, Report
from planner.reports.listing import entry, listing, table_of

SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "models": ("slug", "family", "layers", "hidden", "heads", "kv_heads", "vocab"),
    "accelerators": ("slug", "vendor", "year", "capacity_bytes", "memory_bandwidth_bytes_per_s", "bf16_flop_per_s"),
    "nodes": ("slug", "provider", "accelerator", "accelerators_per_node", "network_bytes_per_s"),
    "clusters": ("slug", "nodes", "node", "name"),
    "prices": ("accelerator", "node", "provider", "kind", "usd_per_accelerator_hour", "date"),
    "links": ("slug", "name"),
    "vendors": ("slug", "name"),
    "sources": ("slug", "name"),
    "carbon": ("slug", "kind", "g_co2e_per_kwh", "carbon_free_share", "year"),
    "pue": ("slug", "operator", "pue", "year", "confidence"),
    "power": ("slug", "accelerator", "accelerators", "kind", "watts", "rated_watts"),
    "footprints": ("slug", "run", "energy_kwh", "emissions_t_co2e", "accelerator_hours", "year"),
    "failures": ("slug", "kind", "events_per_accelerator_day", "job_mtti_s"),
    "checkpoints": ("slug", "system", "checkpoint_bytes", "write_bytes_per_s", "highest_write_bytes_per_s"),
    "goodput": ("slug", "system", "kind", "share", "bound", "year"),
}
"""The columns that a person sees of a kind; the data formats have all."""
_OTHERWISE: Final = 6


def kind_report(kind: str, items: Iterable[Mapping[str, Any]], *, more: int = 0, chosen: bool = False) -> Report:
    """Entries of a kind; `more` counts those that are not among them, `chosen` says that filters picked them."""
    rows = tuple(items)
    every = tuple(dict.fromkeys(key for row in rows for key in row))
    shown = SHOWN.get(kind, every[:_OTHERWISE])
    if any(row.get("shadows") for row in rows):
        shown = (*shown, "shadows")
    if any(row.get("takes_names_of") for row in rows):
        shown = (*shown, "takes_names_of")
    empty = f"no {kind} that fit" if chosen else f"no {kind} in the catalog: planner db upgrade"
    report = listing("planner.catalog.list/1", rows, shown, empty=empty)
    return replace(report, document={**report.document, "more": more})


def entry_report(kind: str, fields: Mapping[str, Any]) -> Report:
    """One entry with all that is known of it."""
    title = f"{kind.removesuffix('s').capitalize()} {fields.get('slug', '')}"
    for_people = {**fields, "differences": _in_words(fields)}
    if efficiencies := fields.get("efficiencies"):
        for_people |= {
            "calibration in force": "; ".join(_calibrations(efficiencies)),
            "efficiencies": [{name: row[name] for name in row if name != "in_force"} for row in efficiencies],
        }
    report = entry("planner.catalog.show/1", title, for_people)
    return replace(
        report, document={**report.document, **fields}, flat=Flat(columns=tuple(fields), rows=(dict(fields),))
    )  # fmt: skip


def _calibrations(efficiencies: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in efficiencies:
        if row["in_force"]:
            yield f"{row['metric'].removeprefix('calibrated_')} {row['fraction']:.4g}, of {row['source_date']}"


def _in_words(fields: Mapping[str, Any]) -> list[dict[str, str]]:
    """How an entry differs from the one that it shadows, each value with the unit of its own column."""
    return [
        {
            "column": columns.title(each["column"]),
            "here": "" if each["here"] is None else columns.text(each["column"], each["here"]),
            f"in the layer {fields['shadows']}": ""
            if each["there"] is None
            else columns.text(each["column"], each["there"]),
        }
        for each in fields.get("differences") or ()
    ]


def search_report(text: str, found: Iterable[Mapping[str, Any]], *, near: Sequence[str] = ()) -> Report:
    """Entries of every kind that match a text; `near` are names to suggest where there is none."""
    shown = ("kind", "slug", "name")
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    rows = tuple(found)
    report = listing("planner.catalog.search/1", rows, shown, empty=f"nothing in the catalog contains {text!r}{hint}")
    brief = [{**row, "name": _with_match(row)} for row in rows]
    blocks = (table_of(brief, shown),) if brief else report.blocks
    return replace(report, document={**report.document, "near": list(near)}, blocks=blocks)


def _with_match(row: Mapping[str, Any]) -> str:
    """The name, and the alias that matched where it is another."""
    told = {str(row["slug"]), str(row["name"]).casefold()}
    return str(row["name"]) if str(row["matched"]).casefold() in told else f"{row['name']} ({row['matched']})"


def history_report(kind: str, slug: str, events: Iterable[Mapping[str, Any]]) -> Report:
    """The dated facts of one entry, newest first."""
    shown = ("date", "event", "detail", "value", "source")
    report = listing("planner.catalog.history/1", events, shown, empty=f"nothing of {slug} is dated")
    return replace(
        report, document={"schema": "planner.catalog.history/1", "kind": kind, "slug": slug, "items": list(events)}
    )


def documents_report(rows: Iterable[Mapping[str, Any]]) -> Report:
    """Documents with the number of facts that rest on each."""
    return listing("planner.catalog.sources/1", rows, ("slug", "kind", "facts", "name"), empty="no documents")


def resting_report(slug: str, rows: Iterable[Mapping[str, Any]]) -> Report:
    """The facts that rest on one document."""
    shown = ("kind", "slug", "name", "source")
    report = listing("planner.catalog.source/1", rows, shown, empty=f"no fact rests on {slug}")
    return replace(report, document={**report.document, "document": slug})
