"""Catalogs made once per worker and copied for each test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalog.servers import CannotStartError, Server, running

from planner.catalog.reader import Catalog
from planner.catalog.upgrade import upgrade


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated catalog that no test may write."""
    path = tmp_path_factory.mktemp("made") / "catalog.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A migrated catalog of the test's own."""
    return Path(shutil.copy(made, tmp_path / "catalog.db"))


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """Where nothing is yet."""
    return f"sqlite:///{tmp_path / 'new' / 'catalog.db'}"


@pytest.fixture(scope="session")
def catalog(made: Path) -> Iterator[Catalog]:
    """The released catalog, for reading."""
    with Catalog.open(f"sqlite:///{made}") as opened:
        yield opened


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server; its tests are skipped where none can be started."""
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(running())
        except CannotStartError as problem:
            pytest.skip(f"no PostgreSQL server can be started here: {problem}")
        yield started


@pytest.fixture(scope="session")
def made_on_server(server: Server) -> str:
    """The name of a migrated database, a template for those of the tests."""
    name = server.make_database()
    upgrade(server.url(name))
    return name


@pytest.fixture
def shared_url(server: Server, made_on_server: str) -> str:
    """A migrated catalog on the server, of the test's own."""
    return server.url(server.make_database(made_on_server))


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """A migrated catalog of the test's own: on SQLite, then on PostgreSQL."""
    url: str = request.getfixturevalue("url" if request.param == "sqlite" else "shared_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_empty_url(request: pytest.FixtureRequest) -> str:
    """Where nothing is yet: on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("empty_url")
        return url
    server: Server = request.getfixturevalue("server")
    return server.url(server.make_database())
