"""What a user wrote survives every upgrade and every downgrade, to base too."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from catalog.databases import branch, contents, dump, execute, run, users_cluster

from planner.catalog import parked
from planner.catalog.calibrations import CalibrationRow, store
from planner.catalog.integrity import check
from planner.catalog.location import core_revisions
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import downgrade, upgrade
from planner.errors import CatalogError, InputError
from planner.importing import import_cluster, import_entries, remove_entry

REVISIONS = core_revisions()
INVALID = (
    "INSERT INTO cluster (slug, layer, name, source, source_date, confidence, note, node, nodes) "
    "VALUES ('mine', 'user', 'Mine', 'me', '2026-99-99', 'high', '', 'dgx-a100-640', 3)"
)
"""A date that the first revision took."""


def own_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the user's layer, by table."""
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        layered = [
            name
            for name in tables
            if any(row[1] == "layer" for row in connection.execute(f"PRAGMA table_info({name})"))
        ]
        found = {
            name: sorted(connection.execute(f"SELECT * FROM {name} WHERE layer = 'user'").fetchall(), key=repr)
            for name in layered
        }
        return {name: rows for name, rows in found.items() if rows}


def write_everywhere(path: Path) -> None:
    """Give every table some rows of the user's own: copies of released ones, which they shadow."""
    with sqlite3.connect(path) as connection:
        for name, table in dump(path).items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            if "layer" not in columns or not table[1]:
                continue
            values = [
                "'user'"
                if column == "layer"
                else "NULL"
                if column.removesuffix("_layer") in set(columns) - {column}
                else f'"{column}"'
                for column in columns
            ]
            connection.execute(f"INSERT INTO {name} SELECT {', '.join(values)} FROM {name} LIMIT 7")
        connection.execute("DELETE FROM peak_rate WHERE layer = 'user'")
        connection.execute(
            "INSERT INTO peak_rate SELECT accelerator, 'user', format, flop_per_s FROM peak_rate WHERE accelerator IN "
            "(SELECT slug FROM accelerator WHERE layer = 'user')"
        )


@pytest.mark.parametrize("revision", ["base", *REVISIONS])
def test_rows_in_every_table_come_back_from_every_revision(url: str, path: Path, revision: str) -> None:
    write_everywhere(path)
    mine, everything = own_rows(path), dump(path)
    assert len(mine) >= 19
    downgrade(url, revision)
    upgrade(url)
    assert own_rows(path) == mine
    assert dump(path) == everything


def test_rows_survive_a_walk_down_and_up_step_by_step(url: str, path: Path) -> None:
    write_everywhere(path)
    mine, everything = own_rows(path), dump(path)
    for _ in REVISIONS:
        downgrade(url, "-1")
        assert sum(map(len, own_rows(path).values())) == sum(map(len, mine.values())), "in place or parked, but there"
    for _ in REVISIONS:
        upgrade(url, "+1")
    assert dump(path) == everything


def test_rows_whose_table_stays_are_not_moved(url: str, path: Path) -> None:
    write_everywhere(path)
    mine = own_rows(path)
    downgrade(url, "0001")
    kept = {name: rows for name, rows in own_rows(path).items() if not name.startswith("parked_")}
    assert kept == {name: mine[name] for name in kept}
    assert "architecture" in kept
    assert {row.table for row in parked.waiting(url)} == mine.keys() - kept.keys()


def test_a_calibration_survives_base_and_the_opening_that_makes_the_catalog_again(url: str) -> None:
    row = CalibrationRow(
        accelerator="h100-sxm5-80gb",
        metric="calibrated_arithmetic",
        fraction=0.9,
        condition="runs",
        date="2026-11-24",
        note="",
    )
    store(url, [row])
    downgrade(url, "base")
    assert [each.why for each in parked.waiting(url)] == ["no table yet"]
    with Catalog.open(url) as catalog:
        assert catalog.accelerator("h100").calibrated("calibrated_arithmetic") == 0.9
    assert parked.waiting(url) == ()


