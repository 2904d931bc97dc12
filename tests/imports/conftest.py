"""A catalog of the test's own, and the command line on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from planner.catalog.upgrade import upgrade
from planner.cli.main import main

DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line left behind."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated catalog that no test may write."""
    path = tmp_path_factory.mktemp("released") / "catalog.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The released catalog with an empty user's layer; the command line uses it too."""
    for name in ("PLANNER_PLUGINS_DISABLE", "PLANNER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    url = f"sqlite:///{shutil.copy(released, tmp_path / 'catalog.db')}"
    monkeypatch.setenv("PLANNER_DATABASE_URL", url)
    return url


@pytest.fixture
def planner(database: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Calls `planner` with these arguments."""

    def call(*arguments: str) -> Outcome:
        status = main(arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def refused(planner: Callable[..., Outcome]) -> Callable[..., str]:
    """The one line with which a call is refused."""

    def call(*arguments: str) -> str:
        outcome = planner(*arguments)
        assert (outcome.status, outcome.out) == (2, "")
        assert outcome.err.count("\n") == 1
        assert len(outcome.err) < 500
        return outcome.err

    return call
