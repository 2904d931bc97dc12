"""What is known of an entry over time, and what rests on a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.kinds import TABLES, table_of
from planner.catalog.release_lists import moved_by
from planner.domain.hardware import CALIBRATED

if TYPE_CHECKING:
    from pathlib import Path

    from planner.catalog.database import Database

Row = dict[str, Any]

MOST_EVENTS: Final = 1000
"""Prices of one entry that are looked at, the newest first."""
PRICED: Final = {"accelerators": "accelerator", "nodes": "node", "clusters": "cluster"}
_WITHOUT_SLUG: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "efficiencies": (
        "accelerator AS slug, metric AS name",
        ("accelerator", "metric", "format", "condition", "layer"),
    ),
    "peaks": ("accelerator AS slug, format AS name", ("accelerator", "format", "layer")),
}
"""How the rows of a kind without slugs are shown, and their keys."""
_PARTS: Final = ("added", "changed", "removed")


def history(database: Database, row: Row, kind: str, *, branches: Mapping[str, Path] | None = None) -> list[Row]:
    """The dated facts of the entry `row` of a kind, newest first: prices, efficiencies, calibrations, and the releases that
    brought or changed it, of the planner and of the plugins in `branches`. Each has ``date``, ``event``, ``detail``, ``value``,
    ``layer`` and ``source``.
    """
    slug = row["slug"]
    events = [*_of_releases(database, kind, row, branches), *_of_prices(database, kind, slug)]
    if kind == "accelerators":
        events += _of_efficiencies(database, slug)
    return sorted(events, key=lambda event: event["date"] or "", reverse=True)


def documents(database: Database, sources: Iterable[Row]) -> list[Row]:
    """Every document of `sources` with how many entries of each kind rest on it: slug, name, kind, licence, ``facts``, ``of``."""
    counts: dict[str, dict[str, int]] = {}
    for kind, table in _cited():
        query = f"SELECT document, count(*) AS n FROM {table} WHERE document IS NOT NULL GROUP BY document"
        for row in database.select(query):
            counts.setdefault(row["document"], {})[kind] = row["n"]
    return [
        {
            **{name: row[name] for name in ("slug", "name", "kind", "licence", "layer")},
            "facts": sum(counts.get(row["slug"], {}).values()),
            "of": counts.get(row["slug"], {}),
        }
        for row in sources
    ]


def resting_on(database: Database, slug: str, most: int) -> list[Row]:
    """The entries that rest on the document `slug`: kind, slug, name, layer, and where in it they were read."""
    found: list[Row] = []
    for kind, table in _cited():
        shown, keys = _WITHOUT_SLUG.get(kind, ("slug, name", ("slug", "layer")))
        order = ", ".join(f"{table}.{key}{database.bytewise}" for key in keys)
        query = f"SELECT {shown}, layer, source FROM {table} WHERE document = :slug ORDER BY {order} LIMIT :most"
        found += [{"kind": kind, **row} for row in database.select(query, slug=slug, most=most)]
    return found[:most]


def peaks_with_sources(database: Database, row: Mapping[str, Any]) -> list[Row]:
    """The rates of the accelerator `row`, each with where it was read: in its own source, or in its accelerator's."""
    same = "s.accelerator = r.accelerator AND s.layer = r.layer AND s.format = r.format"
    query = (
        "SELECT r.format, r.flop_per_s AS dense_flop_per_s, r.layer, s.document, s.source, s.source_date, s.confidence "
        f"FROM peak_rate r LEFT JOIN peak_source s ON {same} WHERE r.accelerator = :slug"
    )
    known = database.select(query, slug=row["slug"])
    found = sorted((rate for rate in known if rate["layer"] == row["layer"]), key=itemgetter("format"))
    # As the rates themselves: those of the fact count where the user's row has none.
    found = found or sorted(known, key=itemgetter("format"))
    shown = ("format", "dense_flop_per_s", "confidence", "source", "source_date", "document")
    whole = {name: row[name] for name in ("confidence", "source", "source_date", "document")}
    return [{name: rate[name] for name in shown} | (whole if rate["source"] is None else {}) for rate in found]


def _cited() -> Iterator[tuple[str, str]]:
    """The kinds whose entries name documents, and their tables."""
    for kind in TABLES:
        if kind != "sources":
            yield kind, table_of(kind)
    yield "efficiencies", "efficiency"
    yield "peaks", "peak_source"


