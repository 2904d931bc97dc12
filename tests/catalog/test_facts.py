"""Rules that the released facts keep, and the frozen files that they come from."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from planner.catalog.location import migrations_directory
from planner.catalog.reader import Catalog

FROZEN = {
    "accelerators.json": "5a727e1f95c10d112c48d36524c8ee8cbfa4bae47da4f7fdfa140ee184f15e20",
    "aliases.csv": "19f61080138455b2af7d5a3bc7687aae118cba9be88f6080187dcc16b11f5a86",
    "architectures.json": "eefe73c55b61f3c16eb800ed93879ba473839550df9ae87b003fe5ae89093306",
    "clusters.csv": "e81b6e09d6526881e8b7c4d05e75465d84e019851601469780e570e5aa2baaa6",
    "efficiencies.csv": "a551d3f117cb6cad1273b71aa6ac36904dbb710e0c0eb4479d2d9e3ad7106f72",
    "links.csv": "9b12e3802eb4e1bbb5b58b09f3b2e78fa3e0a69359c720e59f8cb4933ff36bca",
    "nodes.csv": "0e28e211c69d29b3f93955fa534da23efa712da2bf1b2e0b438a51bf4c74dbb4",
    "prices.csv": "16ad611c747092ffe3467ce34f29e256dfcf9326bb305298e5169f5ab94986de",
    "sources.csv": "a3ba7a630df924ca4f54525a03fc75d4d3d004ae988ee0bb2ba0ffeac0759f22",
    "vendors.csv": "4761224f7540d3931b882b4e2a27ae3c7ff2452733378151c3f5d9f69b82137a",
}

OPEN_QUESTIONS = (
    "rubin-sxm", "mi455x", "b100-sxm6-192gb", "ascend-950dt", "mi308x", "rtx-pro-4500-bw", "h100-sxm5-64gb",
)  # fmt: skip


def released() -> Path:
    return migrations_directory().parent / "seed_data" / "releases" / "2026-11"


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_the_files_of_a_release_never_change(name: str) -> None:
    found = hashlib.sha256((released() / name).read_bytes()).hexdigest()
    assert found == FROZEN[name], f"{name} is frozen: put the correction into a new release and a new revision"


def test_every_file_of_the_release_is_frozen() -> None:
    assert {path.name for path in released().iterdir() if path.suffix != ".md"} == set(FROZEN)


def test_the_catalog_is_large_enough_to_be_useful(catalog: Catalog) -> None:
    for kind, least in (("accelerators", 40), ("models", 80), ("nodes", 20), ("clusters", 7)):
        assert len(catalog.names(kind)) >= least


def test_what_lacks_a_source_stays_out(catalog: Catalog) -> None:
    assert not set(OPEN_QUESTIONS) & set(catalog.names("accelerators"))


def test_every_fact_names_its_source_and_its_date(catalog: Catalog) -> None:
    for kind in ("models", "accelerators", "nodes", "clusters", "prices", "links", "vendors"):
        for row in catalog.rows(kind):
            assert row["source"], row["slug"]
            assert row["document"], row["slug"]
            assert row["source_date"], row["slug"]


def test_no_foreign_key_is_broken(made: Path) -> None:
    with sqlite3.connect(made) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_reference_node_holds_the_accelerator_that_names_it(catalog: Catalog) -> None:
    named = [row for row in catalog.rows("accelerators") if row["reference_node"]]
    assert len(named) > 25
    for row in named:
        assert catalog.node(row["reference_node"]).accelerator == row["slug"]


def test_rates_are_dense(catalog: Catalog) -> None:
    for slug in catalog.names("accelerators"):
        rates = catalog.accelerator(slug).peak_flop_per_s
        assert rates, slug
        # With sparsity the ratio would be four.
        assert rates.get("fp8", 0) <= 3.8 * rates.get("bf16", float("inf")), slug
        assert rates.get("tf32", 0) <= rates.get("bf16", float("inf")), slug


def test_prices_are_plausible_and_dated(catalog: Catalog) -> None:
    for row in catalog.rows("prices"):
        assert 0.05 < row["usd_per_accelerator_hour"] < 40, row["slug"]
        assert row["date"] <= "2026-11-24"