def test_a_downgrade_without_rows_of_the_users_leaves_nothing_beside_the_catalog(url: str, path: Path) -> None:
    downgrade(url, "base")
    assert set(dump(path)) == {"alembic_version"}


def test_a_row_that_breaks_a_newer_rule_waits_and_stops_no_upgrade(empty_url: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "catalog.db"
    upgrade(empty_url, "0002")
    run(path, INVALID)
    assert upgrade(empty_url) == (REVISIONS[-1],)
    (row,) = parked.waiting(empty_url)
    assert (row.table, row.slug, row.row["source_date"]) == ("cluster", "mine", "2026-99-99")
    assert row.why.startswith("refused by a rule")
    downgrade(empty_url, "0002")
    upgrade(empty_url, "0003")
    assert parked.waiting(empty_url) == (row,)


def test_what_waits_can_be_mended_and_comes_back(empty_url: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "catalog.db"
    upgrade(empty_url, "0002")
    run(path, INVALID)
    upgrade(empty_url)
    run(path, "UPDATE parked_cluster SET source_date = '2026-09-09'")
    upgrade(empty_url)
    assert parked.waiting(empty_url) == ()
    assert own_rows(path)["cluster"][0][0] == "mine"


def test_what_breaks_a_rule_joins_those_that_wait_column_by_column(empty_url: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "catalog.db"
    upgrade(empty_url, "0002")
    run(
        path,
        INVALID,
        "CREATE TABLE parked_cluster AS SELECT note, nodes, node, confidence, source_date, source, document, "
        "document_layer, node_layer, name, layer, slug FROM cluster WHERE 1 = 0",
    )
    upgrade(empty_url)
    (row,) = parked.waiting(empty_url)
    assert (row.row["slug"], row.row["source_date"]) == ("mine", "2026-99-99")


OWN_CLUSTER = """
clusters:
- slug: our-pool
  name: Our pool
  aliases: [The Big One]
  node: dgx-a100-640
  nodes: 3
  usd_per_accelerator_hour: 2.5
  price_date: 2026-01-01
"""


@pytest.fixture
def parked_pool(url: str, path: Path, tmp_path: Path) -> Path:
    """The file of a cluster that was imported and waits, since its nodes are no whole number."""
    file = tmp_path / "pool.yaml"
    file.write_text(OWN_CLUSTER)
    import_cluster(str(file), database=url)
    downgrade(url, "0002")
    run(path, "UPDATE cluster SET nodes = 1.5 WHERE slug = 'our-pool'")
    upgrade(url)
    return file


def test_names_and_prices_of_a_cluster_wait_with_it(parked_pool: Path, url: str, path: Path) -> None:
    found = {(row.table, row.row.get("alias", row.slug)): row.why for row in parked.waiting(url)}
    assert found.pop(("cluster", "our-pool")).startswith("refused by a rule")
    price = "our-pool-own-2026-01-01"
    assert found == {
        ("alias", "our-pool"): "the cluster our-pool waits",
        ("alias", "The Big One"): "the cluster our-pool waits",
        ("alias", price): f"the price {price} waits",
        ("price", price): "the cluster our-pool waits",
    }
    assert own_rows(path).keys() == {"parked_alias", "parked_cluster", "parked_price"}
    with (
        Catalog.open(url) as catalog,
        pytest.raises(InputError, match="your cluster 'our-pool' waits for a table or a rule"),
    ):
        catalog.cluster("The Big One")
    assert {each.check for each in check(url).findings} == {"user rows"}, "they wait, and all else is well"


def test_a_cluster_that_waits_comes_back_with_its_names_and_prices(parked_pool: Path, url: str, path: Path) -> None:
    run(path, "UPDATE parked_cluster SET nodes = 2")
    upgrade(url)
    assert parked.waiting(url) == ()
    with Catalog.open(url) as catalog:
        found = catalog.cluster("the big one")
    assert (found.slug, found.nodes) == ("our-pool", 2)
    assert found.price is not None
    assert found.price.usd_per_accelerator_hour == 2.5


@pytest.mark.parametrize("replacing", [False, True])
def test_a_cluster_that_waits_can_be_imported_again_and_counts(
    parked_pool: Path, url: str, path: Path, replacing: bool
) -> None:
    parked_pool.write_text(OWN_CLUSTER.replace("nodes: 3", "nodes: 4").replace("The Big One", "The Bigger One"))
    import_cluster(str(parked_pool), replacing=replacing, database=url)
    mine = {name: rows for name, rows in own_rows(path).items() if not name.startswith("parked_")}
    for _ in range(2):
        with Catalog.open(url) as catalog:
            assert catalog.cluster("the bigger one").nodes == 4
            assert catalog.find("clusters", "the big one") is None, "it waits with what it named"
        upgrade(url)
    assert {name: rows for name, rows in own_rows(path).items() if not name.startswith("parked_")} == mine
    assert {row.table for row in parked.waiting(url)} == {"alias", "cluster", "price"}
    parked.discard(url)
    assert check(url).findings == ()


def test_what_needs_an_entry_that_waits_stays_and_says_so(empty_url: str, tmp_path: Path) -> None:
    """It breaks no rule itself, and is whole again with the entry that it needs."""
    upgrade(empty_url, "0002")
    path = tmp_path / "new" / "catalog.db"
    columns = (
        "slug, layer, name, source, confidence, note, provider, accelerator, accelerators_per_node, scaleup_domain, "
        "intra_node_topology, kind, vcpus"
    )
    run(
        path,
        f"INSERT INTO node ({columns}) "
        "VALUES ('own-node', 'user', 'Own', 'me', 'high', '', 'own', 'a100-sxm4-80gb', 8, 8, 'NVSwitch', 'on-prem', 1.5)",
        "INSERT INTO alias VALUES ('nodes', 'ownnode', 'user', 'own-node', 'own-node', 'slug')",
        *users_cluster("mine", "own-node"),
    )
    upgrade(empty_url)
    assert {row.table for row in parked.waiting(empty_url)} == {"alias", "node"}
    said = [finding.message for finding in check(empty_url).findings if finding.table == "cluster"]
    assert said == ["the user's rows name a node that is gone, or waits (as node)"]
    with Catalog.open(empty_url) as catalog:
        assert catalog.row("clusters", "mine")["node"] == "own-node"
        with pytest.raises(InputError, match=r"your node 'own-node' waits .*import it again"):
            catalog.cluster("mine")
    file = tmp_path / "node.yaml"
    file.write_text(
        "nodes: [{slug: own-node, accelerator: a100-sxm4-80gb, accelerators_per_node: 8, scaleup_domain: 8, vcpus: 2, source: me}]"
    )
    import_entries(str(file), database=empty_url)
    with Catalog.open(empty_url) as catalog:
        assert catalog.cluster("mine").node.slug == "own-node"


def test_names_and_rates_that_an_entry_left_behind_are_in_nobody_s_way(any_url: str, tmp_path: Path) -> None:
    """Whoever deleted it by hand: a rate without its accelerator, an alias of the slug."""
    file = tmp_path / "chip.yaml"
    file.write_text(
        "accelerators: [{slug: own-chip, vendor: amd, year: 2026, capacity_bytes: 1 GiB, source: me, aliases: [The Chip],"
        " memory_bandwidth_bytes_per_s: 1 TB/s, peak_flop_per_s: {bf16: 1 PFLOP/s}}]"
    )
    import_entries(str(file), database=any_url)
    before = contents(any_url)
    execute(any_url, "DELETE FROM accelerator WHERE slug = 'own-chip'")
    import_entries(str(file), database=any_url)
    assert contents(any_url) == before


def test_the_price_that_came_with_a_cluster_goes_with_it_and_another_keeps_it(
    url: str, path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pool.yaml"
    file.write_text(OWN_CLUSTER)
    import_cluster(str(file), database=url)
    bought = "UPDATE price SET provider = 'us', slug = 'bought' WHERE layer = 'user'"
    run(
        path,
        bought,
        "UPDATE alias SET alias = 'bought', key = 'bought', slug = 'bought' WHERE kind = 'prices' AND layer = 'user'",
    )
    with pytest.raises(InputError, match="is needed by your price 'bought'"):
        remove_entry("clusters", "our-pool", database=url)
    import_cluster(str(file), database=url)
    with pytest.raises(InputError, match="is needed by your price 'bought'"):
        remove_entry("clusters", "our-pool", database=url)
    assert len(own_rows(path)["price"]) == 2, "all or nothing"
    remove_entry("prices", "bought", database=url)
    assert remove_entry("clusters", "our-pool", database=url)["prices"] == ["our-pool-own-2026-01-01"]
    assert own_rows(path) == {}


def test_peaks_of_an_accelerator_that_waits_wait_with_it(empty_url: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "catalog.db"
    upgrade(empty_url, "0002")
    columns = "slug, layer, name, source, source_date, confidence, note, vendor, architecture, year, form_factor"
    run(
        path,
        f"INSERT INTO accelerator ({columns}, capacity_bytes, memory_type, memory_bandwidth_bytes_per_s, scaleup_domain)"
        " VALUES ('mine', 'user', 'Mine', 'me', 'once', 'high', '', 'me', 'own', 2026, 'PCIe', 1024, 'HBM', 9e999, 1)",
        "INSERT INTO peak_rate VALUES ('mine', 'user', 'bf16', 1e14)",
    )
    run(path, "UPDATE accelerator SET source_date = '2026' WHERE slug = 'mine'")
    upgrade(empty_url)
    assert [(row.table, row.slug) for row in parked.waiting(empty_url)] == [
        ("accelerator", "mine"),
        ("peak_rate", "mine"),
    ]
    run(path, "UPDATE parked_accelerator SET memory_bandwidth_bytes_per_s = 1e12")
    upgrade(empty_url)
    assert parked.waiting(empty_url) == ()


def test_a_row_that_was_written_again_meanwhile_wins_and_the_old_one_waits(url: str, path: Path) -> None:
    run(path, INVALID.replace("2026-99-99", "2026-01-01"))
    run(
        path,
        "CREATE TABLE parked_cluster AS SELECT * FROM cluster WHERE layer = 'user'",
        "UPDATE cluster SET nodes = 9 WHERE slug = 'mine'",
    )
    upgrade(url)
    assert own_rows(path)["cluster"][0][-1] == 9
    (row,) = parked.waiting(url)
    assert row.row["nodes"] == 3
    assert parked.discard(url) == (row,)
    assert "parked_cluster" not in dump(path)


def test_a_failing_upgrade_leaves_what_waits_where_it_is(url: str, path: Path, tmp_path: Path) -> None:
    write_everywhere(path)
    downgrade(url, "base")
    before = dump(path)
    broken = branch(tmp_path / "versions", "bad", extra="raise RuntimeError('half way')")
    with pytest.raises(CatalogError, match="half way"):
        upgrade(url, branches={"bad": broken})
    assert dump(path) == before


def test_rows_of_the_users_in_a_plugins_table_wait_for_the_plugin(url: str, path: Path, tmp_path: Path) -> None:
    table = "\n    ".join(
        [
            'op.create_table("gh200_note", sa.Column("slug", sa.Text(), primary_key=True), sa.Column("layer", sa.Text()))',
        ]
    )
    folder = branch(tmp_path / "versions", "gh200", extra=table)
    text = (folder / "gh200_0001.py").read_text()
    (folder / "gh200_0001.py").write_text(text + '    op.drop_table("gh200_note")\n')
    upgrade(url, branches={"gh200": folder})
    run(path, "INSERT INTO gh200_note VALUES ('mine', 'user')")
    downgrade(url, "gh200@base", branches={"gh200": folder})
    upgrade(url)
    assert [(row.table, row.slug) for row in parked.waiting(url)] == [("gh200_note", "mine")]
    upgrade(url, branches={"gh200": folder})
    assert own_rows(path) == {"gh200_note": [("mine", "user")]}
