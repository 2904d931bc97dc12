"""Up, down and up again; whole or not at all; once; and never stopped by a plugin that is gone."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from catalog.databases import MAKER, branch, dump, run, users_cluster

from planner.catalog.location import core_revisions
from planner.catalog.prune import prune
from planner.catalog.reader import Catalog
from planner.catalog.tables import Base
from planner.catalog.upgrade import current, downgrade, history, orphans, upgrade
from planner.errors import CatalogError, InputError

BEFORE, NEWEST = core_revisions()[-2:]
OPEN = "import sys; from planner.catalog.reader import Catalog; print(len(Catalog.open(sys.argv[1]).names('models')))"


def test_up_down_up_gives_equal_data(url: str, path: Path) -> None:
    before = dump(path)
    for revision in reversed(core_revisions()[:-1]):
        assert downgrade(url, revision) == (revision,)
        assert upgrade(url) == (NEWEST,)
        assert dump(path) == before


def test_down_to_base_and_up_again_gives_equal_data(url: str, path: Path) -> None:
    before = dump(path)
    downgrade(url, "base")
    assert set(dump(path)) == {"alembic_version"}
    upgrade(url)
    assert dump(path) == before


def test_a_downgrade_of_all_releases_leaves_no_fact(url: str, path: Path) -> None:
    downgrade(url, "0001")
    kept = {"alembic_version", "catalog_state"}
    assert not [name for name, (_, rows) in dump(path).items() if rows and name not in kept]


def test_relative_revisions_mean_the_core_branch(url: str) -> None:
    assert downgrade(url, "-1") == (BEFORE,)
    assert upgrade(url, "+1") == (NEWEST,)


def test_the_models_of_the_tables_equal_the_migrated_schema(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_the_constraints_of_the_tables_equal_those_of_the_migrated_schema(url: str, path: Path, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'models.db'}")
    Base.metadata.create_all(engine)
    engine.dispose()
    by_models, by_revisions = dump(tmp_path / "models.db"), dump(path)
    for name, (sql, _) in by_models.items():
        assert sql == by_revisions[name][0], name


def test_the_indexes_of_the_tables_equal_those_of_the_migrated_schema(path: Path, tmp_path: Path) -> None:
    """Also in what they leave out, which Alembic does not compare."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'models.db'}")
    Base.metadata.create_all(engine)
    engine.dispose()
    made, migrated = _indexes(tmp_path / "models.db"), _indexes(path)
    assert any("WHERE document IS NOT NULL" in sql for sql in made.values())
    assert made == migrated


