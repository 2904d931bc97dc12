"""The user's layer and the constraints on PostgreSQL, where the tests can start a server."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from planner.catalog import parked
from planner.catalog.location import core_revisions
from planner.catalog.tables import Base
from planner.catalog.upgrade import downgrade, upgrade


@pytest.fixture
def server_url(request: pytest.FixtureRequest) -> str:
    """A migrated catalog on a server, of the test's own."""
    try:
        url: str = request.getfixturevalue("shared_url")
    except pytest.FixtureLookupError:
        pytest.skip("no server to run on")
    return url


def run(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def contents(url: str) -> dict[str, list[Any]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        return {
            name: sorted((tuple(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')), key=repr)
            for name in names
        }


def write_everywhere(url: str) -> None:
    """Give every table rows of the user's own: copies of released ones, which they shadow."""
    for table in Base.metadata.sorted_tables:
        columns = list(table.columns.keys())
        if "layer" not in columns or table.name in ("peak_rate", "peak_source"):
            continue
        values = [
            "'user'"
            if column == "layer"
            else "NULL"
            if column.removesuffix("_layer") in set(columns) - {column}
            else f'"{column}"'
            for column in columns
        ]
        names = ", ".join(f'"{column}"' for column in columns)
        run(url, f'INSERT INTO "{table.name}" ({names}) SELECT {", ".join(values)} FROM "{table.name}" LIMIT 7')
    own = "WHERE accelerator IN (SELECT slug FROM accelerator WHERE layer = 'user')"
    run(
        url,
        f"INSERT INTO peak_rate SELECT accelerator, 'user', format, flop_per_s FROM peak_rate {own}",
        "INSERT INTO peak_source SELECT accelerator, 'user', format, document, NULL, source, source_date, confidence "
        f"FROM peak_source {own}",
    )


@pytest.mark.parametrize("revision", ["base", *core_revisions()])
def test_rows_in_every_table_come_back_from_every_revision(server_url: str, revision: str) -> None:
    write_everywhere(server_url)
    before = contents(server_url)
    downgrade(server_url, revision)
    upgrade(server_url)
    assert contents(server_url) == before
    assert parked.waiting(server_url) == ()


def test_a_row_that_breaks_a_newer_rule_waits_until_it_is_mended(server_url: str) -> None:
    downgrade(server_url, "0002")
    columns = "slug, layer, name, source, source_date, confidence, note, node, nodes"
    run(
        server_url,
        f"INSERT INTO cluster ({columns}) VALUES ('good', 'user', 'Mine', 'me', '2026-09-09', 'high', '', 'own', 3)",
        f"INSERT INTO cluster ({columns}) VALUES ('mine', 'user', 'Mine', 'me', '2026-99-99', 'high', '', 'own', 3)",
    )
    upgrade(server_url)
    assert [row.slug for row in parked.waiting(server_url)] == ["mine"]
    run(server_url, "UPDATE parked_cluster SET source_date = '2026'")
    upgrade(server_url)
    assert parked.waiting(server_url) == ()


@pytest.mark.parametrize(
    "assignment",
    [
        "peak_rate SET flop_per_s = 'NaN'",
        "peak_rate SET flop_per_s = 'Infinity'",
        "accelerator SET tdp_w = 'NaN'",
        "price SET usd_per_accelerator_hour = 'Infinity'",
        "price SET date = '2026-02-30'",
        "efficiency SET fraction = 'NaN'",
        "efficiency SET achieved_per_s = 'NaN'",
        "carbon_intensity SET g_co2e_per_kwh = 'NaN'",
        "goodput SET share = 'NaN'",
        "power_draw SET watts = 'Infinity'",
    ],
)
def test_no_number_may_be_not_a_number_or_infinite(server_url: str, assignment: str) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="violates check constraint"):
        run(server_url, f"UPDATE {assignment}")
