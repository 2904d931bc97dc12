"""The database refuses by itself what cannot be true, whoever writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from catalog.databases import run

from planner.catalog.engine import writing_engine
from planner.catalog.tables import Base

FACT_COLUMNS = "slug, layer, name, source, confidence, note"
FACT = "'mine', 'user', 'Mine', 'me', 'high', ''"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(path)
    opened.execute("PRAGMA foreign_keys = ON")
    yield opened
    opened.close()


def refused(connection: sqlite3.Connection, statement: str) -> str:
    with pytest.raises(sqlite3.IntegrityError) as caught:
        connection.execute(statement)
    return str(caught.value)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE architecture SET layers = 0", "layers_positive"),
        ("UPDATE architecture SET layers = 1.5", "layers_whole"),
        ("UPDATE architecture SET layers = 'many'", "layers_whole"),
        ("UPDATE architecture SET hidden = 9e999", "hidden_whole"),
        ("UPDATE architecture SET moe_topk = -1 WHERE moe_topk IS NOT NULL", "moe_topk_positive"),
        ("UPDATE architecture SET kv_heads = heads + 1", "kv_heads_at_most_heads"),
        ("UPDATE architecture SET window_layers = layers + 1", "window_layers_at_most_layers"),
        ("UPDATE architecture SET gated = 2", "gated_truth"),
        ("UPDATE architecture SET gated = 'maybe'", "gated_truth"),
        ("UPDATE accelerator SET usable_bytes = capacity_bytes + 1", "usable_at_most_capacity"),
        ("UPDATE accelerator SET capacity_bytes = 9e999", "capacity_bytes_whole"),
        ("UPDATE accelerator SET memory_bandwidth_bytes_per_s = 9e999", "memory_bandwidth_bytes_per_s_at_most"),
        ("UPDATE accelerator SET tdp_w = 'hot'", "tdp_w_at_most"),
        ("UPDATE accelerator SET year = 2017.5", "year_whole"),
        ("UPDATE accelerator SET year = 1492", "year_plausible"),
        ("UPDATE node SET network_bytes_per_s = 0", "network_bytes_per_s_positive"),
        ("UPDATE node SET network_bytes_per_s = 9e999", "network_bytes_per_s_at_most"),
        ("UPDATE node SET nic_count = 0.5", "nic_count_whole"),
        ("UPDATE cluster SET nodes = 0", "nodes_positive"),
        ("UPDATE cluster SET nodes = 9e999", "nodes_whole"),
        ("UPDATE link SET bytes_per_s = 9e999", "bytes_per_s_at_most"),
        ("UPDATE efficiency SET fraction = 1.5", "fraction_plausible"),
        ("UPDATE efficiency SET achieved_per_s = 9e999", "achieved_per_s_at_most"),
        ("UPDATE price SET usd_per_accelerator_hour = -1", "usd_per_accelerator_hour_positive"),
        ("UPDATE price SET usd_per_accelerator_hour = 9e999", "usd_per_accelerator_hour_at_most"),
        ("UPDATE price SET superseded = 2", "superseded_truth"),
        ("UPDATE pue SET pue = 0.9", "pue_plausible"),
        ("UPDATE carbon_intensity SET g_co2e_per_kwh = -1", "g_co2e_per_kwh_plausible"),
        ("UPDATE carbon_intensity SET g_co2e_per_kwh = 9e999", "g_co2e_per_kwh_plausible"),
        ("UPDATE carbon_intensity SET carbon_free_share = 1.1", "carbon_free_share_plausible"),
        ("UPDATE power_draw SET watts = 9e999", "watts_plausible"),
        ("UPDATE failure_rate SET events_per_accelerator_day = 0", "events_per_accelerator_day_plausible"),
        ("UPDATE checkpoint_write SET highest_write_bytes_per_s = write_bytes_per_s - 1", "highest_is_highest"),
        ("UPDATE failure_rate SET accelerators = 1.5", "accelerators_whole"),
        ("UPDATE checkpoint_write SET checkpoint_bytes = 'much'", "checkpoint_bytes"),
        ("UPDATE goodput SET share = 1.01", "share_plausible"),
        ("UPDATE footprint SET energy_kwh = NULL, emissions_t_co2e = NULL, accelerator_hours = NULL", "says_something"),
        ("UPDATE vendor SET slug = ' amd' WHERE slug = 'amd'", "slug_plain"),
        ("UPDATE vendor SET layer = ''", "layer_plain"),
        ("UPDATE vendor SET name = ''", "name_not_empty"),
        ("UPDATE vendor SET source = ''", "source_named"),
        ("UPDATE vendor SET confidence = 'total'", "confidence_known"),
        ("UPDATE alias SET role = 'nickname'", "role_known"),
        ("UPDATE alias SET alias = ''", "says_something"),
        ("UPDATE source SET name = ''", "name_not_empty"),
    ],
)
def test_what_cannot_be_true_is_refused(connection: sqlite3.Connection, statement: str, constraint: str) -> None:
    assert constraint in refused(connection, statement)


@pytest.mark.parametrize(
    "rate",
    [
        "0",
        "989",  # TFLOP/s meant
        "9e999",
        "6e16",  # more than any accelerator does in bf16
        "'fast'",
    ],
)
def test_a_dense_peak_beyond_what_silicon_does_is_refused(connection: sqlite3.Connection, rate: str) -> None:
    text = refused(connection, f"UPDATE peak_rate SET flop_per_s = {rate} WHERE format = 'bf16'")
    assert "flop_per_s" in text


def test_a_dense_peak_may_be_what_a_faster_format_has(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE peak_rate SET flop_per_s = 1.5e16 WHERE format = 'fp4'")
    assert "flop_per_s" in refused(connection, "UPDATE peak_rate SET flop_per_s = 1.5e16 WHERE format = 'fp64'")


@pytest.mark.parametrize(
    "date",
    [
        "yesterday", "26", "202", "20260", "2026-1", "2026-13", "2026-00", "2026-11-00", "2026-11-31", "2026-02-30",
        "2025-02-29", "2100-02-29", "2026/11/24", "2026-11-2x", "9999", "24.11.2026", "2026-11-24 ", "2026-1-024",
    ],
)  # fmt: skip
def test_a_date_that_does_not_exist_is_refused(connection: sqlite3.Connection, date: str) -> None:
    assert refused(connection, f"UPDATE price SET date = '{date}'").endswith("date_iso")
    assert refused(connection, f"UPDATE vendor SET source_date = '{date}'").endswith("source_date_iso")
    assert refused(connection, f"UPDATE efficiency SET source_date = '{date}'").endswith("source_date_iso")
    assert refused(connection, f"UPDATE goodput SET source_date = '{date}'").endswith("source_date_iso")


@pytest.mark.parametrize("date", ["2026", "2026-11", "2026-11-30", "2024-02-29", "2000-02-29", "1999-12-31"])
def test_a_day_a_month_or_a_year_that_exists_is_kept(connection: sqlite3.Connection, date: str) -> None:
    assert connection.execute("UPDATE price SET date = ?", (date,)).rowcount > 100


def test_a_release_has_a_day(connection: sqlite3.Connection) -> None:
    assert refused(connection, "UPDATE release SET released_on = '2026-11'").endswith("released_on_iso")


def test_not_a_number_is_no_number(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        connection.execute("UPDATE accelerator SET memory_bandwidth_bytes_per_s = ?", (float("nan"),))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE node SET accelerator = 'no-such-thing'",
        "UPDATE accelerator SET vendor = 'no-such-thing'",
        "UPDATE price SET node = 'no-such-thing', node_layer = 'vendor'",
        "UPDATE goodput SET accelerator = 'no-such-thing', accelerator_layer = 'vendor'",
        "UPDATE carbon_intensity SET document = 'no-such-thing'",
        "DELETE FROM source",
        "DELETE FROM accelerator",
    ],
)
def test_a_released_fact_refers_to_what_is_there(connection: sqlite3.Connection, statement: str) -> None:
    assert "FOREIGN KEY" in refused(connection, statement)


def test_what_the_planner_writes_with_checks_references(url: str) -> None:
    engine = writing_engine(url)
    with engine.begin() as connection, pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"):
        connection.execute(sa.text("DELETE FROM accelerator"))
    engine.dispose()


SLUGGED = sorted(
    name for name, table in Base.metadata.tables.items() if {"slug", "layer"} <= {*table.primary_key.columns.keys()}
)


@pytest.mark.parametrize("table", SLUGGED)
def test_a_slug_is_unique_in_all_shared_layers_and_free_in_the_users(
    connection: sqlite3.Connection, table: str
) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "layer"]
    names = ", ".join(f'"{name}"' for name in columns)
    own = f"INSERT INTO {table} (layer, {names}) SELECT '{{}}', {names} FROM {table} LIMIT 1"
    assert "UNIQUE" in refused(connection, own.format("acme"))
    assert "UNIQUE" in refused(connection, own.format("vendor"))
    connection.execute(own.format("user"))


def test_a_peak_is_told_once(connection: sqlite3.Connection) -> None:
    statement = "INSERT INTO peak_rate VALUES ('a100-sxm4-80gb', 'vendor', 'bf16', 1e14)"
    assert "UNIQUE" in refused(connection, statement)


def test_a_user_may_refer_to_what_is_not_there_yet(path: Path) -> None:
    run(path, f"INSERT INTO cluster ({FACT_COLUMNS}, node, nodes) VALUES ({FACT}, 'not-yet', 3)")
