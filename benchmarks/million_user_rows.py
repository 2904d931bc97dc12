"""Looking through a catalog with a million rows of a user's: python benchmarks/million_user_rows.py [ROWS].

Bar: a page of a list, a search, a look at one entry and the resolution of a name, known or not, each take at most 100 ms of the
processor's time inside the process, start-up left out; exits with 1 where that is missed. Lists are filtered by whatever they can
be, and sorted by every column that they show. Wall-clock time is printed beside it.
The rows are accelerators, models, clusters and prices, a quarter each, and as many names.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from planner.catalog.browse import Filters
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import upgrade
from planner.errors import UnknownNameError
from planner.reports.catalog import SHOWN as SHOWN_COLUMNS

BAR_S = 0.1
OF_ACCELERATORS = {
    "nvidia": Filters(vendor="nvidia"),
    "google": Filters(vendor="google"),
    "intel": Filters(vendor="intel"),
    "128 GB": Filters(min_memory_bytes=128e9),
    "more memory than any": Filters(min_memory_bytes=1e15),
    "fp8": Filters(formats=("fp8",)),
    "amd, 128 GB, fp8": Filters(vendor="amd", min_memory_bytes=128e9, formats=("fp8",)),
    "of an a100": Filters(accelerator="a100"),
}
REPEATS = 5
KINDS = {"accelerators": "accelerator", "models": "architecture", "clusters": "cluster", "prices": "price"}
SHOWN = {kind: columns for kind, columns in SHOWN_COLUMNS.items() if kind in (*KINDS, "nodes")}
"""The columns that a list shows, by all of which it may be sorted."""
UNLISTED = {
    "models by a column not shown": ("models", "-max_seq_len"),
    "accelerators by a column not shown": ("accelerators", "-compute_units"),
    "prices by a column not shown": ("prices", "region"),
}
"""Without a bar: every row of the kind is looked at."""
MODEL = "llama-3-8b"
OWN_COLUMNS = {
    "accelerator": {"vendor": "CASE n % 3 WHEN 0 THEN 'amd' ELSE 'nvidia' END", "capacity_bytes": "(16 + n % 200) * 1073741824",
                    "usable_bytes": "NULL", "reference_node": "NULL"},
    "architecture": {"layers": "1 + n % 100", "family": "'team ' || (n % 97)", "window_layers": "0"},
    "cluster": {"nodes": "1 + n % 1000"},
    "price": {"usd_per_accelerator_hour": "1 + n % 900 / 100.0",
              "date": "'20' || (10 + n % 16) || '-0' || (1 + n % 9) || '-1' || (n % 10)"},
}  # fmt: skip
"""What differs from row to row; every other column is copied from a released row."""


def fill(path: Path, rows: int) -> None:
    """Put `rows` rows of the user's own into the catalog at `path`, by SQL alone."""
    connection = sqlite3.connect(path)
    with connection:
        for kind, table in KINDS.items():
            count = rows // len(KINDS)
            slug = f"'{table[:4]}-' || (n * 7919 % 1000003) || '-team-' || (n % 997)"
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = []
            for column in columns:
                if column.endswith("_layer") and column.removesuffix("_layer") in columns:
                    values.append("NULL")
                else:
                    own = {"slug": slug, "name": slug, "layer": "'user'", **OWN_COLUMNS[table]}
                    values.append(own.get(column, f't."{column}"'))
            one = f"SELECT * FROM {table} WHERE layer = 'vendor' ORDER BY slug = '{MODEL}' DESC, slug LIMIT 60"
            numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
            released = connection.execute(f"SELECT count(*) FROM ({one})").fetchone()[0] if table == "price" else 1
            connection.execute(
                f"INSERT INTO {table} {numbers} SELECT {', '.join(values)} FROM numbers JOIN "
                f"(SELECT row_number() OVER () AS place, * FROM ({one})) t ON t.place = 1 + n % {released}"
            )
            connection.execute(
                f"INSERT INTO alias (kind, key, layer, alias, slug, role) {numbers} SELECT '{kind}', "
                f"'{table[:4]}' || (n * 7919 % 1000003) || 'team' || (n % 997), 'user', {slug}, {slug}, 'slug' FROM numbers"
            )
    connection.close()


