"""Catalogs made once per worker and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

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
