"""Lists, documents and prices are found by indexes: a table with a million of a user's rows is never read through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from catalog.databases import run
from catalog.servers import Server

from planner.catalog import filters
from planner.catalog.browse import Filters
from planner.catalog.database import Database
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import upgrade
from planner.reports.catalog import SHOWN

LARGE = ("architecture", "accelerator", "peak_rate", "node", "cluster", "price", "power_draw", "efficiency")
ALIASES = ("t", "a", "n", "p", "r", "s", "f", "e", "u", "o")
"""What queries call these tables."""
COLUMNS = [f"SELECT * FROM {table} LIMIT 1" for table in LARGE]
"""Asks which columns there are."""
FEW, MANY = "few fit", "many fit"
FILTERS = {
    "a vendor": Filters(vendor="amd"),
    "memory": Filters(min_memory_bytes=128e9),
    "a format": Filters(formats=("fp8",)),
    "all three": Filters(vendor="amd", min_memory_bytes=128e9, formats=("fp8",)),
    "an accelerator": Filters(accelerator="a100"),
}
HARDWARE = ("accelerators", "nodes", "clusters", "prices", "power")
OTHERS = {
    ("models", "a family"): Filters(family="Qwen"),
    ("models", "no family"): Filters(family="nobody's"),
    ("prices", "a provider"): Filters(provider="aws"),
    ("prices", "no provider"): Filters(provider="nobody"),
    ("nodes", "a provider"): Filters(provider="aws"),
    ("prices", "the planner's own"): Filters(layer="vendor"),
    ("models", "nothing is asked for"): Filters(),
    ("prices", "of a user"): Filters(layer="user"),
}
LISTS = {(kind, name): each for kind in HARDWARE for name, each in FILTERS.items()} | OTHERS
SORTS = [(kind, column) for kind in ("models", "accelerators", "nodes", "clusters", "prices") for column in SHOWN[kind]]


class Plans:
    """The plans of all queries, as SQLite explains them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Listen to what is asked."""
        self.asked: list[tuple[str, list[str]]] = []
        select = Database.select

        def listening(database: Database, query: str, **values: object) -> list[dict[str, Any]]:
            explained = database._session.select(f"EXPLAIN QUERY PLAN {query}", values)
            self.asked.append((query, [f"{'' if row['parent'] else 'ALL: '}{row['detail']}" for row in explained]))
            return select(database, query, **values)

        monkeypatch.setattr(Database, "select", listening)

    def reading_through(self, *, walks: bool = False) -> list[str]:
        """Queries that read a large table from end to end.

        With `walks` a query may follow an index that does not find what fits: with a limit it ends where there is enough, unless
        it has to sort all first.
        """
        return [
            f"{query}: {plan}"
            for query, plan in self.asked
            if any(map(_scan, plan)) and query not in COLUMNS and not (walks and _ends(query, plan))
        ]


def _scan(step: str) -> bool:
    """Whether a step goes through a table, or an index of it. What is listed first has other names, and few rows."""
    match = re.match(r"(?:ALL: )?(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    if match is None:
        return False
    how, named, index = match.groups()
    # The least value is "searched" without an index too; above another it has a bound. Facts have an index of their own.
    bound = "(" in step or (index is not None and named in LARGE)
    goes_through = how == "SCAN" or not bound
    facts_alone = index is not None and re.fullmatch(r"ix_[a-z_]+?_slug", index) is not None
    return goes_through and not facts_alone and (named in LARGE or named in ALIASES)


def _ends(query: str, plan: list[str]) -> bool:
    by_index = all("USING" in step for step in plan if _scan(step))
    return by_index and "LIMIT" in query and "ALL: USE TEMP B-TREE FOR ORDER BY" not in plan


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Plans:
    return Plans(monkeypatch)


@pytest.fixture(params=[FEW, MANY])
def how_many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With limits that a catalog without rows of a user's passes, it takes the ways of one with a million."""
    if request.param == MANY:
        monkeypatch.setattr(filters, "RARE", 1)
        monkeypatch.setattr(filters, "FEW_VALUES", 1)
    return str(request.param)


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog.open(url) as opened:
        yield opened


@pytest.mark.parametrize(("kind", "name"), LISTS)
def test_a_list_is_found_by_an_index(catalog: Catalog, plans: Plans, how_many: str, kind: str, name: str) -> None:
    catalog.page(kind, LISTS[kind, name])
    assert plans.asked
    # Where few fit, nothing is walked through to find them.
    walks = how_many == MANY or name in ("nothing is asked for", "of a user", "the planner's own")
    assert plans.reading_through(walks=walks) == []


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(("kind", "column"), SORTS)
def test_a_list_sorted_by_what_it_shows_follows_an_index(
    catalog: Catalog, plans: Plans, kind: str, column: str, sign: str
) -> None:
    catalog.page(kind, Filters(sort=f"{sign}{column}", limit=5))
    assert plans.reading_through(walks=True) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda catalog: catalog.resting_on("karpenter-aws-1d927085", 501),
        lambda catalog: catalog.row("accelerators", "a100"),
        lambda catalog: catalog.history("accelerators", "a100"),
        lambda catalog: catalog.cluster("a100-pool"),
        lambda catalog: catalog.cluster("h100:64"),
        lambda catalog: catalog.search_page("h100", Filters(vendor="nvidia", limit=5)),
    ],
    ids=["what rests on a document", "an entry", "its history", "a cluster", "bare accelerators", "a search"],
)
def test_a_question_of_one_entry_is_answered_by_indexes(
    catalog: Catalog, plans: Plans, how_many: str, ask: Callable[[Catalog], object]
) -> None:
    ask(catalog)
    assert plans.asked
    assert plans.reading_through() == []


