"""`planner db check`: nothing to say of what the revisions made, and a line for whatever was changed since."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from catalog.databases import MAKER, branch, contents, drop_column, execute, run, users_cluster
from catalog.servers import Server
from sqlalchemy.engine import make_url

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
    said = [(found.message, *found.examples) for found in check(any_url).findings if found.check == "schema"]
    assert any("ix_alias_slug" in " ".join(each) for each in said)
    assert any("known_revisions" in " ".join(each) for each in said)


def test_lost_constraints_are_an_error(url: str, path: Path) -> None:
    drop_column(path, "catalog_state", "none")
    found = {each.message: each for each in check(url).findings if each.table == "catalog_state"}
    lost = found["constraints are missing"]
    assert (lost.check, lost.severity, lost.examples) == (
        "schema", ERROR, ("ck_catalog_state_one_row", "pk_catalog_state"),
    )  # fmt: skip
    # A copy of a table has neither key nor NOT NULL.
    assert found["columns are not as the revisions make them"].examples == ("id", "known_revisions")


def rewritten(path: Path, name: str, old: str, new: str) -> None:
    """Change a definition where SQLite keeps it, as no statement of SQL's own can."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    with connection:
        done = connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ? AND sql LIKE ?",
            (old, new, name, f"%{old}%"),
        )
    connection.close()
    assert done.rowcount == 1


@pytest.mark.parametrize(
    ("name", "old", "new", "table", "message", "example"),
    [
        (
            "peak_rate", "flop_per_s >= 1000000000 AND", "flop_per_s >= -1 AND", "peak_rate",
            "constraints are not as the revisions make them", "ck_peak_rate_flop_per_s_plausible",
        ),
        (
            "node", "REFERENCES accelerator (slug, layer)", "REFERENCES accelerator (slug, layer) ON DELETE CASCADE",
            "node", "constraints are not as the revisions make them", "fk_node_accelerator",
        ),
        ("vendor", "name TEXT NOT NULL", "name TEXT", "vendor", "columns are not as the revisions make them", "name"),
        (
            "uq_alias_kind_key_shared", "UNIQUE INDEX", "INDEX", "alias",
            "indices are not as the revisions make them", "uq_alias_kind_key_shared",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_was_weakened_under_its_name_is_an_error(
    url: str, path: Path, name: str, old: str, new: str, table: str, message: str, example: str
) -> None:
    rewritten(path, name, old, new)
    found = the_finding(url)
    assert (found.check, found.severity, found.table, found.message) == ("schema", ERROR, table, message)
    assert found.examples[0].startswith(example)


def test_a_rule_of_an_older_revision_is_compared_too(url: str, path: Path) -> None:
    downgrade(url, "0002")
    rewritten(path, "cluster", '"nodes" > 0', '"nodes" > -9')
    found = [each for each in check(url).findings if each.check == "schema"]
    assert [each.examples for each in found] == [("ck_cluster_nodes_positive",)]


def test_blanks_quotes_and_comments_are_no_difference(url: str, path: Path) -> None:
    rewritten(path, "vendor", "CHECK (name <> '')", "CHECK  ( \"name\"<>'' /* never */ )")
    assert check(url).findings == ()


@pytest.mark.parametrize("revision", core_revisions())
def test_what_a_downgrade_leaves_is_what_its_revision_makes(url: str, revision: str) -> None:
    downgrade(url, revision)
    assert not [each for each in check(url).findings if each.check == "schema"]


def test_a_rule_that_was_weakened_on_a_server_is_an_error(shared_url: str) -> None:
    name = "ck_peak_rate_flop_per_s_plausible"
    execute(
        shared_url,
        f"ALTER TABLE peak_rate DROP CONSTRAINT {name}",
        f"ALTER TABLE peak_rate ADD CONSTRAINT {name} CHECK (flop_per_s >= -1)",
    )
    found = the_finding(shared_url)
    assert (found.check, found.severity, found.table, found.examples) == ("schema", ERROR, "peak_rate", (name,))
    assert found.message == "constraints are not as the revisions make them"


def test_an_index_that_lost_its_condition_on_a_server_is_an_error(shared_url: str) -> None:
    execute(shared_url, "DROP INDEX ix_vendor_slug", "CREATE UNIQUE INDEX ix_vendor_slug ON vendor (slug)")
    assert "ix_vendor_slug" in {name for found in check(shared_url).findings for name in found.examples}


def test_a_trigger_that_eats_rows_is_an_error(url: str, path: Path) -> None:
    run(path, "CREATE TRIGGER eat AFTER INSERT ON cluster BEGIN DELETE FROM cluster WHERE layer = 'user'; END")
    found = the_finding(url)
    assert (found.check, found.severity, found.table, found.examples) == ("schema", ERROR, "cluster", ("eat",))
    assert found.message == "triggers that no revision made"


def test_triggers_and_rules_on_a_server_and_references_that_are_switched_off_are_errors(shared_url: str) -> None:
    execute(
        shared_url,
        "CREATE FUNCTION eaten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER eat BEFORE INSERT ON cluster FOR EACH ROW EXECUTE FUNCTION eaten()",
        "CREATE RULE swallow AS ON INSERT TO node DO INSTEAD NOTHING",
        "ALTER TABLE price DISABLE TRIGGER ALL",
    )
    found = {each.table: each for each in check(shared_url).findings}
    assert {name: each.severity for name, each in found.items()} == dict.fromkeys(("cluster", "node", "price"), ERROR)
    assert (found["cluster"].examples, found["node"].examples) == (("eat",), ("swallow",))
    assert found["price"].message == "references are not checked"


def test_a_view_is_a_warning(any_url: str) -> None:
    execute(any_url, "CREATE VIEW dear AS SELECT * FROM price WHERE usd_per_accelerator_hour > 10")
    found = the_finding(any_url)
    assert (found.check, found.severity, found.examples) == ("schema", WARNING, ("dear",))


def test_where_no_temporary_table_can_be_made_the_names_are_compared_and_that_is_said(
    shared_url: str, server: Server
) -> None:
    database = str(make_url(shared_url).database)
    role = f"plain_{database}"
    server.execute(
        database,
        f"CREATE ROLE {role} LOGIN",
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
    )
    url = server.url(database, role)
    found = the_finding(url)
    assert (found.check, found.severity) == ("schema", WARNING)
    assert "by name alone" in found.message
    execute(shared_url, "ALTER TABLE peak_rate DROP CONSTRAINT ck_peak_rate_flop_per_s_plausible")
    assert ("ck_peak_rate_flop_per_s_plausible",) in [each.examples for each in check(url).findings]


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
