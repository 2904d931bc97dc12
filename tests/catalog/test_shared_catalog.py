"""A team's catalog on a server: who may read, who may write, and what the others are told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from catalog.databases import branch, contents
from catalog.servers import Server

from planner.catalog.calibrations import CalibrationRow, store
from planner.catalog.location import core_revisions
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import UPGRADE_LOCK, downgrade, upgrade
from planner.errors import CatalogError, CatalogWarning

DOCUMENT = Path(__file__).parents[2] / "docs" / "catalog.md"
(RIGHTS,) = re.findall(r"^```sql\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE)
"""What the document tells the owner of a catalog to run."""
MEMBERS = {"reader": "IN ROLE planner_readers", "writer": "IN ROLE planner_writers", "stranger": ""}
CALIBRATION = CalibrationRow(
    accelerator="a100-sxm4-80gb", metric="calibrated_arithmetic", fraction=0.9, condition="12 runs",
    date="2026-11-24", note="",
)  # fmt: skip


class Team(NamedTuple):
    """One catalog as its owner, a reader, a writer, and one without rights reach it."""

    owner: str
    reader: str
    writer: str
    stranger: str


@pytest.fixture(scope="session")
def roles(server: Server) -> tuple[str, ...]:
    """The members of a team, who hold no rights yet."""
    server.execute("postgres", *re.findall(r"^CREATE ROLE .*$", RIGHTS, re.MULTILINE))
    server.execute("postgres", *(f"CREATE ROLE {name} LOGIN {group}" for name, group in MEMBERS.items()))
    return tuple(MEMBERS)


@pytest.fixture
def team(server: Server, made_on_server: str, roles: tuple[str, ...]) -> Team:
    name = server.make_database(made_on_server)
    server.execute(name, *re.findall(r"^(?!CREATE ROLE).+;$", RIGHTS, re.MULTILINE))
    return Team(server.url(name), *(server.url(name, role) for role in roles))


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def planner(url: str, *arguments: str) -> Done:
    script = "import sys; from planner.cli.main import run; sys.exit(run())"
    command = [sys.executable, "-c", script, "--database", url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_reader_plans_lists_and_shows(team: Team, url: str) -> None:
    question = ("plan", "--model", "llama3-7b", "--cluster", "a100-pool", "-f", "json")
    theirs, ours = planner(team.reader, *question), planner(url, *question)
    assert (theirs.status, theirs.err) == (0, "")
    assert json.loads(theirs.out)["answer"] == json.loads(ours.out)["answer"]
    assert planner(team.reader, "catalog", "show", "accelerators", "h100").status == 0
    assert planner(team.reader, "db", "current").status == 0


@pytest.mark.parametrize("command", [("db", "downgrade", "-1"), ("calibrate", "--forget")])
def test_a_reader_writes_nothing_and_is_told_so_in_one_line(team: Team, command: tuple[str, ...]) -> None:
    before = contents(team.owner)
    done = planner(team.reader, *command)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert "does not let your role do that (ask its owner" in done.err
    assert contents(team.owner) == before


def test_a_reader_of_an_older_catalog_is_told_to_ask_its_owner(team: Team) -> None:
    downgrade(team.owner, "0001")
    with Catalog.open(team.reader) as catalog, pytest.raises(CatalogError) as caught:
        catalog.architecture("llama3-7b")
    assert f"is at revision 0001, older than this program ({core_revisions()[-1]})" in str(caught.value)
    assert "your role may not upgrade it (ask its owner to run planner db upgrade)" in str(caught.value)


def test_of_a_catalog_at_base_a_reader_is_told_to_ask_its_owner_to_upgrade(team: Team) -> None:
    downgrade(team.owner, "base")
    for url in (team.reader, team.writer):
        done = planner(url, "catalog", "list", "vendors")
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
        assert f"is at revision base, older than this program ({core_revisions()[-1]})" in done.err
        assert "your role may not upgrade it (ask its owner to run planner db upgrade)" in done.err


def test_down_to_base_and_up_again_a_writer_may_still_not_write_what_upgrades_write(team: Team) -> None:
    """The owner's rights for tables to come speak of every table; these stay the owner's."""
    downgrade(team.owner, "base")
    upgrade(team.owner)
    engine = sa.create_engine(team.writer, poolclass=sa.NullPool)
    for table in ("alembic_version", "catalog_state", "release"):
        with engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    store(team.writer, [CALIBRATION])


def test_a_right_that_the_owner_gives_later_stays(team: Team) -> None:
    downgrade(team.owner)
    engine = sa.create_engine(team.owner, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("GRANT DELETE ON release TO planner_writers")
    upgrade(team.owner)
    with sa.create_engine(team.writer, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql("DELETE FROM release WHERE 1 = 0")


def test_a_reader_whose_planner_is_newer_is_told_to_ask_and_changes_nothing(team: Team) -> None:
    downgrade(team.owner, "0001")
    engine = sa.create_engine(team.owner, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE catalog_state SET known_revisions = 'core: 0001'")
    before = contents(team.owner)
    for url in (team.reader, team.writer):
        with pytest.raises(CatalogError, match="ask its owner to run planner db upgrade"):
            Catalog.open(url)
    assert contents(team.owner) == before
    Catalog.open(team.owner).close()
    assert contents(team.reader)["alembic_version"] == [(core_revisions()[-1],)]


def test_a_reader_with_a_plugin_that_the_catalog_lacks_reads_with_a_warning(team: Team, tmp_path: Path) -> None:
    branches = {"gh200": branch(tmp_path / "versions", "gh200")}
    with pytest.warns(CatalogWarning, match="lacks the facts of gh200, and you may not upgrade it: ask its owner"):
        catalog = Catalog.open(team.reader, branches=branches)
    with catalog:
        assert catalog.names("models")
    upgrade(team.owner, branches=branches)
    with Catalog.open(team.reader, branches=branches) as catalog:
        assert catalog.names("models")


def test_a_reader_reads_the_tables_of_later_revisions(team: Team, tmp_path: Path) -> None:
    upgrade(team.owner, branches={"gh200": branch(tmp_path / "versions", "gh200")})
    assert contents(team.reader)["gh200_fact"] == [(1,)]


def test_a_writer_keeps_rows_of_the_team_that_a_reader_sees(team: Team) -> None:
    with pytest.raises(CatalogError, match="does not let your role"):
        store(team.reader, [CALIBRATION])
    store(team.writer, [CALIBRATION])
    with Catalog.open(team.reader) as catalog:
        assert [each.fraction for each in catalog.accelerator("a100").calibrations] == [0.9]
    with pytest.raises(CatalogError, match="does not let your role"):
        downgrade(team.writer, "0001")


def test_a_role_without_rights_is_told_to_ask(team: Team) -> None:
    done = planner(team.stranger, "catalog", "list", "models")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert "reading needs the right to SELECT" in done.err


def test_a_database_that_does_not_exist_is_one_line(server: Server) -> None:
    done = planner(server.url("nowhere"), "catalog", "list", "models")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert 'database "nowhere" does not exist' in done.err


def test_a_server_that_is_set_to_reading_only_is_read(team: Team, server: Server) -> None:
    name = sa.make_url(team.owner).database
    server.execute("postgres", f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with Catalog.open(team.owner) as catalog:
        assert catalog.names("models")
    with pytest.raises(CatalogError, match="may only be read"):
        downgrade(team.owner, "-1")


def test_one_upgrade_at_a_time(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade waits for the lock of another, and gives up in the end."""
    downgrade(team.owner, "0001")
    engine = sa.create_engine(team.owner, poolclass=sa.NullPool)
    with engine.begin() as holder:
        holder.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
        monkeypatch.setattr("planner.catalog.engine.WRITE_TIMEOUT_S", 0.1)
        with pytest.raises(CatalogError, match="locked by another program"):
            upgrade(team.owner)
        monkeypatch.setattr("planner.catalog.engine.WRITE_TIMEOUT_S", 30.0)
        waiting = threading.Thread(target=upgrade, args=(team.owner,))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(30)
    assert contents(team.owner)["alembic_version"] == [(core_revisions()[-1],)]


def test_reading_goes_on_while_another_upgrades(team: Team) -> None:
    """A reader sees the state before an upgrade that is under way."""
    engine = sa.create_engine(team.owner, poolclass=sa.NullPool)
    with engine.connect() as writer:
        writer.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
        writer.exec_driver_sql("DELETE FROM alias")
        with Catalog.open(team.reader) as catalog:
            assert catalog.resolve("models", "llama3-7b") == "llama-3-8b"


def test_a_table_that_stays_locked_is_one_line(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.catalog.engine.READ_TIMEOUT_S", 0.1)
    engine = sa.create_engine(team.owner, poolclass=sa.NullPool)
    with engine.connect() as holder:
        holder.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(CatalogError, match="locked by another program"):
            Catalog.open(team.reader)