def test_a_column_without_an_index_is_seen_to_be_read_through(catalog: Catalog, plans: Plans) -> None:
    catalog.page("prices", Filters(sort="note", limit=5))
    assert len(plans.reading_through(walks=True)) == 1


@pytest.mark.parametrize(
    ("index", "ask"),
    [
        ("ix_price_provider_slug_layer", lambda catalog: catalog.page("prices", Filters(provider="nobody"))),
        ("ix_cluster_node_slug_layer", lambda catalog: catalog.page("clusters", Filters(vendor="amd"))),
        ("ix_price_document_slug_layer", lambda catalog: catalog.resting_on("karpenter-aws-1d927085", 9)),
        ("ix_efficiency_metric_accelerator", lambda catalog: catalog.accelerator("l4")),
        ("ix_price_date_slug_layer", lambda catalog: catalog.page("prices", Filters(sort="-date", limit=5))),
    ],
)
def test_without_its_index_a_table_is_seen_to_be_read_through(
    url: str, path: Path, plans: Plans, index: str, ask: Callable[[Catalog], object]
) -> None:
    run(path, f"DROP INDEX {index}")
    with Catalog.open(url) as catalog:
        ask(catalog)
    assert plans.reading_through()


ASKED = [
    (kind, each)
    for kind, filtered in {
        **dict.fromkeys(HARDWARE, tuple(FILTERS.values())),
        "models": (Filters(family="qwen"),),
    }.items()
    for each in filtered
]


@pytest.mark.parametrize("sort", [None, "-slug", "name", "-source_date"])
def test_rows_that_are_sorted_and_rows_that_are_met_in_order_are_the_same(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, sort: str | None
) -> None:
    asked = [(kind, replace(each, sort=sort, limit=5, offset=3)) for kind, each in ASKED]
    few = [catalog.page(kind, each) for kind, each in asked]
    whole = [catalog.page(kind, replace(each, limit=0, offset=0)).rows for kind, each in asked]
    monkeypatch.setattr(filters, "RARE", 1)
    monkeypatch.setattr(filters, "FEW_VALUES", 1)
    assert [catalog.page(kind, each) for kind, each in asked] == few
    assert [page.rows for page in few] == [rows[3:8] for rows in whole]
    assert [page.more for page in few] == [max(0, len(rows) - 8) for rows in whole]


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(("kind", "column"), SORTS)
def test_an_index_gives_the_order_that_sorting_gives(catalog: Catalog, kind: str, column: str, sign: str) -> None:
    rows = catalog.page(kind, Filters(sort=f"{sign}{column}", limit=7, offset=2)).rows
    every = catalog.rows(kind)
    known = [row for row in every if row[column] is not None]
    ordered = sorted(known, key=lambda row: row[column], reverse=sign == "-")  # stable: of one value by slug
    ordered += [row for row in every if row[column] is None]
    assert [row["slug"] for row in rows] == [row["slug"] for row in ordered][2:9]


@pytest.mark.parametrize("locale", ["C", None], ids=["sorted by bytes", "sorted by a language"])
def test_a_server_gives_the_lists_of_a_file(url: str, server: Server, made_on_server: str, locale: str | None) -> None:
    if locale is None:
        shared = server.url(made_on_server)
    else:
        server.execute("postgres", f"CREATE DATABASE by_bytes TEMPLATE template0 LOCALE '{locale}'")
        shared = server.url("by_bytes")
        upgrade(shared)
    with Catalog.open(url) as ours, Catalog.open(shared) as theirs:
        for kind, each in ASKED:
            for sort in (None, "-slug", "slug"):
                one = replace(each, sort=sort, limit=5, offset=1)
                assert theirs.page(kind, one) == ours.page(kind, one), (kind, one)
        for column in ("bf16_flop_per_s", "year", "capacity_bytes", "-tdp_w", "-bf16_flop_per_s"):
            one = Filters(sort=column, limit=5, offset=1)
            assert theirs.page("accelerators", one) == ours.page("accelerators", one), column
        searched = Filters(vendor="nvidia", limit=5)
        assert theirs.search_page("h100", searched) == ours.search_page("h100", searched)
        assert theirs.resting_on("karpenter-aws-1d927085", 9) == ours.resting_on("karpenter-aws-1d927085", 9)
