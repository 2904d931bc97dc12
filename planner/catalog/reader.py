"""The catalog as the rest of the planner reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from planner.catalog import cluster_spec, prices, records
from planner.catalog.engine import SchemaError, plain_errors, reading_engine, schema_error, shown, writable
from planner.catalog.location import core_revisions, database_url, sqlite_path
from planner.catalog.names import lookup_keys, name_key
from planner.errors import CatalogError, UnknownNameError, nearest_names

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from planner.domain.architecture import Architecture
    from planner.domain.hardware import Accelerator, Cluster, Node, Price

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
}
"""The kinds of entries, and the table of each."""
_SINGULAR: Final = {kind: kind.removesuffix("s") for kind in TABLES}
# A user's own row shadows a released one of the same slug.
_USER_FIRST: Final = "CASE WHEN layer = 'user' THEN 0 ELSE 1 END"
# Slugs come last: where an alias is spelled as the slug is but for case, the slug is what a suggestion shows.
_ALL_NAMES: Final = "SELECT alias, slug FROM alias WHERE kind = :kind ORDER BY role, alias"


class Catalog:
    """A read-only view of the catalog. Use it as a context manager, or `close` it.

    Look-ups raise UnknownNameError for a name that nothing answers to and CatalogError for a database that fails.
    """

    def __init__(self, url: str, engine: Engine, connection: Connection) -> None:
        """Use `open` instead."""
        self.url = url
        self._engine = engine
        self._connection = connection

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
                ready = catalog._is_ready(branches)
                if not ready and not writable(wanted) and (older := catalog._older()):
                    raise older
            except BaseException:
                catalog.close()
                raise
            if ready:
                return catalog
            catalog.close()
        from planner.catalog.upgrade import upgrade

        upgrade(wanted, branches=branches)
        return cls._connect(wanted)

    @classmethod
    def _connect(cls, url: str) -> Catalog:
        engine = reading_engine(url)
        with plain_errors(url):
            return cls(url, engine, engine.connect())

    def _is_ready(self, branches: Mapping[str, Path] | None) -> bool:
        """Whether the database is as this program left it, or at its newest revision anyway."""
        from planner.catalog.upgrade import known_revisions, refuse_newer

        with plain_errors(self.url):
            tables = self._tables()
            if "alembic_version" not in tables:
                return False
            heads = [row["version_num"] for row in self._select("SELECT version_num FROM alembic_version")]
        refuse_newer(self.url, heads)
        if "catalog_state" not in tables:
            return False
        state = self._select("SELECT known_revisions FROM catalog_state")
        if state and state[0]["known_revisions"] == known_revisions(branches):
            return True
        return not branches and core_revisions()[-1] in heads

    def _tables(self) -> set[str]:
        if self._engine.dialect.name == "sqlite":
            return {row["name"] for row in self._select("SELECT name FROM sqlite_master WHERE type = 'table'")}
        from sqlalchemy import inspect

        return set(inspect(self._connection).get_table_names())

    @property
    def revision(self) -> str:
        """The migration revisions that the database is at."""
        heads = sorted(str(row["version_num"]) for row in self._select("SELECT version_num FROM alembic_version"))
        return ", ".join(heads)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()

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
            return records.node(row, prices.newest(self._select(query, node=row["slug"], kind=prices.ON_DEMAND)))

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
            return prices.typical(self._select("SELECT * FROM price WHERE accelerator = :slug", slug=slug))

    def names(self, kind: str) -> tuple[str, ...]:
        """All slugs of a kind, in order."""
        self._table(kind)
        rows = self._select("SELECT DISTINCT slug FROM alias WHERE kind = :kind ORDER BY slug", kind=kind)
        return tuple(row["slug"] for row in rows)

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
        owners = {row["alias"]: row["slug"] for row in self._select(_ALL_NAMES, kind=kind)}
        if not owners:
            raise self._older() or CatalogError(
                f"catalog {shown(self.url)} holds no {kind}", hint="name another with --database"
            )
        # Of the near names one for each entry, so that three suggestions are three entries.
        near: dict[str, str] = {}
        for known in nearest_names(name, owners, limit=12):
            near.setdefault(owners[known], known)
        raise UnknownNameError(_SINGULAR[kind], name, near.values(), listing=f"planner catalog list {kind} shows them")

    def rows(self, kind: str) -> list[Row]:
        """All entries of a kind by slug, with their columns; accelerators with their bf16 rate."""
        table = self._table(kind)
        found: dict[str, Row] = {}
        with self._whole_rows():
            for row in self._select(f"SELECT * FROM {table} ORDER BY slug, {_USER_FIRST}"):
                found.setdefault(row["slug"], records.plain(row))
            if kind == "accelerators":
                self._add_rates(found)
        if not found and not writable(self.url) and (older := self._older()):
            raise older
        return list(found.values())

    def row(self, kind: str, slug: str) -> Row:
        """One entry with everything that is known: columns, aliases, source document, rates, efficiencies, prices."""
        with self._whole_rows():
            entry = records.plain(self._row(kind, self.resolve(kind, slug)))
            entry["aliases"] = [name for name in self._aliases(kind, entry["slug"]) if name != entry["slug"]]
            if entry.get("document"):
                entry["document_name"] = self._row("sources", entry["document"])["name"]
            if kind == "accelerators":
                entry["peak_flop_per_s"] = self._peaks(entry)
                entry["efficiencies"] = [_without_keys(row) for row in self._efficiencies(entry)]
            if column := {"accelerators": "accelerator", "nodes": "node", "clusters": "cluster"}.get(kind):
                entry["prices"] = self._price_series(column, entry["slug"])
            return entry

    def search(self, text: str) -> list[Row]:
        """Entries with a name that contains every word of `text`, best first: kind, slug, name, which name matched."""
        keys = [key for word in text.split() if (key := name_key(word))]
        if not keys:
            return []
        where = " AND ".join(f"key LIKE :key{index}" for index in range(len(keys)))
        values = {f"key{index}": f"%{key}%" for index, key in enumerate(keys)}
        found: dict[tuple[str, str], Row] = {}
        # The shortest key that contains what was typed is the closest to it.
        query = f"SELECT kind, slug, alias AS matched FROM alias WHERE {where} ORDER BY length(key), kind, slug"
        for row in self._select(query, **values):
            found.setdefault((row["kind"], row["slug"]), row)
        with self._whole_rows():
            for (kind, slug), entry in found.items():
                entry["name"] = self._row(kind, slug)["name"]
        return list(found.values())

    def _select(self, query: str, **values: object) -> list[Row]:
        try:
            return self._read(query, values)
        except SchemaError as error:
            raise self._older() or error from error.__cause__

    def _read(self, query: str, values: Mapping[str, object]) -> list[Row]:
        from sqlalchemy import text

        with plain_errors(self.url):
            return [dict(row) for row in self._connection.execute(text(query), values).mappings()]

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
        if not at or newest in at:
            return None
        message = (
            f"catalog {shown(self.url)} is at revision {', '.join(sorted(at))}, older than this program ({newest})"
        )
        if writable(self.url):
            return CatalogError(message, hint="run: planner db upgrade")
        hint = "make the file and its directory writable and run planner db upgrade, or name another with --database"
        return CatalogError(f"{message}, and read-only", hint=hint)

    def _table(self, kind: str) -> str:
        if kind not in TABLES:
            raise UnknownNameError("kind of entry", kind, TABLES)
        return TABLES[kind]

    def _row(self, kind: str, slug: str) -> Row:
        query = f"SELECT * FROM {self._table(kind)} WHERE slug = :slug ORDER BY {_USER_FIRST} LIMIT 1"
        rows = self._select(query, slug=slug)
        if not rows:
            raise UnknownNameError(
                _SINGULAR[kind], slug, self.names(kind), listing=f"planner catalog list {kind} shows them"
            )
        return rows[0]

    def _aliases(self, kind: str, slug: str) -> tuple[str, ...]:
        query = "SELECT alias FROM alias WHERE kind = :kind AND slug = :slug ORDER BY alias"
        return tuple(row["alias"] for row in self._select(query, kind=kind, slug=slug))

    def _peaks(self, row: Row) -> dict[str, float]:
        query = "SELECT format, flop_per_s FROM peak_rate WHERE accelerator = :slug AND layer = :layer ORDER BY format"
        rates = self._select(query, slug=row["slug"], layer=row["layer"])
        return {rate["format"]: rate["flop_per_s"] for rate in rates}

    def _efficiencies(self, row: Row) -> list[Row]:
        query = "SELECT * FROM efficiency WHERE accelerator = :slug ORDER BY metric, format, condition, layer"
        return self._select(query, slug=row["slug"])

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
        query = f"SELECT * FROM price WHERE {column} = :slug ORDER BY date DESC, provider, slug"
        shown_columns = ("provider", "region", "kind", "usd_per_accelerator_hour", "date", "superseded", "source")
        return [{name: records.plain(row)[name] for name in shown_columns} for row in self._select(query, slug=slug)]

    def _add_rates(self, found: dict[str, Row]) -> None:
        for rate in self._select("SELECT accelerator, layer, flop_per_s FROM peak_rate WHERE format = 'bf16'"):
            row = found.get(rate["accelerator"])
            if row is not None and row["layer"] == rate["layer"]:
                row["bf16_flop_per_s"] = rate["flop_per_s"]
        for row in found.values():
            row.setdefault("bf16_flop_per_s", None)


def _without_keys(row: Row) -> Row:
    shown_columns = ("metric", "format", "fraction", "achieved_per_s", "condition", "source", "source_date")
    return {name: row[name] for name in shown_columns}