def questions(catalog: Catalog) -> dict[str, Callable[[], object]]:
    """What is asked, by name."""

    def unknown() -> None:
        with suppress(UnknownNameError):
            catalog.resolve("models", "lama-3-8bx")

    documents = {
        str(row["document"]) for row in (catalog.page(kind, Filters(layer="user", limit=1)).rows[0] for kind in KINDS)
    }
    one = catalog.page("accelerators", Filters(layer="user", limit=1, offset=1000)).rows[0]["slug"]
    return {
        "list models": lambda: catalog.page("models", Filters()),
        "list accelerators, user": lambda: catalog.page("accelerators", Filters(layer="user")),
        "list prices": lambda: catalog.page("prices", Filters()),
        "list, vendor amd": lambda: catalog.page("accelerators", Filters(vendor="amd")),
        "list, amd, 128 GB, fp8": lambda: catalog.page(
            "accelerators", Filters(vendor="amd", min_memory_bytes=128e9, formats=("fp8",))
        ),
        "list, more memory than any": lambda: catalog.page("accelerators", Filters(min_memory_bytes=1e15)),
        "list prices of one accelerator": lambda: catalog.page("prices", Filters(accelerator="a100")),
        "list, by memory": lambda: catalog.page("accelerators", Filters(sort="-capacity_bytes")),
        "list, fp8": lambda: catalog.page("accelerators", Filters(formats=("fp8",))),
        "list models of a family": lambda: catalog.page("models", Filters(family="Team 17")),
        "list models of no family": lambda: catalog.page("models", Filters(family="nobody's")),
        "list prices of a provider": lambda: catalog.page("prices", Filters(provider="aws")),
        "list prices of no provider": lambda: catalog.page("prices", Filters(provider="nobody")),
        "list nodes of no provider": lambda: catalog.page("nodes", Filters(provider="nobody")),
        "list the planner's own": lambda: catalog.page("prices", Filters(layer="vendor")),
        **{
            f"list {kind}, {name}": partial(catalog.page, kind, filters)
            for kind in ("clusters", "prices", "nodes")
            for name, filters in OF_ACCELERATORS.items()
        },
        **{
            f"list {kind} by {sign}{column}": partial(catalog.page, kind, Filters(sort=f"{sign}{column}"))
            for kind in SHOWN
            for column in SHOWN[kind]
            for sign in ("", "-")
        },
        **{name: partial(catalog.page, kind, Filters(sort=column)) for name, (kind, column) in UNLISTED.items()},
        "list amd by -bandwidth": lambda: catalog.page("accelerators", Filters(vendor="amd", sort="-memory_bandwidth")),
        "list tpu prices by -date": lambda: catalog.page("prices", Filters(vendor="google", sort="-date")),
        "list a family by vocab": lambda: catalog.page("models", Filters(family="team 17", sort="vocab")),
        "sources": lambda: catalog.documents(),
        **{f"sources of {name}": partial(catalog.resting_on, name, 501) for name in documents},
        "history of an accelerator": lambda: catalog.history("accelerators", "a100"),
        "search llama": lambda: catalog.search_page("llama", Filters(limit=50)),
        "search team": lambda: catalog.search_page("team", Filters(limit=50)),
        "search a name of one's own": lambda: catalog.search_page(one, Filters(limit=50)),
        "search, vendor nvidia": lambda: catalog.search_page("h100", Filters(vendor="nvidia", limit=50)),
        "search team, vendor google": lambda: catalog.search_page("team", Filters(vendor="google", limit=50)),
        "search team, more memory": lambda: catalog.search_page("team", Filters(min_memory_bytes=1e15, limit=50)),
        "search nothing": lambda: catalog.search_page("zzzzz", Filters(limit=50)),
        "near names of nothing": lambda: catalog.near_names(None, "zzzzz"),
        "show an accelerator": lambda: catalog.row("accelerators", "a100"),
        "show one of one's own": lambda: catalog.row("accelerators", one),
        "show a model": lambda: catalog.row("models", MODEL),
        "show a node": lambda: catalog.row("nodes", "dgx-a100-640"),
        "show a cluster": lambda: catalog.row("clusters", "a100-pool"),
        "resolve a name": lambda: catalog.resolve("models", "Llama 3 8B"),
        "resolve an unknown name": unknown,
        "the cluster of a plan": lambda: catalog.cluster("a100-pool"),
    }


def times_s(catalog: Catalog) -> dict[str, tuple[float, float]]:
    """The best of a few times of each question: of the processor, and of the clock on the wall."""
    found = {}
    for name, ask in questions(catalog).items():
        ask()
        busy = elapsed = float("inf")
        for _ in range(REPEATS):
            on_processor, on_wall = time.process_time(), time.perf_counter()
            ask()
            busy = min(busy, time.process_time() - on_processor)
            elapsed = min(elapsed, time.perf_counter() - on_wall)
        found[name] = (busy, elapsed)
    return found


def _missed(path: Path, how: str) -> list[str]:
    with Catalog.open(f"sqlite:///{path}") as catalog:
        found = times_s(catalog)
    missed = [name for name, (busy, _) in found.items() if busy > BAR_S and name not in UNLISTED]
    print(f"{how:<50}{'processor':>13}{'wall':>13}")
    for name, (busy, elapsed) in found.items():
        print(f"{name:<50}{busy * 1e3:10.1f} ms{elapsed * 1e3:10.1f} ms{'  MISSED' if name in missed else ''}")
    return missed


def main() -> int:
    """Fill, measure, print, and say whether every bar holds."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        upgrade(f"sqlite:///{path}")
        fill(path, rows)
        print(f"{rows:,} rows of the user's, {path.stat().st_size / 1e6:,.0f} MB")
        missed = _missed(path, "as it is")
        # A user has none, but a database that somebody analysed must be no slower.
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ANALYZE")
        missed += _missed(path, "with statistics of the tables")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
