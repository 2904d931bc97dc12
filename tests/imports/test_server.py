"""Imports, exports and looks on a PostgreSQL server are those on SQLite."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalog.servers import CannotStartError, Server, running

from planner import importing
from planner.catalog.browse import Filters
from planner.catalog.entries import as_written, entry
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import upgrade
from planner.catalog.user_layer import keep, remove
from planner.errors import InputError, UnknownNameError

POOL = Path(__file__).parents[2] / "docs" / "examples" / "our-pool.yaml"
CONFIG = Path(__file__).parent.parent / "data" / "oracle" / "hf_configs" / "llama-3-8b.json"
CHIP = {"slug": "our-chip", "vendor": "amd", "year": 2026, "capacity_bytes": "96 GiB",
        "memory_bandwidth_bytes_per_s": "4 TB/s", "peak_flop_per_s": {"fp8": "1 PFLOP/s"}, "source": "a test",
        "aliases": ["Our Chip"]}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(running())
        except CannotStartError as problem:
            pytest.skip(f"no PostgreSQL server can be started here: {problem}")
        yield started


@pytest.fixture(scope="module")
def both(server: Server, released: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An SQLite file and a database on the server with the same entries of a user's."""
    sqlite = f"sqlite:///{shutil.copy(released, tmp_path_factory.mktemp('both') / 'catalog.db')}"
    postgresql = server.url(server.make_database())
    upgrade(postgresql)
    for url in (sqlite, postgresql):
        importing.import_cluster(str(POOL), database=url)
        importing.import_model(str(CONFIG), slug="our-llama", database=url)
        keep(url, [entry("accelerators", CHIP)])
    return sqlite, postgresql


def test_what_was_imported_is_exported_alike(both: tuple[str, str]) -> None:
    one, other = ([as_written(each) for each in importing.exported(None, database=url)] for url in both)
    assert one == other
    assert {item["slug"] for item in one} >= {"our-pool", "our-node", "our-llama", "our-chip"}


@pytest.mark.parametrize(
    ("kind", "filters"),
    [
        ("accelerators", Filters(vendor="amd", min_memory_bytes=90e9, formats=("fp8",))),
        ("accelerators", Filters(sort="-tdp_w")),
        ("accelerators", Filters(sort="bf16", limit=7, offset=3)),
        ("nodes", Filters(accelerator="h100", provider="aws")),
        ("clusters", Filters(layer="user")),
        ("prices", Filters(vendor="nvidia", layer="all")),
        ("models", Filters()),
    ],
)
def test_lists_are_the_same(both: tuple[str, str], kind: str, filters: Filters) -> None:
    found = []
    for url in both:
        with Catalog.open(url) as catalog:
            page = catalog.page(kind, filters)
        found.append(([(row["slug"], row["layer"]) for row in page.rows], page.more))
    assert found[0] == found[1]
    assert found[0][0]


@pytest.mark.parametrize("text", ["llama", "our", "h100 80gb", "h100", "zzz"])
def test_searches_and_suggestions_are_the_same(both: tuple[str, str], text: str) -> None:
    found = []
    for url in both:
        with Catalog.open(url) as catalog:
            page = catalog.search_page(text, Filters(limit=20))
            chosen = catalog.search_page(
                text, Filters(limit=20, vendor="nvidia", min_memory_bytes=80e9, formats=("fp8",))
            )
            found.append((page.rows, chosen.rows, catalog.near_names(None, f"{text}x")))
    assert found[0] == found[1]


def test_histories_and_sources_are_the_same(both: tuple[str, str]) -> None:
    found = []
    for url in both:
        with Catalog.open(url) as catalog:
            events = catalog.history("accelerators", "h100")
            found.append((sorted(map(repr, events)), catalog.documents()))
    assert found[0] == found[1]


def test_refusals_are_the_same(both: tuple[str, str]) -> None:
    for url in both:
        with pytest.raises(InputError, match="differs in capacity_bytes"):
            keep(url, [entry("accelerators", {**CHIP, "capacity_bytes": "97 GiB"}, where="a file")])
        with pytest.raises(InputError, match="the rule 'year BETWEEN 2000 AND 2100' does not hold"):
            keep(url, [entry("accelerators", {**CHIP, "slug": "other", "year": 1066, "aliases": []}, where="a file")])
        with pytest.raises(InputError, match="is that of your 'our-chip' already"):
            keep(url, [entry("accelerators", {**CHIP, "slug": "other"}, where="a file")])
        with pytest.raises(InputError, match="is needed by your cluster 'our-pool'"):
            remove(url, "nodes", "our-node")
        with pytest.raises(UnknownNameError, match="did you mean our-chip"):
            remove(url, "accelerators", "our-chap")
