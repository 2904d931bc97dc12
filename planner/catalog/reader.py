"""The catalog as the rest of the planner reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from planner.catalog import browse, cluster_spec, lookup, price_rows, prices, rates, records
from planner.catalog.engine import upgradable
from planner.catalog.opening import opened
from planner.domain.running import ON_DEMAND

if TYPE_CHECKING:
    from pathlib import Path

    from planner.catalog.database import Database
    from planner.catalog.records import Operation
    from planner.domain.architecture import Architecture
    from planner.domain.hardware import Accelerator, Cluster, Node, Price
    from planner.domain.operation import CarbonIntensity, PowerUsageEffectiveness

Row = dict[str, Any]

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


class Catalog:
    """A read-only view of the catalog. Use it as a context manager, or `close` it.

    Each answer is of one state of the database, whoever writes meanwhile; `snapshot` holds several answers to one state. Look-ups
    raise UnknownNameError for a name that nothing answers to and CatalogError for a database that fails.
    """

    def __init__(self, database: Database) -> None:
        """Use `open` instead."""
        self._database = database
        self.url = database.url

    @classmethod
    def open(cls, url: str | None = None, *, branches: Mapping[str, Path] | None = None) -> Catalog:
        """Open the catalog, made and migrated on first use. `branches` are the catalog branches of plugins.

        Raises CatalogError where the database is newer than the program, locked, read-only, corrupt or unreachable.
        """
        return cls(opened(url, branches))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the catalog. Read in it and compute after it: an SQLite file cannot be written until it ends."""
        with self._database.snapshot():
            yield

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def revision(self) -> str:
        """The migration revisions that the database is at."""
        return ", ".join(self._database.heads())

    def architecture(self, name: str) -> Architecture:
        """The model architecture called `name`."""
        with self._database.reading():
            return records.architecture(self._row("models", name))

    def accelerator(self, name: str) -> Accelerator:
        """The accelerator called `name`, with its dense rates and published efficiencies."""
        with self._database.reading():
            row = self._row("accelerators", name)
            peaks = rates.peaks(self._database, row)
            own = rates.efficiencies(self._database, row["slug"])
            return records.accelerator(row, peaks, [*own, *rates.of_same_chip(self._database, row, peaks)])

    def node(self, name: str) -> Node:
        """The node called `name`, with its latest on-demand price."""
        with self._database.reading():
            row = self._row("nodes", name)
            return records.node(row, price_rows.newest_price(self._database, "node", row["slug"], only=ON_DEMAND))

    def cluster(self, spec: str, node: str | None = None) -> Cluster:
        """The cluster that `spec` means: a name, ``GPU:COUNT`` or ``GPU:NODESxPER_NODE``; `node` for bare accelerators.

        Raises InputError where the parts do not fit together.
        """
        with self._database.snapshot():
            return cluster_spec.cluster(self, spec, node)

    def named_cluster(self, name: str) -> Cluster:
        """The cluster called `name`. Its price is its own, else its node's, else the accelerator's usual one."""
        from planner.domain.hardware import Cluster

        with self._database.reading():
            row = self._row("clusters", name)
            node = self.node(row["node"])
            own = price_rows.newest_price(self._database, "cluster", row["slug"], without=prices.SPOT)
            return Cluster(
                slug=row["slug"],
                name=row["name"],
                accelerator=self.accelerator(node.accelerator),
                node=node,
                nodes=row["nodes"],
                price=own or node.price or self.accelerator_price(node.accelerator),
                source=row["source"],
                note=row["note"],
                aliases=lookup.aliases(self._database, "clusters", row["slug"]),
            )

    def accelerator_price(self, slug: str) -> Price | None:
        """The median of the accelerator's latest dated on-demand prices; None where there is none."""
        with self._database.reading():
            return prices.typical(price_rows.latest_offers(self._database, slug, ON_DEMAND))

    def latest_offers(self, slug: str, kind: str) -> list[Row]:
        """Each provider's latest prices of a kind for an accelerator: see `planner.catalog.price_rows.latest_offers`."""
        return price_rows.latest_offers(self._database, slug, kind)

    def kinds_of_prices(self, slug: str) -> list[str]:
        """The kinds of prices that there are for an accelerator."""
        return price_rows.kinds_of_prices(self._database, slug)

    def accelerator_notes(self) -> list[Row]:
        """Slug, chip generation and rated power of every accelerator."""
        # The user's row of a slug comes last, so that it counts where rows become a dictionary.
        query = f"SELECT slug, architecture, tdp_w FROM accelerator ORDER BY {lookup.USER_FIRST} DESC"
        return self._database.select(query)

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
        with self._database.reading():
            return tuple(records.operation(record, row) for row in self.rows(_KIND_OF_RECORD[record.__name__]))

    def names(self, kind: str) -> tuple[str, ...]:
        """All slugs of a kind, in order."""
        return lookup.names(self._database, kind)

    def find(self, kind: str, name: str) -> str | None:
        """The slug that `name` means, whatever its case and punctuation; None where nothing answers to it."""
        with self._database.snapshot():
            return lookup.find(self._database, kind, name)

    def resolve(self, kind: str, name: str) -> str:
        """The slug that `name` means. Raises UnknownNameError with the nearest names."""
        with self._database.snapshot():
            return lookup.resolve(self._database, kind, name)

    def accelerator_names(self, beginning: str) -> dict[str, str]:
        """The slug of every accelerator's name whose key begins so, by that name."""
        return lookup.accelerator_names(self._database, beginning)

    def number_formats(self) -> tuple[str, ...]:
        """The number formats that any accelerator has a dense rate in: ``bf16``, ``fp8`` …"""
        return rates.number_formats(self._database)

    def near_names(self, kind: str | None, name: str) -> tuple[str, ...]:
        """The names of a kind, or of any, that look most like `name`."""
        with self._database.snapshot():
            return lookup.near_names(self._database, kind, name)

    def row(self, kind: str, name: str) -> Row:
        """One entry with everything that is known: see `planner.catalog.detail.entry`."""
        from planner.catalog import detail

        with self._database.reading():
            return detail.entry(self._database, kind, name)

    def rows(self, kind: str) -> list[Row]:
        """All entries of a kind that count, by slug: see `page`."""
        return self.page(kind, browse.Filters(limit=0)).rows

    def page(self, kind: str, filters: browse.Filters) -> browse.Page:
        """Some entries of a kind: see `planner.catalog.browse.page`."""
        with self._database.reading():
            found = browse.page(self._database, kind, filters)
            if not found.rows and not upgradable(self.url) and (older := self._database.older()):
                raise older
        return found

    def search(self, text: str) -> list[Row]:
        """Entries with a name that contains every word of `text`, best first: kind, slug, name, layer, which name matched."""
        return self.search_page(text, browse.Filters(limit=0)).rows

    def search_page(self, text: str, filters: browse.Filters, *, kind: str | None = None) -> browse.Page:
        """The first entries of a search, of one kind or of all: see `planner.catalog.browse.search`."""
        with self._database.reading():
            return browse.search(self._database, text, filters, kind=kind)

    def history(self, kind: str, name: str, *, branches: Mapping[str, Path] | None = None) -> list[Row]:
        """The dated facts of an entry: see `planner.catalog.series.history`."""
        from planner.catalog import series

        with self._database.reading():
            return series.history(self._database, self.row(kind, name), kind, branches=branches)

    def documents(self) -> list[Row]:
        """Every document and what rests on it: see `planner.catalog.series.documents`."""
        from planner.catalog import series

        with self._database.reading():
            return series.documents(self._database, self.rows("sources"))

    def resting_on(self, name: str, most: int) -> list[Row]:
        """The entries that rest on a document: see `planner.catalog.series.resting_on`."""
        from planner.catalog import series

        with self._database.reading():
            return series.resting_on(self._database, self.resolve("sources", name), most)

    def _row(self, kind: str, name: str) -> Row:
        return lookup.row_of(self._database, kind, lookup.resolve(self._database, kind, name))

    def _operation(self, record: type[Operation], kind: str, name: str) -> Operation:
        with self._database.reading():
            return records.operation(record, self._row(kind, name))