def _indexes(path: Path) -> dict[str, str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        return {name: sql.replace('"', "") for name, sql in connection.execute(query)}


def test_every_revision_goes_up_and_down_on_its_own(empty_url: str) -> None:
    revisions = [step.revision for step in reversed(history(empty_url))]
    for revision in revisions:
        assert upgrade(empty_url, revision) == (revision,)
        downgrade(empty_url, "-1")
        assert upgrade(empty_url, revision) == (revision,)


def test_history_tells_what_a_database_has_behind_it(url: str, empty_url: str) -> None:
    downgrade(url)
    steps = [(step.revision, step.applied, step.current) for step in history(url)]
    assert steps[:2] == [(NEWEST, False, False), (BEFORE, True, True)]
    assert steps[2:] == [(revision, True, False) for revision in reversed(core_revisions()[:-2])]
    assert not any(step.applied for step in history(empty_url))
    assert current(empty_url) == ()


def test_a_failing_revision_leaves_nothing_behind(url: str, path: Path, tmp_path: Path) -> None:
    broken = branch(tmp_path / "versions", "bad", extra="raise RuntimeError('half way')")
    before = dump(path)
    with pytest.raises(CatalogError, match=r"half way.*nothing was changed"):
        upgrade(url, branches={"bad": broken})
    assert dump(path) == before


def test_a_first_upgrade_that_fails_leaves_no_table(empty_url: str, tmp_path: Path) -> None:
    broken = branch(tmp_path / "versions", "bad", extra='op.execute("no sql")')
    with pytest.raises(CatalogError):
        upgrade(empty_url, branches={"bad": broken})
    assert dump(tmp_path / "new" / "catalog.db") == {}
    assert upgrade(empty_url) == (NEWEST,)


def test_processes_that_start_at_once_migrate_once(empty_url: str, tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, empty_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert dump(tmp_path / "new" / "catalog.db")["alembic_version"][1] == [(NEWEST,)]


def test_an_upgrade_that_waited_finds_nothing_to_do(empty_url: str, tmp_path: Path) -> None:
    upgrade(empty_url)
    before = dump(tmp_path / "new" / "catalog.db")
    assert upgrade(empty_url) == (NEWEST,)
    assert dump(tmp_path / "new" / "catalog.db") == before


def test_an_uninstalled_plugins_head_does_not_block(url: str, path: Path, tmp_path: Path) -> None:
    downgrade(url)
    pack = branch(tmp_path / "versions", "gh200")
    assert upgrade(url, "gh200@head", branches={"gh200": pack}) == (BEFORE, "gh200_0001")
    assert upgrade(url) == (NEWEST, "gh200_0001")
    assert orphans(current(url)) == ("gh200_0001",)
    assert downgrade(url, "-1") == (BEFORE, "gh200_0001")
    assert upgrade(url) == (NEWEST, "gh200_0001")
    assert dump(path)["gh200_fact"][1] == [(1,)]
    with Catalog.open(url) as catalog:
        assert catalog.resolve("models", "llama3-7b") == "llama-3-8b"


def _left_behind(url: str, folder: Path, vendor: str, layer: str) -> None:
    """A branch with a vendor and an accelerator whose plugin is gone again."""
    pack = branch(folder, "acme", extra=MAKER.format(label="acme", vendor=vendor, layer=layer))
    assert upgrade(url, branches={"acme": pack}) == (NEWEST, "acme_0001")


@pytest.mark.parametrize("revision", ["base", f"-{len(core_revisions())}"])
def test_a_downgrade_to_base_is_refused_while_the_rows_of_a_missing_plugin_would_vanish(
    url: str, path: Path, tmp_path: Path, revision: str
) -> None:
    _left_behind(url, tmp_path / "versions", "acme", "acme")
    before = dump(path)
    with pytest.raises(CatalogError, match=r"branch of acme_0001 .* not installed \(install the plugin again, or down"):
        downgrade(url, revision)
    assert dump(path) == before


def test_a_downgrade_to_base_is_refused_for_a_missing_plugin_with_tables_of_its_own(
    url: str, path: Path, tmp_path: Path
) -> None:
    upgrade(url, branches={"gh200": branch(tmp_path / "versions", "gh200")})
    before = dump(path)
    with pytest.raises(CatalogError, match="branch of gh200_0001"):
        downgrade(url, "base")
    assert dump(path) == before


def test_a_downgrade_that_takes_what_a_missing_plugin_refers_to_is_refused_by_the_same_line(
    url: str, path: Path, tmp_path: Path
) -> None:
    _left_behind(url, tmp_path / "versions", "nvidia", "vendor")
    before = dump(path)
    with pytest.raises(CatalogError, match=r"branch of acme_0001 .* not installed \(install the plugin again, or down"):
        downgrade(url, "0001")
    assert dump(path) == before


def test_a_downgrade_that_keeps_the_rows_of_a_missing_plugin_is_done(url: str, path: Path, tmp_path: Path) -> None:
    _left_behind(url, tmp_path / "versions", "acme", "acme")
    assert downgrade(url, "0001") == ("0001", "acme_0001")
    assert len(dump(path)["accelerator"][1]) == 1


def test_a_plugin_installed_again_goes_down_to_base_and_comes_back(url: str, path: Path, tmp_path: Path) -> None:
    _left_behind(url, tmp_path / "versions", "acme", "acme")
    branches = {"acme": tmp_path / "versions"}
    before = dump(path)
    assert downgrade(url, "base", branches=branches) == ()
    assert upgrade(url, branches=branches) == (NEWEST, "acme_0001")
    assert dump(path) == before


@pytest.mark.parametrize("revision", ["-1", "core@-1"])
def test_below_base_there_is_nothing(url: str, path: Path, revision: str) -> None:
    downgrade(url, "base")
    before = dump(path)
    with pytest.raises(InputError, match=r"is already at base \(there is nothing to take back\)$"):
        downgrade(url, revision)
    assert dump(path) == before


def test_below_the_first_revision_of_a_plugin_there_is_nothing(url: str, tmp_path: Path) -> None:
    branches = {"gh200": branch(tmp_path / "versions", "gh200")}
    with pytest.raises(InputError, match="branch gh200, is already at base"):
        downgrade(url, "gh200@-1", branches=branches)


def test_a_downgrade_where_there_is_no_catalog_makes_none(empty_url: str, tmp_path: Path) -> None:
    for revision in ("-1", "base"):
        with pytest.raises(InputError, match="no catalog"):
            downgrade(empty_url, revision)
    assert not (tmp_path / "new").exists()


def test_a_plugin_that_depends_on_the_newest_release_does_not_hide_the_core(url: str, tmp_path: Path) -> None:
    pack = branch(tmp_path / "versions", "gh200", depends=NEWEST)
    assert upgrade(url, branches={"gh200": pack}) == (NEWEST, "gh200_0001")
    assert upgrade(url, branches={"gh200": pack}) == (NEWEST, "gh200_0001")
    assert upgrade(url) == (NEWEST, "gh200_0001")
    assert downgrade(url, "-1") == (BEFORE, "gh200_0001")
    with pytest.raises(CatalogError, match=f"gh200_0001 of a plugin needs {NEWEST}"):
        upgrade(url, branches={"gh200": pack})
    assert upgrade(url) == (NEWEST, "gh200_0001")
    assert upgrade(url, branches={"gh200": pack}) == (NEWEST, "gh200_0001")
    assert downgrade(url, "0001", branches={"gh200": pack}) == ("0001",)


def test_a_plugin_that_comes_back_can_take_its_rows_away(url: str, path: Path, tmp_path: Path) -> None:
    pack = branch(tmp_path / "versions", "gh200")
    branches = {"gh200": pack}
    assert upgrade(url, branches=branches) == (NEWEST, "gh200_0001")
    assert downgrade(url, "gh200@base", branches=branches) == (NEWEST,)
    assert "gh200_fact" not in dump(path)


def test_a_plugins_revision_must_begin_with_its_label(url: str, tmp_path: Path) -> None:
    pack = branch(tmp_path / "versions", "gh200", revision=NEWEST)
    with pytest.raises(CatalogError, match="must begin with gh200_"):
        upgrade(url, branches={"gh200": pack})


@pytest.mark.parametrize("revision", ["9999", "nonsense", "core@+7", "-99"])
def test_a_revision_that_does_not_exist_is_bad_input(url: str, path: Path, revision: str) -> None:
    before = dump(path)
    move = downgrade if revision == "-99" else upgrade
    with pytest.raises(InputError):
        move(url, revision)
    assert dump(path) == before


def test_what_a_user_wrote_survives_down_and_up(url: str, path: Path) -> None:
    columns = "slug, layer, name, source, confidence, note, node, nodes"
    run(
        path,
        f"INSERT INTO cluster ({columns}) VALUES ('mine', 'user', 'Mine', 'me', 'high', '', 'dgx-a100-640', 3)",
        "INSERT INTO alias VALUES ('clusters', 'mine', 'user', 'mine', 'mine', 'slug')",
    )
    downgrade(url)
    upgrade(url)
    with Catalog.open(url) as catalog:
        assert catalog.cluster("mine").accelerators == 24


def test_a_users_row_shadows_the_released_one(url: str, path: Path) -> None:
    columns = "slug, layer, name, source, confidence, note, node, nodes"
    run(
        path,
        f"INSERT INTO cluster ({columns}) VALUES ('a100-pool', 'user', 'Ours', 'me', 'high', '', 'dgx-a100-640', 2)",
    )
    with Catalog.open(url) as catalog:
        assert catalog.cluster("a100-pool").accelerators == 16
        assert len([row for row in catalog.rows("clusters") if row["slug"] == "a100-pool"]) == 1


def test_after_a_chosen_downgrade_opening_does_not_upgrade_again(url: str) -> None:
    downgrade(url, "0001")
    with Catalog.open(url) as catalog, pytest.raises(CatalogError, match="planner db upgrade"):
        catalog.architecture("llama-3-8b")
    assert current(url) == ("0001",)


def test_leaving_a_plugin_out_once_does_not_undo_a_chosen_downgrade(url: str, tmp_path: Path) -> None:
    pack = {"gh200": branch(tmp_path / "versions", "gh200")}
    upgrade(url, branches=pack)
    downgrade(url, branches=pack)
    for branches in ({}, pack, None, pack):
        Catalog.open(url, branches=branches).close()
        assert current(url) == (BEFORE, "gh200_0001")


def test_leaving_a_plugin_out_does_not_bring_back_what_was_taken_back_of_it(url: str, tmp_path: Path) -> None:
    pack = {"gh200": branch(tmp_path / "versions", "gh200")}
    upgrade(url, branches=pack)
    downgrade(url, "gh200@base", branches=pack)
    upgrade(url)
    Catalog.open(url, branches=pack).close()
    assert current(url) == (NEWEST,)


def test_a_new_plugin_does_not_undo_a_chosen_downgrade_of_the_core(url: str, tmp_path: Path) -> None:
    downgrade(url)
    Catalog.open(url, branches={"gh200": branch(tmp_path / "versions", "gh200")}).close()
    assert current(url) == (BEFORE, "gh200_0001")


def test_a_newer_planner_does_not_undo_a_chosen_downgrade_of_a_plugin(url: str, path: Path, tmp_path: Path) -> None:
    pack = {"gh200": branch(tmp_path / "versions", "gh200")}
    upgrade(url, branches=pack)
    downgrade(url, "gh200@base", branches=pack)
    downgrade(url, branches=pack)
    run(path, "UPDATE catalog_state SET known_revisions = 'core: 0001; gh200: gh200_0001'")
    Catalog.open(url, branches=pack).close()
    assert current(url) == (NEWEST,)


def test_a_plugin_that_was_pruned_comes_back_whole(url: str, tmp_path: Path) -> None:
    pack = {"gh200": branch(tmp_path / "versions", "gh200")}
    upgrade(url, branches=pack)
    prune(url)
    assert current(url) == (NEWEST,)
    Catalog.open(url, branches=pack).close()
    assert current(url) == (NEWEST, "gh200_0001")


def test_an_older_catalog_is_upgraded_when_opened(url: str, path: Path) -> None:
    downgrade(url)
    run(path, "UPDATE catalog_state SET known_revisions = 'core: 0001'")
    with Catalog.open(url) as catalog:
        assert catalog.names("models")
    assert current(url) == (NEWEST,)


RATE = "INSERT INTO peak_rate (accelerator, layer, format, flop_per_s) VALUES ('{slug}', 'vendor', 'fp4', 1e15)"


@pytest.mark.parametrize(
    "statement",
    [
        RATE.format(slug="never-was"),
        "DELETE FROM accelerator WHERE slug = 'l4' AND layer = 'vendor'",
        "DELETE FROM source WHERE slug = (SELECT document FROM efficiency WHERE document IS NOT NULL LIMIT 1)",
        "DELETE FROM vendor WHERE slug = 'amd'",
    ],
    ids=["a new row of nothing", "an accelerator goes", "a document goes", "a vendor goes"],
)
def test_a_revision_that_leaves_a_row_without_what_it_refers_to_is_refused(
    url: str, path: Path, tmp_path: Path, statement: str
) -> None:
    """Whichever way: the user's rows are passed over, facts are not."""
    run(path, *users_cluster(), RATE.format(slug="mine").replace("vendor", "user"))
    before = dump(path)
    broken = {"acme": branch(tmp_path / "versions", "acme", extra=f"op.execute({statement!r})")}
    with pytest.raises(CatalogError, match="would refer to a row of"):
        upgrade(url, branches=broken)
    assert dump(path) == before