def newest_first(database: Database) -> str:
    """The order of prices. Of one day it is by slug, so that a limit takes the same ones from every database."""
    return f"date{database.bytewise} DESC, slug{database.bytewise}, layer{database.bytewise}"


def _event(date: str | None, event: str, detail: str, layer: str, source: str, value: str = "") -> Row:
    return {"date": date, "event": event, "detail": detail, "value": value, "layer": layer, "source": source}


def _of_prices(database: Database, kind: str, slug: str) -> Iterator[Row]:
    column = PRICED.get(kind)
    if column is None:
        return
    query = f"SELECT * FROM price WHERE {column} = :slug ORDER BY {newest_first(database)} LIMIT :most"
    for row in database.select(query, slug=slug, most=MOST_EVENTS):
        said = " ".join(part for part in (row["provider"], row["region"], row["kind"]) if part)
        value = f"${row['usd_per_accelerator_hour']:,.2f} per GPU-h"
        yield _event(row["date"], "price", said, row["layer"], row["source"], value)


def _of_efficiencies(database: Database, slug: str) -> Iterator[Row]:
    query = "SELECT * FROM efficiency WHERE accelerator = :slug AND source_date IS NOT NULL"
    for row in database.select(query, slug=slug):
        event = "calibration" if row["metric"] in CALIBRATED else "efficiency"
        said = " ".join((row["metric"], row["format"], f"({row['condition']})" if row["condition"] else ""))
        yield _event(row["source_date"], event, said.strip(), row["layer"], row["source"], f"{row['fraction']:.4g}")


def _of_releases(
    database: Database, kind: str, row: Mapping[str, Any], branches: Mapping[str, Path] | None
) -> Iterator[Row]:
    """Which release brought the entry, which changed it; for one of the user's when it was brought in."""
    if row["layer"] == "user":
        yield _event(row.get("source_date"), "brought in", "an entry of your own", "user", row.get("source") or "")
    layer = row["layer"] if row["layer"] != "user" else row.get("shadows")
    if layer is None:
        return
    query = "SELECT slug, layer, revision, released_on, note FROM release WHERE layer = :layer ORDER BY revision"
    releases = database.select(query, layer=layer)
    table, slug = table_of(kind), row["slug"]
    changes = {release["slug"]: _changes(moved_by(release, branches), table, slug) for release in releases}
    # The first release has no list of changes: what no later one added was there from the start.
    if releases and not any("added" in (each or {}) for each in changes.values()):
        changes[releases[0]["slug"]] = {"added": {}}
    # Of two releases on one day the later comes first, as it does by date.
    for release in reversed(releases):
        for part, columns in (changes[release["slug"]] or {}).items():
            said = f"{part} {', '.join(columns)}".strip()
            values = (pair for pair in columns.values() if not isinstance(pair[1] or pair[0], str))
            moved = "; ".join(f"{old} → {'none' if new is None else new}" for old, new in values)
            yield _event(release["released_on"], f"release {release['slug']}", said, layer, release["note"], moved)


def _changes(
    moved: Sequence[Mapping[str, Any]] | None, table: str, slug: str
) -> dict[str, dict[str, tuple[Any, Any]]] | None:
    """What a release did to one row: the part of its list, with the columns that changed and both values; None without a list.

    The rates of an accelerator are columns of its row here.
    """
    if moved is None:
        return None
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    for each in moved:
        if each["table"] == table:
            for part in _PARTS:
                for row in each[part]:
                    if row.get("slug", row.get("key", {}).get("slug")) == slug:
                        found[part] = {name: (row["old"].get(name), new) for name, new in row.get("new", {}).items()}
    rates = _changed_rates(moved, slug) if table == "accelerator" and not found.keys() & {"added", "removed"} else {}
    if rates:
        found["changed"] = rates | found.get("changed", {})
    return found


def _changed_rates(moved: Sequence[Mapping[str, Any]], slug: str) -> dict[str, tuple[Any, Any]]:
    found = {}
    for each in moved:
        if each["table"] == "peak_rate":
            for change in each["changed"]:
                if change["key"]["accelerator"] == slug:
                    values = (change["old"]["flop_per_s"], change["new"]["flop_per_s"])
                    found[f"{change['key']['format']}_flop_per_s"] = values
            for part in ("added", "removed"):
                for row in (row for row in each[part] if row["accelerator"] == slug):
                    value = row["flop_per_s"]
                    found[f"{row['format']}_flop_per_s"] = (None, value) if part == "added" else (value, None)
    return found
