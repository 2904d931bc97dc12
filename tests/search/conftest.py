"""Searches read a catalog of their own: the user's may be older, newer, or changed."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_catalog(tmp_path_factory: pytest.TempPathFactory):
    """The catalog that the tests of this folder open unless they name one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PLANNER_DATABASE_URL", f"sqlite:///{(tmp_path_factory.mktemp('catalog') / 'catalog.db').as_posix()}"
        )
        yield
