"""`planner db check`: nothing to say of what the revisions made, and a line for whatever was changed since."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from catalog.databases import MAKER, branch, contents, drop_column, execute, run, users_cluster

from planner.catalog.findings import ERROR, WARNING, Finding
from planner.catalog.integrity import check
from planner.catalog.location import core_revisions
from planner.catalog.upgrade import downgrade, upgrade
from planner.errors import CatalogError

NEWEST = core_revisions()[-1]


def the_finding(url: str) -> Finding:
    (found,) = check(url).findings
    return found


def test_a_catalog_as_its_revisions_made_it_is_well(any_url: str) -> None:
    before = contents(any_url)
    found = check(any_url)
    assert (found.findings, found.sound, found.revisions, found.user_rows) == ((), True, (NEWEST,), 0)
    assert found.facts == sum(
        len(rows) for name, rows in before.items() if name not in ("alias", "alembic_version", "catalog_state")
    )
    assert contents(any_url) == before


def test_what_a_user_wrote_is_well(any_url: str) -> None:
    execute(any_url, *users_cluster(), *users_cluster("a100-pool", nodes=2))
    found = check(any_url)
    assert (found.findings, found.user_rows) == ((), 2)


def test_a_changed_fact_is_an_error_that_names_both_values(any_url: str) -> None:
    execute(any_url, "UPDATE accelerator SET tdp_w = 1 WHERE slug = 'a100-sxm4-80gb'")
    found = the_finding(any_url)
    assert (found.check, found.severity, found.table, found.rows) == ("facts", ERROR, "accelerator", 1)
    assert found.examples == ("a100-sxm4-80gb: tdp_w 1.0 instead of 400.0",)
    assert not check(any_url).sound


def test_a_missing_fact_is_an_error(any_url: str) -> None:
    execute(any_url, "DELETE FROM alias WHERE kind = 'models' AND key = 'llama3-7b'")
    found = the_finding(any_url)
    assert (found.check, found.severity, found.examples) == ("facts", ERROR, ("models llama3-7b",))
    assert "missing" in found.message


def test_a_row_that_poses_as_a_fact_is_an_error(any_url: str) -> None:
    execute(any_url, users_cluster("fake")[0].replace("'user'", "'vendor'"))
    found = the_finding(any_url)
    assert (found.check, found.severity, found.examples) == ("facts", ERROR, ("fake",))


@pytest.mark.parametrize(("node", "slug"), [("gone", "mine")])
def test_a_users_row_that_names_what_is_gone_is_a_warning(any_url: str, node: str, slug: str) -> None:
    execute(any_url, *users_cluster(slug, node=node))
    found = the_finding(any_url)
    assert (found.check, found.severity, found.examples) == ("user rows", WARNING, ("mine: gone",))
    assert check(any_url).sound


def test_a_users_name_of_nothing_and_a_row_without_a_name_are_warnings(any_url: str) -> None:
    entry, _ = users_cluster("nameless")
    _, name = users_cluster("nothing")
    execute(any_url, entry, name)
    assert {(found.severity, found.table, found.examples) for found in check(any_url).findings} == {
        (WARNING, "alias", ("nothing of nothing",)),
        (WARNING, "cluster", ("nameless",)),
    }


def test_only_a_few_rows_are_named_and_all_are_counted(any_url: str) -> None:
    execute(any_url, *(line for number in range(8) for line in users_cluster(f"mine-{number}", node="gone")))
    found = the_finding(any_url)
    assert (found.rows, len(found.examples)) == (8, 5)


def test_a_catalog_behind_the_program_is_a_warning(any_url: str) -> None:
    older = core_revisions()[-2]
    downgrade(any_url, older)
    found = the_finding(any_url)
    assert (found.check, found.severity) == ("revision", WARNING)
    assert f"at {older}; this program has {NEWEST}: planner db upgrade" in found.message


def test_a_catalog_newer_than_the_program_is_an_error(any_url: str) -> None:
    execute(any_url, "UPDATE alembic_version SET version_num = '9999'")
    found = the_finding(any_url)
    assert (found.check, found.severity) == ("revision", ERROR)


def test_a_plugin_that_is_gone_is_named_and_one_that_is_there_is_checked(any_url: str, tmp_path: Path) -> None:
    extra = MAKER.format(label="acme", vendor="acme", layer="acme")
    branches = {"acme": branch(tmp_path / "versions", "acme", extra=extra)}
    upgrade(any_url, branches=branches)
    assert check(any_url, branches=branches).findings == ()
    gone = check(any_url)
    assert [(found.check, found.severity, found.rows) for found in gone.findings] == [
        ("revision", WARNING, 0), ("orphans", WARNING, 2),
    ]  # fmt: skip
    assert "planner db prune" in gone.findings[1].message
    execute(any_url, "UPDATE accelerator SET year = 2001 WHERE layer = 'acme'")
    assert [found.examples for found in check(any_url, branches=branches).findings] == [
        ("acme-1: year 2001 instead of 2026",)
    ]


def test_one_name_in_two_layers_is_an_error(any_url: str, tmp_path: Path) -> None:
    """Before the database forbade it: a plugin that brings a vendor which the planner has."""
    downgrade(any_url, "0002")
    extra = MAKER.format(label="nvidia", vendor="nvidia", layer="nvidia")
    branches = {"nvidia": branch(tmp_path / "versions", "nvidia", extra=extra)}
    upgrade(any_url, "nvidia@head", branches=branches)
    (found,) = (each for each in check(any_url, branches=branches).findings if each.check != "revision")
    assert (found.check, found.severity, found.table) == ("names", ERROR, "vendor")
    assert found.examples == ("nvidia of nvidia and vendor",)


def test_a_dropped_index_and_a_dropped_column_are_errors(any_url: str) -> None:
    execute(any_url, "DROP INDEX ix_alias_slug", "ALTER TABLE catalog_state RENAME COLUMN known_revisions TO known")
    messages = {found.message for found in check(any_url).findings if found.check == "schema"}
    assert "add index ix_alias_slug" in messages
    assert any("known_revisions" in message for message in messages)


def test_lost_constraints_are_an_error(url: str, path: Path) -> None:
    drop_column(path, "catalog_state", "none")
    found = [each for each in check(url).findings if each.table == "catalog_state"]
    assert [(each.check, each.severity, each.examples) for each in found] == [
        ("schema", ERROR, ("ck_catalog_state_one_row",))
    ]


def test_a_broken_reference_is_an_error(url: str, path: Path) -> None:
    run(path, "DELETE FROM vendor WHERE slug = 'nvidia'")
    found = {each.check: each for each in check(url).findings}
    assert (found["references"].severity, found["references"].table) == (ERROR, "accelerator")
    assert found["references"].rows > 5


def test_a_damaged_file_is_an_error(url: str, path: Path) -> None:
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_alias_slug'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    found = check(url).findings
    assert [(each.check, each.severity) for each in found] == [("file", ERROR)]


def test_where_there_is_no_catalog_there_is_nothing_to_check(any_empty_url: str) -> None:
    with pytest.raises(CatalogError, match=r"there is no catalog .* yet \(planner db upgrade makes one\)"):
        check(any_empty_url)
