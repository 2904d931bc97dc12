"""The catalog as the rest of the planner reads it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from planner.catalog import browse, cluster_spec, prices, records, series, shadows
from planner.catalog.engine import SchemaError, plain_errors, schema_error, shown, upgradable
from planner.catalog.location import core_revisions, database_url, sqlite_path
from planner.catalog.names import lookup_keys, name_key
from planner.catalog.session import Session, reading_session
from planner.catalog.spelling import clipped
from planner.domain.running import ON_DEMAND
from planner.errors import CatalogError, CatalogWarning, InputError, UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path

    from planner.catalog.records import Operation
    from planner.domain.architecture import Architecture
    from planner.domain.hardware import Accelerator, Cluster, Node, Price
    from planner.domain.operation import CarbonIntensity, PowerUsageEffectiveness

Row = dict[str, Any]

TABLES: Final = {
    "models": "architecture",
    "accelerators": "accelerator",
    "nodes": "node",
    "clusters": "cluster",
    "prices": "price",
    "links": "link",
    "vendors": "vendor",
    "sources": "source",
    "carbon": "carbon_intensity",
    "pue": "pue",
    "power": "power_draw",
    "footprints": "footprint",
    "failures": "failure_rate",
    "checkpoints": "checkpoint_write",
    "goodput": "goodput",
}
"""The kinds of entries, and the table of each."""
_SINGULAR: Final = {kind: kind.removesuffix("s") for kind in TABLES} | {
    "carbon": "carbon intensity",
    "pue": "PUE",
    "power": "power draw",
    "failures": "failure rate",
    "checkpoints": "checkpoint write",
}
_KIND_OF_RECORD: Final = {
    "CarbonIntensity": "carbon",
    "PowerUsageEffectiveness": "pue",
    "PowerDraw": "power",
    "Footprint": "footprints",
    "FailureRate": "failures",
    "CheckpointWrite": "checkpoints",
    "Goodput": "goodput",
}
"""The kind of entries that each record of `planner.domain.operation` is made from."""
NEWEST_PRICES: Final = 200
"""Prices that an entry is shown with."""
# A user's own row shadows a released one of the same slug.
_USER_FIRST: Final = "CASE WHEN layer = 'user' THEN 0 ELSE 1 END"


class Catalog:
    """A read-only view of the catalog. Use it as a context manager, or `close` it.

    Look-ups raise UnknownNameError for a name that nothing answers to and CatalogError for a database that fails.
    """

    def __init__(self, url: str, session: Session) -> None:
        """Use `open` instead."""
        self.url = url
        self._session = session

    @classmethod
    def open(cls, url: str | None = None, *, branches: Mapping[str, Path] | None = None) -> Catalog:
        """Open the catalog, made and migrated on first use. `branches` are the catalog branches of plugins.

        Raises CatalogError where the database is newer than the program, locked, read-only, corrupt or unreachable.
        """
        wanted = database_url(url)
        path = sqlite_path(wanted)
        if path is None or path.exists():
            catalog = cls._connect(wanted)
            try:
                new = catalog._new_branches(branches)
                if new == () or (not upgradable(wanted) and catalog._readable_as_it_is(branches, new)):
                    return catalog
            except BaseException:
                catalog.close()
                raise
            catalog.close()
        else:
            new = None
        from planner.catalog.upgrade import upgrade, upgrade_branches

        if new is None:
            upgrade(wanted, branches=branches)
        else:
            upgrade_branches(wanted, new, branches=branches)
        return cls._connect(wanted)

    @classmethod
    def _connect(cls, url: str) -> Catalog:
        return cls(url, reading_session(url))

    def _new_branches(self, branches: Mapping[str, Path] | None) -> tuple[str, ...] | None:
        """The branches that have revisions which the database was never told of; None where there is no catalog yet.

        A revision that it was told of and is not at was taken back by choice.
        """
        from planner.catalog.upgrade import new_branches, refuse_newer

        with plain_errors(self.url):
            tables = self._tables()
            if "alembic_version" not in tables:
                return None
            heads = [row["version_num"] for row in self._select("SELECT version_num FROM alembic_version")]
        refuse_newer(self.url, heads)
        if "catalog_state" not in tables:
            return None
        state = self._select("SELECT known_revisions FROM catalog_state")
        return new_branches(state[0]["known_revisions"] if state else "", heads, branches)

    def _readable_as_it_is(self, branches: Mapping[str, Path] | None, new: tuple[str, ...] | None) -> bool:
        """Whether one who may not upgrade can read: then only what plugins bring may be missing, and a warning names it.

        Raises CatalogError for a database that is older than the program.
        """
        from planner.catalog.upgrade import CORE

        if (new is None or CORE in new) and (older := self._older()):
            raise older
        if new is None:
            return False
        heads = self.revision.split(", ")
        absent = [label for label in branches or {} if not any(head.startswith(f"{label}_") for head in heads)]
        if absent:
            message = f"catalog {shown(self.url)} lacks the facts of {', '.join(absent)}, and you may not upgrade it"
            warnings.warn(
                f"{message}: ask its owner to install the plugin and run planner db upgrade", CatalogWarning, 2
            )
        return True

    def _tables(self) -> set[str]:
        with plain_errors(self.url):
            return self._session.tables()

    @property
    def _bytewise(self) -> str:
        """What follows a column in ORDER BY: a server sorts by its language, where SQLite compares bytes."""
        return ' COLLATE "C"' if self._session.dialect == "postgresql" else ""

    @property
    def revision(self) -> str:
        """The migration revisions that the database is at."""
        heads = sorted(str(row["version_num"]) for row in self._select("SELECT version_num FROM alembic_version"))
        return ", ".join(heads)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def architecture(self, name: str) -> Architecture:
        """The model architecture called `name`."""
        with self._whole_rows():
            return records.architecture(self._row("models", self.resolve("models", name)))

    def accelerator(self, name: str) -> Accelerator:
        """The accelerator called `name`, with its dense rates and published efficiencies."""
        with self._whole_rows():
            row = self._row("accelerators", self.resolve("accelerators", name))
            peaks = self._peaks(row)
            return records.accelerator(row, peaks, [*self._efficiencies(row), *self._of_same_chip(row, peaks)])

    def node(self, name: str) -> Node:
        """The node called `name`, with its latest on-demand price."""
        query = "SELECT * FROM price WHERE node = :node AND kind = :kind"
        with self._whole_rows():
            row = self._row("nodes", self.resolve("nodes", name))
            return records.node(row, prices.newest(self._select(query, node=row["slug"], kind=ON_DEMAND)))

    def cluster(self, spec: str, node: str | None = None) -> Cluster:
        """The cluster that `spec` means: a name, ``GPU:COUNT`` or ``GPU:NODESxPER_NODE``; `node` for bare accelerators.

        Raises InputError where the parts do not fit together.
        """
        return cluster_spec.cluster(self, spec, node)

    def named_cluster(self, name: str) -> Cluster:
        """The cluster called `name`. Its price is its own, else its node's, else the accelerator's usual one."""
        from planner.domain.hardware import Cluster

        with self._whole_rows():
            row = self._row("clusters", self.resolve("clusters", name))
            node = self.node(row["node"])
            own = self._select(
                "SELECT * FROM price WHERE cluster = :cluster AND kind <> :spot", cluster=row["slug"], spot=prices.SPOT
            )
            return Cluster(
                slug=row["slug"],
                name=row["name"],
                accelerator=self.accelerator(node.accelerator),
                node=node,
                nodes=row["nodes"],
                price=prices.newest(own) or node.price or self.accelerator_price(node.accelerator),
                source=row["source"],
                note=row["note"],
                aliases=self._aliases("clusters", row["slug"]),
            )

    def accelerator_price(self, slug: str) -> Price | None:
        """The median of the accelerator's latest dated on-demand prices; None where there is none."""
        with self._whole_rows():
            # Of very many prices only the columns that count, and the current ones.
            columns = "provider, kind, date, usd_per_accelerator_hour, superseded"
            query = f"SELECT {columns} FROM price WHERE accelerator = :slug AND kind = :kind"
            return prices.typical(self._select(query, slug=slug, kind=ON_DEMAND))

    def price_rows(self, slug: str) -> list[Row]:
        """All prices of the accelerator, as they are stored."""
        return self._select("SELECT * FROM price WHERE accelerator = :slug", slug=slug)

    def accelerator_notes(self) -> list[Row]:
        """Slug, chip generation and rated power of every accelerator."""
        # The user's row of a slug comes last, so that it counts where rows become a dictionary.
        return self._select(f"SELECT slug, architecture, tdp_w FROM accelerator ORDER BY {_USER_FIRST} DESC")

    def carbon_intensity(self, name: str) -> CarbonIntensity:
        """The carbon intensity of a country, cloud region (``gcp-us-central1``) or technology called `name`."""
        from planner.domain.operation import CarbonIntensity

        return self._operation(CarbonIntensity, "carbon", name)

    def power_usage_effectiveness(self, name: str) -> PowerUsageEffectiveness:
        """The PUE called `name`; an operator's name (``google``, ``industry``) means its latest."""
        from planner.domain.operation import PowerUsageEffectiveness

        return self._operation(PowerUsageEffectiveness, "pue", name)

    def operation_facts(self, record: type[Operation]) -> tuple[Operation, ...]:
        """All facts of a kind of `planner.domain.operation`, by slug: the records PowerDraw, FailureRate, Goodput …"""
        with self._whole_rows():
            return tuple(records.operation(record, row) for row in self.rows(_KIND_OF_RECORD[record.__name__]))

    def _operation(self, record: type[Operation], kind: str, name: str) -> Operation:
        with self._whole_rows():
            return records.operation(record, self._row(kind, self.resolve(kind, name)))

    def names(self, kind: str) -> tuple[str, ...]:
        """All slugs of a kind, in order."""
        self._table(kind)
        rows = self._select("SELECT DISTINCT slug FROM alias WHERE kind = :kind", kind=kind)
        return tuple(sorted(row["slug"] for row in rows))

    def find(self, kind: str, name: str) -> str | None:
        """The slug that `name` means, whatever its case and punctuation; None where nothing answers to it."""
        self._table(kind)
        query = f"SELECT slug FROM alias WHERE kind = :kind AND key = :key ORDER BY {_USER_FIRST} LIMIT 1"
        for key in lookup_keys(name):
            if rows := self._select(query, kind=kind, key=key):
                return str(rows[0]["slug"])
        return None

    def resolve(self, kind: str, name: str) -> str:
        """The slug that `name` means. Raises UnknownNameError with the nearest names."""
        slug = self.find(kind, name)
        if slug is not None:
            return slug
        if not self._select("SELECT 1 FROM alias WHERE kind = :kind LIMIT 1", kind=kind):
            raise self._older() or CatalogError(
                f"catalog {shown(self.url)} holds no {kind}", hint="name another with --database"
            )
        near = browse.near_names(self, kind, name)
        raise UnknownNameError(_SINGULAR[kind], name, near, listing=f"planner catalog list {kind} shows them")

    def rows(self, kind: str) -> list[Row]:
        """All entries of a kind by slug, with their columns; accelerators with their bf16 rate.

        ``shadows`` is the layer of the fact that a row of the user's stands in for.
        """
        table = self._table(kind)
        with self._whole_rows():
            query = f"SELECT * FROM {table} ORDER BY slug{self._bytewise}, {_USER_FIRST}"
            found = shadows.visible(self._select(query))
            if kind == "accelerators":
                self._add_rates(found)
        if not found and not upgradable(self.url) and (older := self._older()):
            raise older
        return list(found.values())

    def row(self, kind: str, slug: str) -> Row:
        """One entry with everything that is known: columns, aliases, source document, rates, efficiencies, prices.

        ``shadows`` is the layer of the fact that it stands in for, ``differences`` the columns in which they differ,
        ``takes_names_of`` the slugs of other facts whose names mean it.
        """
        with self._whole_rows():
            entry = records.plain(self._row(kind, self.resolve(kind, slug)))
            entry |= self._behind(kind, entry)
            own = [entry["slug"]] if entry["layer"] == browse.USER else []
            entry["takes_names_of"] = browse.taken_from(self, kind, own).get(entry["slug"], [])
            entry["aliases"] = [name for name in self._aliases(kind, entry["slug"]) if name != entry["slug"]]
            if entry.get("document"):
                entry["document_name"] = self._row("sources", entry["document"])["name"]
            if kind == "accelerators":
                entry["peak_flop_per_s"] = self._peaks(entry)
                entry["peaks"] = series.peaks_with_sources(self, entry)
                rows = self._efficiencies(entry)
                forces = shadows.in_force(rows)
                entry["efficiencies"] = [
                    _without_keys(row) | {"in_force": force} for row, force in zip(rows, forces, strict=True)
                ]
            if column := {"accelerators": "accelerator", "nodes": "node", "clusters": "cluster"}.get(kind):
                entry["prices"] = self._price_series(column, entry["slug"])
            return entry

    def _behind(self, kind: str, entry: Row) -> Row:
        """What an entry shadows: the layer, and the differences."""
        query = (
            f"SELECT * FROM {self._table(kind)} WHERE slug = :slug AND layer <> :layer ORDER BY {_USER_FIRST} LIMIT 1"
        )
        behind = [records.plain(row) for row in self._select(query, slug=entry["slug"], layer=entry["layer"])]
        if not behind:
            return {"shadows": None, "differences": []}
        own = {name: entry[name] for name in behind[0]}
        if kind == "accelerators":
            own |= {f"{name}_flop_per_s": rate for name, rate in self._peaks(entry).items()}
            behind[0] |= {f"{name}_flop_per_s": rate for name, rate in self._peaks(behind[0]).items()}
        return {"shadows": behind[0]["layer"], "differences": shadows.differences(own, behind[0])}

    def search(self, text: str) -> list[Row]:
        """Entries with a name that contains every word of `text`, best first: kind, slug, name, layer, which name matched."""
        with self._whole_rows():
            return browse.search(self, text).rows

    def page(self, kind: str, filters: browse.Filters) -> browse.Page:
        """Some entries of a kind: see `planner.catalog.browse.page`."""
        with self._whole_rows():
            found = browse.page(self, kind, filters)
        if not found.rows and not upgradable(self.url) and (older := self._older()):
            raise older
        return found

    def kinds(self) -> tuple[str, ...]:
        """Every kind of entry."""
        return tuple(TABLES)

    def table(self, kind: str) -> str:
        """The table of a kind. Raises UnknownNameError."""
        return self._table(kind)

    def select(self, query: str, **values: object) -> list[Row]:
        """The rows of a query that reads, for the other modules of this package."""
        return self._select(query, **values)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file."""
        return self._session.dialect == "sqlite"

    @property
    def bytewise(self) -> str:
        """What follows a column in ORDER BY, so that every database sorts alike."""
        return self._bytewise

    def accelerator_names(self, beginning: str) -> dict[str, str]:
        """The slug of every accelerator's name whose key begins so, by that name."""
        query = (
            f"SELECT alias, slug FROM alias WHERE kind = 'accelerators' AND key{self._bytewise} >= :first "
            f"AND key{self._bytewise} < :after ORDER BY key{self._bytewise} LIMIT 1000"
        )
        key = name_key(beginning)
        return {row["alias"]: row["slug"] for row in self._select(query, first=key, after=f"{key}\uffff")}

    def _select(self, query: str, **values: object) -> list[Row]:
        try:
            return self._read(query, values)
        except SchemaError as error:
            raise self._older() or error from error.__cause__

    def _read(self, query: str, values: Mapping[str, object]) -> list[Row]:
        with plain_errors(self.url):
            return self._session.select(query, values)

    @contextmanager
    def _whole_rows(self) -> Iterator[None]:
        """Where a row lacks a column, say that the database does not fit."""
        try:
            yield
        except KeyError as missing:
            raise self._older() or schema_error(self.url) from missing

    def _older(self) -> CatalogError | None:
        """What to say of a database at an older revision than this program's; None for one that is up to date."""
        newest = core_revisions()[-1]
        try:
            at = [str(row["version_num"]) for row in self._read("SELECT version_num FROM alembic_version", {})]
        except SchemaError:
            return None
        if newest in at:
            return None
        message = (
            f"catalog {shown(self.url)} is at revision {', '.join(sorted(at)) or 'base'}, older than this program "
            f"({newest})"
        )
        if upgradable(self.url):
            return CatalogError(message, hint="run: planner db upgrade")
        if self._session.dialect == "postgresql":
            return CatalogError(
                f"{message}, and your role may not upgrade it", hint="ask its owner to run planner db upgrade"
            )
        hint = "make the file and its directory writable and run planner db upgrade, or name another with --database"
        return CatalogError(f"{message}, and read-only", hint=hint)

    def _table(self, kind: str) -> str:
        if kind not in TABLES:
            raise UnknownNameError("kind of entry", kind, TABLES)
        return TABLES[kind]

    def _row(self, kind: str, slug: str) -> Row:
        query = f"SELECT * FROM {self._table(kind)} WHERE slug = :slug ORDER BY {_USER_FIRST} LIMIT 1"
        rows = self._select(query, slug=slug)
        if rows:
            return rows[0]
        if self.find(kind, slug) == slug:
            raise InputError(
                f"the {_SINGULAR[kind]} {clipped(slug)} is gone, and only its name is left",
                hint=f"planner catalog remove {kind} {slug} takes the name away; planner db check shows all such names",
            )
        raise UnknownNameError(
            _SINGULAR[kind], slug, self.names(kind), listing=f"planner catalog list {kind} shows them"
        )

    def _aliases(self, kind: str, slug: str) -> tuple[str, ...]:
        query = "SELECT alias FROM alias WHERE kind = :kind AND slug = :slug"
        return tuple(sorted(row["alias"] for row in self._select(query, kind=kind, slug=slug)))

    def _peaks(self, row: Row) -> dict[str, float]:
        """The rates of an accelerator; a row of the user's without any has those of the fact that it stands in for."""
        query = "SELECT format, flop_per_s, layer FROM peak_rate WHERE accelerator = :slug"
        known = self._select(query, slug=row["slug"])
        rates = [rate for rate in known if rate["layer"] == row["layer"]] or known
        return {rate["format"]: rate["flop_per_s"] for rate in sorted(rates, key=itemgetter("format"))}

    def _efficiencies(self, row: Row) -> list[Row]:
        rows = self._select("SELECT * FROM efficiency WHERE accelerator = :slug", slug=row["slug"])
        return sorted(rows, key=itemgetter("metric", "format", "condition", "layer"))

    def _of_same_chip(self, row: Row, peaks: Mapping[str, float]) -> list[Row]:
        """What GEMMs reach on accelerators of the same architecture, power and peaks, which differ in memory, where nobody
        published it of this one."""
        published = "EXISTS (SELECT 1 FROM efficiency WHERE accelerator = slug AND metric = 'gemm_best')"
        if self._select(f"SELECT 1 FROM accelerator WHERE slug = :slug AND {published}", slug=row["slug"]):
            return []
        alike = "architecture = :architecture AND form_factor = :form_factor AND tdp_w = :tdp_w"
        same = {name: row[name] for name in ("architecture", "form_factor", "tdp_w")}
        twins = self._select(f"SELECT * FROM accelerator WHERE {alike} AND {published} ORDER BY slug", **same)
        return [
            efficiency
            for twin in twins
            if self._peaks(twin).get("bf16") == peaks.get("bf16")
            for efficiency in self._efficiencies(twin)
            if efficiency["metric"] == "gemm_best"
        ]

    def _price_series(self, column: str, slug: str) -> list[Row]:
        """The newest prices; `planner.catalog.series` has those before."""
        order = series.newest_first(self)
        query = f"SELECT * FROM price WHERE {column} = :slug ORDER BY {order} LIMIT {NEWEST_PRICES}"
        rows = self._select(query, slug=slug)
        rows.sort(key=itemgetter("provider", "slug"))
        rows.sort(key=itemgetter("date"), reverse=True)
        shown_columns = ("provider", "region", "kind", "usd_per_accelerator_hour", "date", "superseded", "source")
        return [{name: records.plain(row)[name] for name in shown_columns} for row in rows]

    def _add_rates(self, found: dict[str, Row]) -> None:
        rates: dict[str, dict[str, dict[str, float]]] = {}
        for rate in self._select("SELECT accelerator, layer, format, flop_per_s FROM peak_rate"):
            rates.setdefault(rate["accelerator"], {}).setdefault(rate["layer"], {})[rate["format"]] = rate["flop_per_s"]
        for slug, row in found.items():
            layers = rates.get(slug, {})
            own = layers.get(row["layer"]) or next(iter(layers.values()), {})
            row["bf16_flop_per_s"] = own.get("bf16")


def _without_keys(row: Row) -> Row:
    shown_columns = ("metric", "format", "fraction", "achieved_per_s", "condition", "source", "source_date")
    return {name: row[name] for name in shown_columns}
