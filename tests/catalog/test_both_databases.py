"""The same on SQLite and on PostgreSQL: revisions up and down, whole or not at all, and what a reader gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from catalog.databases import MAKER, branch, contents, execute, users_cluster

from planner.catalog.calibrations import CalibrationRow, forget, store
from planner.catalog.kinds import TABLES
from planner.catalog.location import core_revisions
from planner.catalog.reader import Catalog
from planner.catalog.tables import Base
from planner.catalog.upgrade import current, downgrade, history, upgrade
from planner.errors import CatalogError, InputError

NEWEST = core_revisions()[-1]
OPEN = "import sys; from planner.catalog.reader import Catalog; print(len(Catalog.open(sys.argv[1]).names('models')))"


def test_up_down_up_gives_equal_data(any_url: str) -> None:
    before = contents(any_url)
    for revision in ("0001", "base", "-1"):
        downgrade(any_url, revision)
        assert upgrade(any_url) == (NEWEST,)
        assert contents(any_url) == before


def test_every_revision_goes_up_down_and_up_and_gives_equal_data(any_empty_url: str) -> None:
    for revision in [step.revision for step in reversed(history(any_empty_url))]:
        assert upgrade(any_empty_url, revision) == (revision,)
        before = contents(any_empty_url)
        downgrade(any_empty_url, "-1")
        assert upgrade(any_empty_url, "+1") == (revision,)
        assert contents(any_empty_url) == before


def test_base_leaves_no_table(any_url: str) -> None:
    downgrade(any_url, "base")
    assert contents(any_url) == {"alembic_version": []}
    assert current(any_url) == ()


def test_the_models_of_the_tables_equal_the_migrated_schema(any_url: str) -> None:
    engine = sa.create_engine(any_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        inspector = sa.inspect(connection)
        for table in Base.metadata.sorted_tables:
            found = {each["name"] for each in inspector.get_check_constraints(table.name)}
            assert found == {str(each.name) for each in table.constraints if isinstance(each, sa.CheckConstraint)}, (
                table.name
            )


def test_both_databases_hold_the_same_facts(url: str, shared_url: str) -> None:
    """As numbers: SQLite has no truth values."""
    ours = contents(url)
    assert {name: len(rows) for name, rows in contents(shared_url).items()} == {
        n: len(rows) for n, rows in ours.items()
    }
    for name, rows in contents(shared_url).items():
        assert set(rows) == set(ours[name]), name


@pytest.mark.parametrize("kind", TABLES)
def test_both_databases_give_the_same_answers_in_the_same_order(url: str, shared_url: str, kind: str) -> None:
    with Catalog.open(url) as one, Catalog.open(shared_url) as other:
        assert other.names(kind) == one.names(kind)
        assert other.rows(kind) == one.rows(kind)
        assert [other.row(kind, slug) for slug in one.names(kind)] == [one.row(kind, slug) for slug in one.names(kind)]
        for text in ("a", "h100", "llama 8b", "dgx"):
            assert other.search(text) == one.search(text)
        assert other.cluster("a100-pool") == one.cluster("a100-pool")
        assert other.cluster("h100:64x8") == one.cluster("h100:64x8")
        assert [other.architecture(name) for name in one.names("models")] == list(
            map(one.architecture, one.names("models"))
        )


def test_a_failing_revision_leaves_nothing_behind(any_url: str, tmp_path: Path) -> None:
    broken = branch(tmp_path / "versions", "bad", extra="raise RuntimeError('half way')")
    before = contents(any_url)
    with pytest.raises(CatalogError, match=r"half way.*nothing was changed"):
        upgrade(any_url, branches={"bad": broken})
    assert contents(any_url) == before


def test_processes_that_start_at_once_migrate_once(any_empty_url: str) -> None:
    command = [sys.executable, "-c", OPEN, any_empty_url]
    count = 8 if any_empty_url.startswith("sqlite") else 4
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(count)]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * count, answers
    assert set(answers) == {(answers[0][0], "")}
    assert contents(any_empty_url)["alembic_version"] == [(NEWEST,)]
    reference = contents(any_empty_url)
    downgrade(any_empty_url, "base")
    upgrade(any_empty_url)
    assert contents(any_empty_url) == reference


def test_an_uninstalled_plugins_head_does_not_block(any_url: str, tmp_path: Path) -> None:
    upgrade(any_url, branches={"gh200": branch(tmp_path / "versions", "gh200")})
    assert downgrade(any_url, "-1")[-1] == "gh200_0001"
    assert upgrade(any_url) == (NEWEST, "gh200_0001")
    assert contents(any_url)["gh200_fact"] == [(1,)]


def test_a_downgrade_that_takes_what_a_missing_plugin_refers_to_is_refused(any_url: str, tmp_path: Path) -> None:
    extra = MAKER.format(label="acme", vendor="nvidia", layer="vendor")
    upgrade(any_url, branches={"acme": branch(tmp_path / "versions", "acme", extra=extra, depends="0002")})
    before = contents(any_url)
    for revision in ("0001", "base"):
        with pytest.raises(CatalogError, match=r"branch of acme_0001 .* not installed \(install the plugin again"):
            downgrade(any_url, revision)
        assert contents(any_url) == before


def test_a_revision_that_does_not_exist_is_bad_input(any_url: str) -> None:
    before = contents(any_url)
    with pytest.raises(InputError):
        upgrade(any_url, "9999")
    assert contents(any_url) == before


def test_what_a_user_wrote_survives_down_and_up(any_url: str) -> None:
    execute(any_url, *users_cluster())
    downgrade(any_url, "0001")
    upgrade(any_url)
    with Catalog.open(any_url) as catalog:
        assert catalog.cluster("mine").accelerators == 24


def test_a_calibration_is_kept_used_and_forgotten(any_url: str) -> None:
    row = CalibrationRow(
        accelerator="a100-sxm4-80gb", metric="calibrated_arithmetic", fraction=0.9, condition="12 runs",
        date="2026-11-24", note="",
    )  # fmt: skip
    store(any_url, [row])
    with Catalog.open(any_url) as catalog:
        assert [each.fraction for each in catalog.accelerator("a100").calibrations] == [0.9]
    assert forget(any_url) == ("a100-sxm4-80gb",)
    assert forget(any_url) == ()
